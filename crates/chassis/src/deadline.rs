//! When a call has taken too long.
//!
//! A *deadline* is set by a caller (`Request::set_timeout`, header `grpc-timeout`) or
//! by the policy of an edge, covers the whole call with its stream, and is inherited:
//! every call that the handler makes in turn gets what is left of it. Calls without one
//! are only kept from hanging: whoever serves waits [`SERVER_PATIENCE`] and whoever
//! calls waits [`CLIENT_PATIENCE`] for the *head* of the response, counted anew from
//! each piece of the request's body. No such wait is inherited.
//!
//! Tasks that a handler spawns do not inherit the deadline. That is meant: what must
//! go on after the call, such as a saga, must not end with the call's patience.

use std::time::Duration;

pub use trellis_resilience::context::remaining;
pub use trellis_resilience::grpc::server::PATIENCE as SERVER_PATIENCE;

/// How long a caller that set no deadline, on an edge without policies, waits for the
/// head of a response.
pub const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
