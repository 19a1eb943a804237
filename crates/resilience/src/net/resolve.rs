//! Who the peers are.
//!
//! A [`Resolve`] answers when it is asked; [`watch()`] asks it again and again, and
//! keeps what it knew when there is no good answer. [`Target`] is what a configuration
//! says: names and addresses, as text.

mod dns;
mod target;
mod watch;

use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::Address;

pub use self::dns::Dns;
pub use self::target::{Target, TargetError};
pub use self::watch::{Refresh, Watched, watch};

/// Finds the addresses of a peer.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Asks once. Whoever asks limits the time and repeats what failed.
    fn resolve(&self) -> BoxFuture<'_, Result<Resolved, ResolveError>>;
}

/// What is known of the addresses of a peer at the moment.
#[derive(Debug, Default)]
pub struct Resolved {
    /// In any order; the same one may stand there twice.
    pub addresses: Vec<Address>,
    /// How long that holds. `None`: it never changes.
    pub refresh: Option<Duration>,
    /// What could not be asked, so that addresses may be missing or out of date.
    pub incomplete: Option<ResolveError>,
}

/// Why there are no addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nobody knows the name, or nobody could be asked.
    #[error("cannot resolve {host}")]
    Lookup {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The name is known, and nothing stands behind it.
    #[error("the answer has no addresses")]
    Empty,
    /// There was no answer for so long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Addresses that never change.
#[derive(Clone, Debug)]
pub struct Static(Vec<Address>);

impl Static {
    pub fn new(addresses: impl IntoIterator<Item = impl Into<Address>>) -> Self {
        Self(addresses.into_iter().map(Into::into).collect())
    }
}

impl Resolve for Static {
    fn resolve(&self) -> BoxFuture<'_, Result<Resolved, ResolveError>> {
        let addresses = self.0.clone();
        std::future::ready(Ok(Resolved { addresses, ..Resolved::default() })).boxed()
    }
}
