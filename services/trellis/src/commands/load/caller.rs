//! One caller, who makes one call after another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;
use uuid::Uuid;

use crate::cli::Scenario;
use crate::session::{Credential, Shop, label, request};
use crate::statistics::Statistics;

/// What is counted.
pub(super) const STEP: &str = "call";
/// The end that is meant.
pub(super) const GOOD: &str = "OK";

/// A shop that refuses at once must not be asked as fast as a caller can.
const PAUSE: Duration = Duration::from_millis(20);

/// Someone who does not stop.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) shop: Shop,
    pub(super) goods: Arc<[String]>,
    pub(super) session: Option<Credential>,
    /// Which of the goods is the next.
    pub(super) next: usize,
    pub(super) window: Window,
    pub(super) statistics: Arc<Statistics>,
}

/// The time in which answers count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    start: Instant,
    end: Instant,
}

impl Window {
    pub(super) fn open(warm_up: Duration, duration: Duration) -> Self {
        let start = Instant::now() + warm_up;
        Self { start, end: start + duration }
    }

    /// How much of it is over.
    pub(super) fn measured(self, now: Instant) -> Duration {
        now.min(self.end).saturating_duration_since(self.start)
    }

    fn contains(self, moment: Instant) -> bool {
        (self.start..self.end).contains(&moment)
    }
}

impl Caller {
    pub(super) async fn run(
        mut self,
        scenario: Scenario,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        while !stop.is_cancelled() && Instant::now() < self.window.end {
            let start = Instant::now();
            let outcome = match scenario {
                Scenario::Checkout => self.buy().await,
                Scenario::Product => self.look().await,
            };
            let end = Instant::now();
            let counts = self.window.contains(end);
            match outcome {
                Ok(()) if counts => self.statistics.record(STEP, end - start, GOOD),
                Ok(()) => {}
                Err(outcome) => {
                    if counts {
                        self.statistics.note(STEP, &outcome);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    /// The error is any other end than the one that is meant.
    async fn buy(&mut self) -> Result<(), String> {
        let sku = self.goods[self.next % self.goods.len()].clone();
        self.next += 1;
        let purchase = pb::CheckoutRequest {
            request_id: Uuid::new_v4().to_string(),
            payment_token: "tok_ok".to_owned(),
            items: vec![pb::CheckoutItem { sku, quantity: 1 }],
        };
        let request = request(purchase, self.session.as_ref());
        let answer = self.shop.client().checkout(request).await.map_err(|status| label(&status))?;
        match answer.into_inner().order.map_or(State::Unspecified, |order| order.state()) {
            State::Confirmed => Ok(()),
            state => Err(state.as_str_name().trim_start_matches("STATE_").to_owned()),
        }
    }

    async fn look(&self) -> Result<(), String> {
        let sku = self.goods[rand::random_range(0..self.goods.len())].clone();
        let request = request(pb::GetProductRequest { sku, ..Default::default() }, None);
        let answer = self.shop.client().get_product(request).await;
        let degraded = |status: Status| label(&status);
        match answer.map_err(degraded)?.into_inner().degraded.as_slice() {
            [] => Ok(()),
            parts => Err(format!("degraded: {}", parts.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_answers_after_the_warm_up_count() {
        let now = Instant::now();
        let window = Window::open(Duration::from_secs(2), Duration::from_secs(10));
        let after = |seconds| now + Duration::from_secs(seconds);

        assert!(!window.contains(after(1)));
        assert!(window.contains(after(2)) && window.contains(after(11)));
        assert!(!window.contains(after(12)));
        assert_eq!(window.measured(after(1)), Duration::ZERO);
        assert_eq!(window.measured(after(5)), Duration::from_secs(3));
        assert_eq!(window.measured(after(99)), Duration::from_secs(10));
    }
}
