//! Tells the recommendation service which products are looked at.
//!
//! Views are many and one is worth little: they wait in a bounded queue, travel
//! in batches, and are dropped when the queue is full or nobody answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use trellis_api::Sku;
use trellis_api::event::v1::ProductViewed;
use trellis_api::id::Bucket;
use trellis_chassis::{Clock, Shutdown};
use trellis_events::bus::{Bus, Delivery, Outcome};

const QUEUE: usize = 1_024;
const BATCH: usize = 256;
/// How long a view may wait for others to travel with.
const PAUSE: Duration = Duration::from_millis(500);

/// Where handlers say that a page was looked at. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Views(mpsc::Sender<Sku>);

impl Views {
    /// Notes a view, unless too many are waiting.
    pub(crate) fn note(&self, sku: Sku) {
        if self.0.try_send(sku).is_err() {
            tracing::debug!("a product view was dropped");
        }
    }
}

/// Starts passing views on.
pub(crate) fn start(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>, shutdown: &Shutdown) -> Views {
    let (views, mut queue) = mpsc::channel(QUEUE);
    let stop = shutdown.clone();
    shutdown.spawn("gateway.views", async move {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                received = queue.recv_many(&mut batch, BATCH) => if received == 0 { return Ok(()) },
            }
            let deliveries = batch.drain(..).map(|sku| delivery(&*clock, &sku)).collect();
            tokio::select! {
                () = stop.requested() => return Ok(()),
                outcomes = bus.publish(deliveries) => report(&outcomes),
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    });
    Views(views)
}

fn delivery(clock: &dyn Clock, sku: &Sku) -> Delivery {
    let payload = ProductViewed { sku: sku.to_string() };
    let event = trellis_events::event(
        clock.now(),
        Bucket::random(),
        "product.viewed",
        sku.as_str(),
        &payload,
    );
    Delivery::first(event)
}

fn report(outcomes: &[Outcome]) {
    let lost = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Delivered(_))).count();
    if lost != 0 {
        tracing::debug!(lost, "product views were lost");
    }
}
