//! The spans of an event: where it was told, and where it is heard.

use tracing::{Span, debug_span, info_span};
use trellis_telemetry::propagation;

use crate::Event;

/// What carries events, whatever the bus is.
const SYSTEM: &str = "trellis";

/// Writes into the headers who tells of the event.
pub(crate) fn publish(event: &mut Event) {
    let kind = event.r#type.as_str();
    let span = debug_span!(
        "publish",
        otel.kind = "producer",
        otel.name = format_args!("publish {kind}"),
        "messaging.system" = SYSTEM,
        "messaging.operation.type" = "create",
        "messaging.operation.name" = "publish",
        "messaging.destination.name" = kind,
        "messaging.message.id" = event.event_id,
    );
    propagation::inject_span(&span, &mut event.headers);
}

/// The work of a consumer on an event: a part of what told of it, however long ago, and
/// not of the call that brings it along with others.
pub(crate) fn process(event: &Event, consumer: &str, attempt: u32) -> Span {
    let kind = event.r#type.as_str();
    let span = info_span!(
        parent: None,
        "process",
        otel.kind = "consumer",
        otel.name = format_args!("process {kind}"),
        otel.status_code = tracing::field::Empty,
        "messaging.system" = SYSTEM,
        "messaging.operation.type" = "process",
        "messaging.operation.name" = "process",
        "messaging.destination.name" = kind,
        "messaging.consumer.group.name" = consumer,
        "messaging.message.id" = event.event_id,
        "trellis.attempt" = attempt,
    );
    if let Some(publisher) = propagation::extract(&event.headers) {
        propagation::set_parent(&span, &publisher);
        propagation::link(&span, &publisher);
    }
    span
}
