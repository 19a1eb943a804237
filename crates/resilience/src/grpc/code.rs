//! The names of the codes.

use tonic::Code;

/// As gRPC writes them, in the order of their numbers
/// (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
pub const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// As gRPC writes it.
pub const fn name(code: Code) -> &'static str {
    NAMES[code as usize]
}
