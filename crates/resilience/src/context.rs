//! What a call that is being served hands on to the calls that it makes in turn.
//!
//! It lives in the task that serves the call. Tasks that a handler spawns do not
//! inherit it, which is meant: what must go on after a call, such as a saga, must not
//! end with the call's deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::Criticality;

tokio::task_local! {
    static CURRENT: Serving;
}

/// The call that is being served, as far as calls made for it have to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inbound {
    /// When its caller stops waiting; `None` if the caller did not say.
    pub deadline: Option<Instant>,
    /// How bad it is to refuse it.
    pub criticality: Criticality,
    /// How often its caller has tried before (`grpc-previous-rpc-attempts`).
    pub previous_attempts: u32,
    /// How many hops above are retrying (`x-resilience-hops-retried`).
    pub retried_hops: u32,
}

#[derive(Debug)]
struct Serving {
    inbound: Inbound,
    exhausted: AtomicBool,
}

/// The call that is being served; `None` outside of one and in spawned tasks.
pub fn inbound() -> Option<Inbound> {
    CURRENT.try_with(|serving| serving.inbound).ok()
}

/// What is left of the deadline of the call that is being served; zero when it has
/// passed.
///
/// `None` if the caller set none, outside of a call, in a spawned task, and in a
/// response stream: take it before the stream begins.
pub fn remaining() -> Option<Duration> {
    let deadline = inbound()?.deadline?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// Runs `call` as the work for `inbound`. The second value says whether a call that
/// it made in turn used up its retries, so that the caller should not retry either.
pub async fn scope<F: Future>(inbound: Inbound, call: F) -> (F::Output, bool) {
    let serving = Serving { inbound, exhausted: AtomicBool::new(false) };
    let observed = async {
        let output = call.await;
        (output, CURRENT.with(|serving| serving.exhausted.load(Ordering::Relaxed)))
    };
    CURRENT.scope(serving, observed).await
}

/// Notes that a call made for the one that is being served used up its retries.
pub(crate) fn mark_exhausted() {
    // Outside of a served call there is nobody to tell.
    let _ = CURRENT.try_with(|serving| serving.exhausted.store(true, Ordering::Relaxed));
}
