//! What relays and consumers count, as whoever reads the metrics sees it.

use std::time::Duration;

use trellis_events::relay::WHILE_AWAY;
use trellis_storage::{Faults, When};
use trellis_telemetry::Metrics;

use crate::world::{CANCELLED, CONFIRMED, Consumer, Mood, Pair, Publisher, clock, drain, event};

pub(crate) const DEPTH: &str = r#"trellis_outbox_depth{outbox="publisher"}"#;
pub(crate) const OLDEST_AGE: &str = r#"trellis_outbox_oldest_age_seconds{outbox="publisher"}"#;

/// The value of a series; `None` if it is not shown.
pub(crate) fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.text();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

fn deliveries(publisher: &Publisher, outcome: &str) -> Option<f64> {
    let labels = format!(r#"{{outbox="publisher",outcome="{outcome}"}}"#);
    value(&publisher.metrics, &format!("trellis_outbox_deliveries_total{labels}"))
}

/// How many attempts to apply an event ended so; `error` is empty for a success.
fn attempts(consumer: &Consumer, kind: &str, error: &str) -> Option<f64> {
    let error = if error.is_empty() { String::new() } else { format!(r#",error_type="{error}""#) };
    let labels = format!(
        r#"messaging_consumer_group_name="consumer",messaging_destination_name="{kind}"{error}"#
    );
    let series = format!("messaging_process_duration_seconds_count{{{labels}}}");
    value(&consumer.metrics, &series)
}

fn delay(consumer: &Consumer, figure: &str) -> Option<f64> {
    let labels = r#"{messaging_consumer_group_name="consumer"}"#;
    value(&consumer.metrics, &format!("trellis_event_delay_seconds_{figure}{labels}"))
}

#[tokio::test]
async fn while_a_consumer_is_away_depth_and_age_grow_and_its_return_clears_them() {
    let mut pair = Pair::new().await;
    let gauge = pair.publisher.backlog_gauge();
    let shown = || [DEPTH, OLDEST_AGE].map(|name| value(&pair.publisher.metrics, name));
    gauge.look().await.unwrap();
    assert_eq!(shown(), [Some(0.0), Some(0.0)]);

    pair.consumer.leave();
    pair.publisher.tell(CONFIRMED, &["first"]).await;
    drain(&mut pair.relay).await.unwrap();
    gauge.look().await.unwrap();
    assert_eq!(shown(), [Some(1.0), Some(0.0)]);
    // The age is that of the reading, not that of the look.
    pair.clock.advance(Duration::from_secs(30));
    assert_eq!(shown(), [Some(1.0), Some(30.0)]);
    pair.publisher.tell(CONFIRMED, &["second"]).await;
    drain(&mut pair.relay).await.unwrap();
    pair.clock.advance(WHILE_AWAY.cap + Duration::from_secs(1));
    gauge.look().await.unwrap();
    assert_eq!(shown(), [Some(2.0), Some(36.0)]);
    assert!(Some(2.0) <= deliveries(&pair.publisher, "unreachable"));
    assert_eq!(deliveries(&pair.publisher, "delivered"), Some(0.0));

    pair.consumer.come_back();
    drain(&mut pair.relay).await.unwrap();
    gauge.look().await.unwrap();
    assert_eq!(shown(), [Some(0.0), Some(0.0)]);
    assert_eq!(deliveries(&pair.publisher, "delivered"), Some(2.0));
    assert_eq!(deliveries(&pair.publisher, "refused"), Some(0.0));
    assert_eq!(attempts(&pair.consumer, CONFIRMED, ""), Some(2.0));
    assert_eq!(
        (delay(&pair.consumer, "count"), delay(&pair.consumer, "sum")),
        (Some(2.0), Some(42.0))
    );
}

#[tokio::test]
async fn the_age_grows_while_the_outbox_cannot_be_looked_at() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let publisher =
        Publisher::open(folder.path(), &clock, &Faults::crash(2, When::BeforeCommit)).await;
    let gauge = publisher.backlog_gauge();
    publisher.append(event(&clock, CONFIRMED, "kept")).await.unwrap();
    gauge.look().await.unwrap();
    publisher.append(event(&clock, CONFIRMED, "lost")).await.unwrap_err();

    gauge.look().await.unwrap_err();
    clock.advance(Duration::from_mins(2));

    assert_eq!(value(&publisher.metrics, DEPTH), Some(1.0));
    assert_eq!(value(&publisher.metrics, OLDEST_AGE), Some(120.0));
}

#[tokio::test]
async fn a_clock_that_is_put_back_makes_no_event_younger_than_new() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let publisher = Publisher::open(folder.path(), &clock, &Faults::default()).await;
    let gauge = publisher.backlog_gauge();
    let ahead = trellis_chassis::ManualClock::new(trellis_chassis::Clock::now(&clock));
    ahead.advance(Duration::from_mins(1));
    publisher.append(event(&ahead, CONFIRMED, "from the future")).await.unwrap();

    gauge.look().await.unwrap();

    assert_eq!(value(&publisher.metrics, OLDEST_AGE), Some(0.0));
}

#[tokio::test]
async fn what_a_consumer_refuses_and_gives_up_is_told_apart() {
    let mut pair = Pair::new().await;
    pair.consumer.take("sick", Mood::Ill);
    pair.consumer.take("odd", Mood::Picky);
    pair.publisher.tell(CONFIRMED, &["sick", "odd", "well"]).await;

    drain(&mut pair.relay).await.unwrap();

    assert_eq!(deliveries(&pair.publisher, "refused"), Some(1.0));
    assert_eq!(deliveries(&pair.publisher, "delivered"), Some(2.0));
    let ends = ["", "refused", "dead_letter"];
    assert_eq!(ends.map(|end| attempts(&pair.consumer, CONFIRMED, end)), [Some(1.0); 3]);
    assert_eq!(ends.map(|end| attempts(&pair.consumer, CANCELLED, end)), [Some(0.0); 3]);
    assert_eq!(delay(&pair.consumer, "count"), Some(1.0), "of what was applied");
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_counts_as_refused() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let faults = Faults::crash(1, When::BeforeCommit);
    let consumer = Consumer::open(folder.path(), "consumer", &clock, &faults).await;
    consumer.take("odd", Mood::Picky);
    let delivery = trellis_api::event::v1::Delivery {
        event: Some(event(&clock, CONFIRMED, "odd")),
        attempt: 1,
    };
    let request = trellis_api::event::v1::DeliverEventsRequest { deliveries: vec![delivery] };

    consumer.client().deliver_events(request).await.unwrap();

    assert_eq!(attempts(&consumer, CONFIRMED, "refused"), Some(1.0));
    assert_eq!(attempts(&consumer, CONFIRMED, "dead_letter"), Some(0.0));
}

#[tokio::test]
async fn kinds_that_nobody_asked_for_are_counted_together() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let consumer = Consumer::open(folder.path(), "consumer", &clock, &Faults::default()).await;
    let deliveries = ["order.admired", "order.forgotten"].map(|kind| {
        let event = Some(event(&clock, kind, kind));
        trellis_api::event::v1::Delivery { event, attempt: 1 }
    });
    let deliveries = deliveries.to_vec();
    let request = trellis_api::event::v1::DeliverEventsRequest { deliveries };

    consumer.client().deliver_events(request).await.unwrap();

    assert_eq!(attempts(&consumer, "_OTHER", ""), Some(2.0));
}
