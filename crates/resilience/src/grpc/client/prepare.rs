//! A request's body, made ready for one attempt or for several.

use std::sync::Arc;

use tonic::Status;
use tonic::body::Body;

use super::call::Call;
use super::peer::Peer;
use super::pulse::Pulse;
use crate::grpc::body::RequestBody;
use crate::grpc::replay;
use crate::policy::Kind;

/// Reads it ahead: all of it if it may be sent twice, and its first piece if it is one
/// message. Fails if it does: a message that cannot be encoded, or is larger than its
/// sender allows itself, is no failure of the peer.
pub(super) fn read<P: Peer>(call: &Call<P>, body: Body) -> Result<RequestBody, Status> {
    let method = call.method();
    if method.is_replayed() {
        replay::read_ahead(body, call.shared.replay_limit)
    } else if method.sends_one_message() {
        replay::read_ahead(body, 0)
    } else {
        Ok(RequestBody::streamed(body))
    }
}

/// Where pieces of the request are signs of life, they are noticed.
pub(super) fn felt<P: Peer>(call: &Call<P>, body: RequestBody) -> (RequestBody, Option<Pulse>) {
    let is_of_interest =
        call.deadline.is_none() || call.method().policy.kind == Kind::Bidirectional;
    match body {
        RequestBody::Streamed { ahead, rest } if is_of_interest => {
            let clock = Arc::clone(&call.shared.environment.clock);
            let (rest, pulse) = Pulse::of(rest, &clock);
            (RequestBody::Streamed { ahead, rest }, Some(pulse))
        }
        body => (body, None),
    }
}
