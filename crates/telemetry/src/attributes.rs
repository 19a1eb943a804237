//! The attributes that spans and log records may carry, by the names of OpenTelemetry's semantic
//! conventions 1.42.
//!
//! A field that is not on the list is not exported, so personal data that
//! somebody adds to a span does not leave the process. It takes a change here to
//! export more: names of things and of outcomes belong on the list, free text
//! and what a customer typed do not.

pub use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_NAMESPACE, DB_OPERATION_BATCH_SIZE, DB_OPERATION_NAME, DB_QUERY_SUMMARY,
    DB_QUERY_TEXT, DB_RESPONSE_RETURNED_ROWS, DB_RESPONSE_STATUS_CODE, DB_SYSTEM_NAME, ERROR_TYPE,
    HTTP_REQUEST_METHOD, HTTP_REQUEST_RESEND_COUNT, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME,
    MESSAGING_DESTINATION_SUBSCRIPTION_NAME, MESSAGING_MESSAGE_BODY_SIZE, MESSAGING_MESSAGE_ID,
    MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM, NETWORK_PROTOCOL_NAME,
    NETWORK_PROTOCOL_VERSION, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
    SERVER_ADDRESS, SERVER_PORT, URL_SCHEME,
};

/// Which order it is about.
pub const ORDER_ID: &str = "trellis.order.id";
/// Whether a saga was `begun`, or `recovered` after a crash.
pub const SAGA_ORIGIN: &str = "trellis.saga.origin";
/// The step of a saga, such as `reserve`.
pub const SAGA_STEP: &str = "trellis.saga.step";
/// How often a message or a step has been tried, counted from 1.
pub const ATTEMPT: &str = "trellis.attempt";
/// Why something was refused, given up or answered otherwise than asked: a
/// reason in capitals, as in `google.rpc.ErrorInfo`, or a name of the
/// resilience crate's.
pub const REASON: &str = "trellis.reason";
/// The service in this process that a span belongs to: several may share one
/// `service.name`.
pub const ROLE: &str = "trellis.role";

/// All that is exported, in alphabetical order.
///
/// The names without a dot are those of the resilience crate's own spans.
pub const ALLOWED: &[&str] = &[
    "attempt",
    DB_COLLECTION_NAME,
    DB_NAMESPACE,
    DB_OPERATION_BATCH_SIZE,
    DB_OPERATION_NAME,
    DB_QUERY_SUMMARY,
    DB_QUERY_TEXT,
    DB_RESPONSE_RETURNED_ROWS,
    DB_RESPONSE_STATUS_CODE,
    DB_SYSTEM_NAME,
    ERROR_TYPE,
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_RESEND_COUNT,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
    MESSAGING_BATCH_MESSAGE_COUNT,
    MESSAGING_CONSUMER_GROUP_NAME,
    MESSAGING_DESTINATION_NAME,
    MESSAGING_DESTINATION_SUBSCRIPTION_NAME,
    MESSAGING_MESSAGE_BODY_SIZE,
    MESSAGING_MESSAGE_ID,
    MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE,
    MESSAGING_SYSTEM,
    "method",
    NETWORK_PROTOCOL_NAME,
    NETWORK_PROTOCOL_VERSION,
    "number",
    "operation",
    "peer",
    "reason",
    RPC_METHOD,
    RPC_RESPONSE_STATUS_CODE,
    RPC_SYSTEM_NAME,
    SERVER_ADDRESS,
    SERVER_PORT,
    "target",
    ATTEMPT,
    ORDER_ID,
    REASON,
    ROLE,
    SAGA_ORIGIN,
    SAGA_STEP,
    URL_SCHEME,
    "verdict",
];

/// What log records carry besides, in alphabetical order. `error` is not among them: it
/// is free text, and may quote a customer.
pub const ALLOWED_IN_LOGS: &[&str] = &[
    "address",
    "after",
    "attempts",
    "before",
    "breaker",
    "code",
    "consumer",
    "dropped",
    "duration_ms",
    "endpoint",
    "event_id",
    "exported",
    "kind",
    "lost",
    "order_id",
    "roles",
    "signal",
    "status",
    "task",
];

/// Whether an attribute of this name is exported.
pub fn is_allowed(name: &str) -> bool {
    ALLOWED.binary_search(&name).is_ok()
}

/// Whether a field of this name is exported in a log record.
pub fn is_allowed_in_logs(name: &str) -> bool {
    is_allowed(name) || ALLOWED_IN_LOGS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_on_the_list_is_found_by_the_search() {
        assert!(ALLOWED.is_sorted(), "{ALLOWED:?}");
        assert!(ALLOWED_IN_LOGS.is_sorted(), "{ALLOWED_IN_LOGS:?}");
        assert!(ALLOWED.iter().all(|name| is_allowed(name) && is_allowed_in_logs(name)));
        assert!(ALLOWED_IN_LOGS.iter().all(|name| is_allowed_in_logs(name) && !is_allowed(name)));
    }
}
