//! Events between services: none is lost, and each takes effect once.
//!
//! A publisher writes an event into its [`outbox`] in the transaction of the
//! change that it tells of. Its [`relay`] hands due rows to a [`bus`], which
//! hands them to the [`consumer`]s. A consumer writes an [`inbox`] row in the
//! transaction of the effect, so that a repetition changes nothing, and keeps
//! what it cannot apply as a [`dead_letter`].
//!
//! Delivery is at least once and in no promised order. What the events say is
//! not known here.
//!
//! A publisher's database needs the migrations of [`outbox`] and of
//! `trellis_storage::lease`, a consumer's those of [`inbox`] and [`dead_letter`].

pub mod outbox;
pub mod relay;

pub mod bus;

pub mod consumer;
pub mod dead_letter;
pub mod inbox;

mod backoff;
mod trace;

use std::collections::HashMap;

use time::OffsetDateTime;
use trellis_api::id::{self, Bucket};
use trellis_api::timestamp;

pub use backoff::Backoff;
pub use trellis_api::event::v1::Event;

/// How often an event is tried before its consumer gives up.
pub const MAX_ATTEMPTS: u32 = 6;

/// Makes a new event; `kind` names the message, such as `order.confirmed`, and
/// `bucket` is that of the user whom it is about.
///
/// It is a part of the trace that the thread is in, wherever and whenever it is heard.
pub fn event(
    now: OffsetDateTime,
    bucket: Bucket,
    kind: &'static str,
    subject: impl Into<String>,
    payload: &impl prost::Message,
) -> Event {
    let mut event = Event {
        event_id: id::event_id(now, bucket).to_string(),
        r#type: kind.to_owned(),
        subject: subject.into(),
        payload: payload.encode_to_vec().into(),
        headers: HashMap::new(),
        create_time: Some(timestamp::to_proto(now)),
    };
    trace::publish(&mut event);
    event
}
