//! What is known of one server, and the words for what comes of it.

use std::time::Duration;

use trellis_consistency::Position;

use super::MIN_GOOD;

/// What a server says when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Answer {
    pub(in crate::postgres) is_replica: bool,
    /// What a primary has on its disk, and a replica has replayed.
    pub(in crate::postgres) at: Position,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Silence {
    /// It took too long.
    Slow,
    /// It cannot be connected to, or the connection was cut.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Unknown,
    Primary,
    /// It was the primary, and failed somebody since it last said so.
    Doubted,
    Replica,
}

/// Why a replica is not read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Ejection {
    Unreachable,
    Lag,
    Timeline,
}

/// How far a replica is behind what the primary is known to have had.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::postgres) struct Lag {
    pub(in crate::postgres) bytes: u64,
    pub(in crate::postgres) time: Duration,
}

#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) role: Role,
    pub(super) at: Position,
    pub(super) failed: u32,
    pub(super) good: u32,
    pub(super) out: Option<Ejection>,
    pub(super) lag: Lag,
    /// Whether it was ever asked.
    pub(super) is_heard: bool,
    /// Whether it failed somebody since it was last asked.
    pub(super) is_suspect: bool,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Change {
    Ejected(Ejection),
    Reinstated,
    /// Another server than before is the primary.
    FailedOver,
}

/// Where a read may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Route {
    Replica(usize),
    /// Replicas are well, but none has what is needed.
    Wait,
    /// There is no replica to ask.
    None,
}

impl View {
    pub(super) fn unheard() -> Self {
        Self {
            role: Role::Unknown,
            at: Position::default(),
            failed: 0,
            // The first good answer lets it in.
            good: MIN_GOOD - 1,
            out: Some(Ejection::Unreachable),
            lag: Lag::default(),
            is_heard: false,
            is_suspect: false,
        }
    }
}
