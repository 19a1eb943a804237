//! The span that a line belongs to.

use tracing::Event;

use super::Itself;
use crate::context::{self, Place};

/// The one that `event` names, else the one that the thread is in.
pub(crate) fn of(event: &Event<'_>, itself: &Itself) -> Option<Place> {
    match event.parent() {
        Some(id) => context::by_id(id, &itself.get()?.upgrade()?),
        None if event.is_contextual() => context::current(),
        None => None,
    }
}
