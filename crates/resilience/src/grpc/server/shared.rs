//! What all calls of a server share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::gate::Gate;
use super::measures::Measures;
use crate::core::clock::{Clock, Time};
use crate::policy::Criticality;

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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("gate", &self.gate)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
