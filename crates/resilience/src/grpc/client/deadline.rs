//! How much time a call and its attempts have.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Status;

use super::retry::LEAST_TIME;
use crate::context::Inbound;
use crate::grpc::{status, timeout};
use crate::policy::{Kind, MethodPolicy};

/// What is kept of an inbound call's time to answer it with.
const ANSWERING: Duration = Duration::from_millis(5);

/// What a call has from now on: what its caller says, else what the policy says; in any
/// case not more than is left of the call that is being served.
///
/// `None`: nothing limits it but silence. Fails if the time is not worth beginning.
pub(super) fn of_call(
    policy: &MethodPolicy,
    headers: &HeaderMap,
    inbound: &Inbound,
) -> Result<Option<Duration>, Status> {
    let own = timeout::read(headers)?.or(policy.timeout);
    let inherited = inbound.deadline.map(|deadline| {
        deadline.saturating_duration_since(Instant::now()).saturating_sub(ANSWERING)
    });
    let left = match (own, inherited) {
        (Some(own), Some(inherited)) => Some(own.min(inherited)),
        (own, inherited) => own.or(inherited),
    };
    if left.is_some_and(|left| left < LEAST_TIME) {
        return Err(status::deadline_too_short());
    }
    Ok(left)
}

/// What each attempt of a call has that itself has `call`.
pub(super) fn of_attempt(
    policy: &MethodPolicy,
    call: Option<Duration>,
    repeatable: bool,
) -> Option<Duration> {
    match (policy.attempt_timeout, call) {
        (Some(attempt), Some(call)) => Some(attempt.min(call)),
        (Some(attempt), None) => Some(attempt),
        // So that two fit. A stream has begun when its time is over, and is not repeated.
        (None, Some(call)) if repeatable && policy.kind == Kind::Unary => Some(call / 2),
        (None, call) => call,
    }
}
