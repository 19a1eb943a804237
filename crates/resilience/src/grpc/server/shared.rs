//! What all calls of a server share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use serde_json::{Value, json};

use super::Snapshot;
use super::gate::Gate;
use super::measures::Measures;
use crate::core::clock::{Clock, Time};
use crate::policy::Criticality;
use crate::registry::Inspect;

pub(super) type OfPath<T> = Arc<dyn Fn(&str) -> T + Send + Sync>;
pub(super) type Level = Arc<dyn Fn(&Parts) -> u8 + Send + Sync>;
pub(super) type Rate = Arc<dyn Fn(&Parts, Time) -> Result<(), Duration> + Send + Sync>;
pub(super) type Broken = Arc<dyn Fn() -> Response<Bytes> + Send + Sync>;

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    /// `None` if there is no limit.
    pub(super) gate: Option<Arc<Gate>>,
    pub(super) criticality: OfPath<Criticality>,
    pub(super) streaming: OfPath<bool>,
    pub(super) level: Option<Level>,
    pub(super) rate: Option<Rate>,
    pub(super) broken: Broken,
    pub(super) patience: Duration,
    pub(super) head_start: Duration,
    pub(super) measures: Arc<Measures>,
    pub(super) clock: Arc<dyn Clock>,
    /// What a server says most often when it has no time to say anything.
    pub(super) shed: Response<()>,
    pub(super) expired: Response<()>,
}

impl Shared {
    pub(super) fn snapshot(&self) -> Snapshot {
        let gate = self.gate.as_ref();
        Snapshot {
            name: self.name.as_ref().to_owned(),
            limiter: gate.map(|gate| gate.limiter().snapshot()),
            waiting: gate.map_or(0, |gate| gate.waiting()),
            is_standing: gate.is_some_and(|gate| gate.is_standing()),
        }
    }
}

impl Inspect for Shared {
    fn snapshot(&self, _: Time) -> Value {
        json!(Self::snapshot(self))
    }

    fn publish(&self, _: Time) {
        if let Some(gate) = &self.gate {
            gate.publish();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("gate", &self.gate)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
