//! The road from a publisher to one consumer.

use std::fmt;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tonic::Request;
use trellis_api::event::v1 as pb;
use trellis_api::event::v1::consumer_service_client::ConsumerServiceClient;
use trellis_api::event::v1::delivery_outcome::Verdict;
use trellis_api::limits::{self, Bounded as _};

use super::{Delivery, Outcome, Subscriber};
use crate::consumer;
use crate::consumer::MAX_DELIVERIES;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a call may take while the consumer is believed to be away. The
/// others wait for it, so a consumer that swallows calls must cost them little.
const PATIENCE_WHILE_AWAY: Duration = Duration::from_secs(1);

/// A consumer and whether it answered the last time.
pub(super) struct Road {
    subscriber: Subscriber,
    away: AtomicBool,
}

impl Road {
    pub(super) fn new(subscriber: Subscriber) -> Self {
        Self { subscriber, away: AtomicBool::new(false) }
    }

    /// Hands over what the consumer wants; says what became of it by its index
    /// in `deliveries`. After a call that fails no other is tried.
    pub(super) async fn hand_over(&self, deliveries: &[Delivery]) -> Vec<(usize, Outcome)> {
        let kinds = self.subscriber.kinds;
        let wanted: Vec<(usize, pb::Delivery)> = deliveries
            .iter()
            .enumerate()
            .filter(|(_, delivery)| kinds.contains(&delivery.event.r#type.as_str()))
            .map(|(index, delivery)| (index, to_proto(delivery)))
            .collect();

        let mut outcomes = Vec::with_capacity(wanted.len());
        let mut failure = None;
        for batch in batches(&wanted, self.is_away()) {
            let batch = &wanted[batch];
            let indices = batch.iter().map(|(index, _)| *index);
            let answers = match failure.take() {
                None => self.deliver(batch).await,
                Some(error) => Err(error),
            };
            match answers {
                Ok(answers) => outcomes.extend(indices.zip(answers)),
                Err(error) => {
                    let unreachable = || Outcome::Unreachable(error.clone());
                    outcomes.extend(indices.zip(iter::repeat_with(unreachable)));
                    failure = Some(error);
                }
            }
        }
        outcomes
    }

    async fn deliver(&self, batch: &[(usize, pb::Delivery)]) -> Result<Vec<Outcome>, String> {
        let answers = self.call(batch).await.map_err(|error| self.describe(&error));
        match &answers {
            Ok(_) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(
                        consumer = self.subscriber.consumer,
                        "consumer is reached again"
                    );
                }
            }
            Err(error) => {
                if !self.away.swap(true, Ordering::Relaxed) {
                    let consumer = self.subscriber.consumer;
                    tracing::warn!(consumer, error, "consumer cannot be reached, its events wait");
                }
            }
        }
        answers
    }

    async fn call(&self, batch: &[(usize, pb::Delivery)]) -> Result<Vec<Outcome>, String> {
        let deliveries = batch.iter().map(|(_, delivery)| delivery.clone()).collect();
        let mut request = Request::new(pb::DeliverEventsRequest { deliveries });
        consumer::address(&mut request, self.subscriber.consumer);
        request.set_timeout(if self.is_away() { PATIENCE_WHILE_AWAY } else { PATIENCE });

        let mut client = ConsumerServiceClient::new(self.subscriber.transport.clone()).bounded();
        let response = client.deliver_events(request).await;
        let outcomes = response
            .map_err(|status| format!("{}: {}", status.code(), status.message()))?
            .into_inner()
            .outcomes;
        if outcomes.len() != batch.len() {
            return Err(format!("{} outcomes for {} events", outcomes.len(), batch.len()));
        }
        outcomes.iter().map(|outcome| self.read(outcome)).collect()
    }

    fn read(&self, outcome: &pb::DeliveryOutcome) -> Result<Outcome, String> {
        match outcome.verdict() {
            Verdict::Done => Ok(Outcome::Delivered(None)),
            Verdict::Retry => Ok(Outcome::Refused(self.describe(&outcome.error))),
            Verdict::Away => Ok(Outcome::Unreachable(self.describe(&outcome.error))),
            Verdict::Unspecified => Err("an outcome without a verdict".to_owned()),
        }
    }

    fn describe(&self, error: &str) -> String {
        format!("{}: {error}", self.subscriber.consumer)
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Road")
            .field("subscriber", &self.subscriber)
            .field("away", &self.away)
            .finish()
    }
}

/// Cuts what is to send into calls that fit into a message; an outbox takes no event that
/// alone would not. A consumer that is believed to be away is first asked with a single
/// event.
fn batches(wanted: &[(usize, pb::Delivery)], away: bool) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (end, (_, delivery)) in wanted.iter().enumerate() {
        let size = limits::len_in_list(delivery);
        let limit = if away && start == 0 { 1 } else { MAX_DELIVERIES };
        if start < end && (!limits::list_fits(bytes + size) || end - start == limit) {
            batches.push(start..end);
            start = end;
            bytes = 0;
        }
        bytes += size;
    }
    if start < wanted.len() {
        batches.push(start..wanted.len());
    }
    batches
}

fn to_proto(delivery: &Delivery) -> pb::Delivery {
    let attempt = i32::try_from(delivery.attempt).unwrap_or(i32::MAX);
    pb::Delivery { event: Some(delivery.event.clone()), attempt }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn wanted(sizes: &[usize]) -> Vec<(usize, pb::Delivery)> {
        let delivery = |size: usize| pb::Delivery {
            event: Some(pb::Event { payload: vec![0; size].into(), ..pb::Event::default() }),
            attempt: 1,
        };
        sizes.iter().map(|&size| delivery(size)).enumerate().collect()
    }

    proptest! {
        #[test]
        fn batches_cover_everything_in_order_within_the_limits(
            sizes in prop::collection::vec(0..300_000_usize, 0..40), away: bool,
        ) {
            let wanted = wanted(&sizes);
            let batches = batches(&wanted, away);

            let covered: Vec<usize> = batches.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..sizes.len()).collect::<Vec<_>>());
            for batch in batches {
                let deliveries = wanted[batch.clone()].iter().map(|(_, d)| d.clone()).collect();
                let call = pb::DeliverEventsRequest { deliveries };
                prop_assert!(call.encoded_len() <= limits::MAX_MESSAGE);
                prop_assert!(batch.len() <= MAX_DELIVERIES);
            }
        }
    }

    #[test]
    fn a_call_carries_256_small_events() {
        assert_eq!(batches(&wanted(&[1; 600]), false), [0..256, 256..512, 512..600]);
    }

    #[test]
    fn a_consumer_that_was_away_is_first_asked_with_one_event() {
        assert_eq!(batches(&wanted(&[1; 3]), true), [0..1, 1..3]);
    }

    #[test]
    fn a_large_event_goes_alone() {
        let large = limits::MAX_MESSAGE - 1;
        assert_eq!(batches(&wanted(&[1, large, 1]), false), [0..1, 1..2, 2..3]);
    }
}
