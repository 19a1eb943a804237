//! Events as messages.

use std::borrow::Cow;

use async_nats::jetstream::message::PublishMessage;
use prost::Message as _;

use super::stream;
use crate::Event;
use crate::bus::Delivery;
use crate::consumer::is_event_id;

/// The event with all its headers. What was lost has another name each time: else the
/// server would take what it has lost for a repetition of what it has lost.
pub(super) fn write(delivery: &Delivery) -> PublishMessage {
    let Delivery { event, losses, .. } = delivery;
    let id = match losses {
        0 => Cow::Borrowed(event.event_id.as_str()),
        losses => Cow::Owned(format!("{}:r{losses}", event.event_id)),
    };
    PublishMessage::build()
        .message_id(id)
        .expected_stream(stream::NAME)
        .payload(event.encode_to_vec().into())
}

/// Whether a message's name is one of this event.
pub(super) fn is_of(message_id: &str, event_id: &str) -> bool {
    message_id.strip_prefix(event_id).is_some_and(|rest| rest.is_empty() || rest.starts_with(":r"))
}

/// Reads an event; an error says why that can never succeed.
pub(super) fn read(payload: &[u8]) -> Result<Event, String> {
    let event = Event::decode(payload).map_err(|error| error.to_string())?;
    if is_event_id(&event.event_id) { Ok(event) } else { Err("it has no id".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn a_message_is_of_the_event_however_often_that_was_lost() {
        assert!(is_of(ID, ID));
        assert!(is_of(&format!("{ID}:r12"), ID));
        assert!(!is_of(&format!("{ID}0"), ID));
        assert!(!is_of("01890a5d-ac96-774b-bcce-b302099a8058", ID));
    }

    #[test]
    fn what_is_no_event_is_never_read() {
        assert!(read(b"\xff\xff").is_err());
        assert_eq!(read(b""), Err("it has no id".to_owned()));
        let event = Event { event_id: ID.to_owned(), ..Event::default() };
        assert_eq!(read(&event.encode_to_vec()), Ok(event));
    }
}
