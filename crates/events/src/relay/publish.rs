//! How a relay hands a batch to the bus.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::sleep;
use trellis_storage::Error;

use super::{LEASE, Relay, heal};
use crate::bus::{Delivery, Outcome};
use crate::outbox::Due;

impl Relay {
    /// Compares the outbox with what the bus keeps, when that is due.
    pub(super) async fn compare(&mut self) -> Result<(), Error> {
        let bus = Arc::clone(&self.bus);
        let Some(archive) = bus.archive() else { return Ok(()) };
        let (now, epoch) = (self.clock.now(), archive.epoch());
        let holds_lease = self.holds_lease();
        if !self.healer.is_due(epoch, holds_lease, now) {
            return Ok(());
        }
        if holds_lease || self.renew().await? {
            return self.healer.compare(self.outbox.as_ref(), archive, now).await;
        }
        self.healer.leave(epoch, now);
        Ok(())
    }

    /// Keeps the lease while the bus is slow: else the next relay would begin
    /// the same batch, be as slow, and nothing would ever be settled.
    pub(super) async fn publish(&mut self, due: &[Due]) -> Vec<Outcome> {
        if !self.healer.agrees(self.bus.as_ref()) {
            return heal::not_compared(due.len());
        }
        let deliveries: Vec<Delivery> = due.iter().map(|row| row.delivery.clone()).collect();
        let bus = Arc::clone(&self.bus);
        let mut publish = pin!(bus.publish(deliveries));
        loop {
            tokio::select! {
                outcomes = &mut publish => {
                    return self.healer.checked(outcomes, self.bus.as_ref());
                }
                () = sleep(LEASE / 3) => {
                    if let Err(error) = self.renew().await {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "lease was not renewed");
                    }
                }
            }
        }
    }
}
