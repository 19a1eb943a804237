//! Fills a stream again that was lost in a way that a relay does not see by itself.
//!
//! A relay knows what is gone from a stream's end, or with all of it. What somebody purged
//! looks to it as if it were too old, and a bus that is no longer used is never asked.

use std::sync::Arc;

use time::OffsetDateTime;
use trellis_chassis::Clock;
use trellis_storage::Error;

use super::heal::LIMIT;
use crate::outbox::{Lost, Outbox};

/// Makes events due again that a bus was given, step by step.
///
/// It may be left at any point: what is due again is published by whoever relays, and the
/// rest stays as it was. Inboxes know what was applied, so no event takes effect twice.
pub struct Rebuild {
    outbox: Arc<dyn Outbox>,
    lost: Lost,
    began: OffsetDateTime,
}

impl Rebuild {
    /// Of what was published until now: all of it, or what was published at `since` or
    /// later.
    pub fn new(outbox: Arc<dyn Outbox>, since: Option<OffsetDateTime>, clock: &dyn Clock) -> Self {
        let lost = since.map_or(Lost::All, Lost::Since);
        Self { outbox, lost, began: clock.now() }
    }

    /// How many events that are.
    pub async fn count(&self) -> Result<u64, Error> {
        let since = match self.lost {
            Lost::Since(since) => Some(since),
            _ => None,
        };
        let deposits = self.outbox.deposits(since).await?;
        Ok(deposits.iter().map(|deposit| deposit.count).sum())
    }

    /// Makes up to 1,000 of them due; 0 when all are.
    pub async fn step(&self) -> Result<u64, Error> {
        let count = self.outbox.unpublish(self.lost.clone(), LIMIT, self.began).await?;
        self.outbox.wake();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// How many events wait to be published, or `None` once none waits that happened
    /// before this began.
    pub async fn left(&self) -> Result<Option<u64>, Error> {
        let backlog = self.outbox.backlog().await?;
        let is_old = |oldest| oldest <= self.began;
        Ok(backlog.oldest.is_some_and(is_old).then_some(backlog.count))
    }
}

impl std::fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebuild").field("lost", &self.lost).finish_non_exhaustive()
    }
}
