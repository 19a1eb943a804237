//! The span of a call that is served, or its ids where that is all there is.

use tracing::Level;
use tracing::field::Empty;
use trellis_telemetry::Scope;
use trellis_telemetry::propagation::{self, Remote};

/// The level is a constant of each place that makes a span.
macro_rules! grpc_span {
    ($level:expr, $method:ident $(, $mark:literal)?) => {
        tracing::span!(
            $level,
            "grpc",
            otel.kind = "server",
            otel.name = $method,
            otel.status_code = Empty,
            "rpc.system.name" = "grpc",
            "rpc.method" = $method,
            "rpc.response.status_code" = Empty,
            "error.type" = Empty,
            $($mark = Empty,)?
        )
    };
}

/// Its path may name a customer or an order, so only the route is told, by whoever
/// knows it.
macro_rules! http_span {
    ($level:expr, $method:ident $(, $mark:literal)?) => {
        tracing::span!(
            $level,
            "http",
            otel.kind = "server",
            otel.name = $method,
            otel.status_code = Empty,
            "http.request.method" = $method,
            "http.route" = Empty,
            "http.response.status_code" = Empty,
            "error.type" = Empty,
            $($mark = Empty,)?
        )
    };
}

/// That of a call from outside. The log does not show its span, if it has one: the line
/// of the call says the same, and must also where there is none.
pub(super) fn of_door(caller: Option<&Remote>, is_grpc: bool, method: &str) -> Scope {
    Scope::of_call(caller, module_path!(), || {
        if is_grpc {
            grpc_span!(Level::INFO, method, "trellis.log.hidden")
        } else {
            http_span!(Level::INFO, method, "trellis.log.hidden")
        }
    })
}

/// That of a call from inside, which is a part of what the thread is in.
pub(super) fn inside(caller: Option<&Remote>, is_grpc: bool, method: &str) -> Scope {
    let span =
        if is_grpc { grpc_span!(Level::DEBUG, method) } else { http_span!(Level::DEBUG, method) };
    if let Some(caller) = caller {
        propagation::set_parent(&span, caller);
    }
    Scope::of(span)
}
