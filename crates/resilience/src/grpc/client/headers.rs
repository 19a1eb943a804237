//! What an attempt says about itself to the peer.

use http::{HeaderMap, HeaderValue};

use super::call::Call;
use super::peer::Peer;
use crate::core::clock::Time;
use crate::grpc::headers::{CRITICALITY, PREVIOUS_ATTEMPTS, RETRIED_HOPS};
use crate::policy::Criticality;

/// Writes the headers of the attempt `number`, counted from zero, which begins `now`.
pub(super) fn write<P: Peer>(
    call: &Call<P>,
    headers: &mut HeaderMap,
    number: u32,
    limit: Option<Time>,
    now: Time,
) {
    if let Some(limit) = limit {
        call.method().write_timeout(headers, limit.since(now));
    }
    if number > 0 {
        headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(number));
    }
    let hops = call.inbound.retried_hops.saturating_add(u32::from(number > 0));
    if hops > 0 {
        headers.insert(RETRIED_HOPS, HeaderValue::from(hops));
    }
    let criticality = effective(call.method().policy.criticality, call.inbound.criticality);
    // The rest is what a server takes a call for that says nothing.
    if criticality != Criticality::default() {
        headers.insert(CRITICALITY, HeaderValue::from_static(criticality.as_str()));
    }
    if let Some(inject) = &call.shared.inject {
        inject(headers);
    }
}

/// What can be left out of the work for a call that can itself be left out, whatever
/// the method says; and what a call of the highest class needs is of that class, unless
/// the method says that it can be left out.
fn effective(method: Criticality, inbound: Criticality) -> Criticality {
    match (method, inbound) {
        (Criticality::Critical, Criticality::CriticalPlus) => Criticality::CriticalPlus,
        (_, Criticality::SheddablePlus | Criticality::Sheddable) => method.max(inbound),
        _ => method,
    }
}
