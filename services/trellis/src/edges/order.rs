//! Calls to the order service.

use trellis_resilience::policy::{Criticality, MethodPolicy};

use super::{Line, audit, line, seconds};

pub(super) fn from_gateway() -> Vec<Line> {
    let read = MethodPolicy::safe().timeout(seconds(3));
    let write = MethodPolicy::idempotent().timeout(seconds(3));
    // They wait for a saga, so all of their time may go into one attempt; what was
    // lost on the way is repeated with the same key.
    let saga = MethodPolicy::with_key().timeout(seconds(9)).attempt_timeout(seconds(9));
    let none = "none: the customer tries again";
    let repeat = "`UNAVAILABLE`: the customer repeats with the same `request_id`";
    let mut lines = vec![
        line("/trellis.order.v1.OrderService/GetCart", read.clone(), none),
        line("/trellis.order.v1.OrderService/SetCartItem", write, none),
        line(
            "/trellis.order.v1.OrderService/Checkout",
            saga.clone().criticality(Criticality::CriticalPlus),
            repeat,
        ),
        line("/trellis.order.v1.OrderService/GetOrder", read.clone(), none),
        line("/trellis.order.v1.OrderService/ListOrders", read, none),
        line("/trellis.order.v1.OrderService/CancelOrder", saga, repeat),
        line(
            "/trellis.order.v1.OrderService/WatchOrder",
            MethodPolicy { idle_timeout: seconds(600), ..MethodPolicy::server_stream() },
            "the stream ends; the customer asks `GetOrder` or watches again",
        ),
        audit("/trellis.order.v1.OrderService/AuditOrders"),
    ];
    lines.extend(super::callers::dead_letters());
    lines
}
