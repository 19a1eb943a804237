//! What things are called at the server.

use trellis_api::id::{BUCKETS, Bucket};
use uuid::Uuid;

use crate::Event;

/// Into how many parts subjects divide the events of a service, by their owners' buckets.
///
/// Nobody reads them apart yet. They are in the subjects from the first day because those
/// of events that are kept cannot be changed.
const PARTITIONS: u16 = 16;

/// All that the stream takes.
pub(super) const ALL: &str = "ev.>";

/// `ev.<service>.p<00-15>.<kind>`, such as `ev.order.p07.order.confirmed`.
pub(super) fn of(service: &str, event: &Event) -> String {
    let bucket = event.event_id.parse().map_or(0, |id: Uuid| Bucket::of(id).get());
    let partition = bucket / (BUCKETS / PARTITIONS);
    format!("ev.{service}.p{partition:02}.{}", event.r#type)
}

/// The events of a kind, whoever tells them.
pub(super) fn filter(kind: &str) -> String {
    format!("ev.*.*.{kind}")
}

/// The name of what the server remembers of a consumer and a kind; no dots are allowed in
/// it.
pub(super) fn durable(consumer: &str, kind: &str) -> String {
    format!("{consumer}-{}", kind.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id;

    use super::*;

    #[test]
    fn neighbouring_buckets_share_one_of_sixteen_partitions() {
        let subject = |bucket| {
            let bucket = Bucket::new(bucket).unwrap();
            let id = id::event_id(datetime!(2026-11-22 10:00 UTC), bucket);
            let event_id = id.to_string();
            of(
                "order",
                &Event { event_id, r#type: "order.confirmed".to_owned(), ..Event::default() },
            )
        };
        assert_eq!(subject(0), "ev.order.p00.order.confirmed");
        assert_eq!(subject(255), "ev.order.p00.order.confirmed");
        assert_eq!(subject(256), "ev.order.p01.order.confirmed");
        assert_eq!(subject(4095), "ev.order.p15.order.confirmed");
    }
}
