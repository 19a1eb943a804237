//! Settles payments that nobody asks about any more.
//!
//! A caller who repeats its calls settles a payment itself; this is for callers
//! who crashed, and for authorizations that turn up after their void. Every
//! instance may do it at once: settling is idempotent, and of several looks at one
//! payment that settle nothing, only the first counts and puts it off.

use futures::StreamExt as _;
use time::{Duration, OffsetDateTime};
use trellis_chassis::Shutdown;

use crate::cashier::Cashier;
use crate::domain::{Payment, State};
use crate::error::Error;
use crate::store::{Due, GRACE};

/// How many payments one look takes up.
const BATCH: u32 = 64;
/// How many of them are asked about at once, so that a slow processor holds up
/// few.
const AT_ONCE: usize = 8;
/// How many batches follow one another before the next pause.
const BATCHES: u32 = 16;
/// The longest pause between two looks at an unsettled payment.
const LONGEST_PAUSE: Duration = Duration::minutes(10);
/// How long until the next look at a payment whose call was held back here: as long as
/// a processor that is down, or has asked for it, is left alone.
const HELD_BACK: Duration = Duration::minutes(1);
/// How long an authorization may turn up after its void.
const TOMBSTONE_WATCH: Duration = Duration::hours(24);

/// Looks at unsettled payments every `interval`, until a stop is requested.
pub(crate) async fn run(
    cashier: Cashier,
    interval: std::time::Duration,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    loop {
        // What is cut off in the middle is due again.
        let look = async {
            tokio::time::sleep(interval).await;
            pass(&cashier).await
        };
        let done = tokio::select! {
            () = shutdown.requested() => return Ok(()),
            done = look => done,
        };
        if let Err(error) = done {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot look for unsettled payments");
        }
    }
}

/// Looks once at what is due, and returns how many payments that settled.
pub async fn pass(cashier: &Cashier) -> Result<usize, Error> {
    let mut settled = 0;
    for _ in 0..BATCHES {
        let due = cashier.store.due(cashier.clock.now(), BATCH).await?;
        let more = due.len() == BATCH as usize;
        let looks = futures::stream::iter(due).map(|due| look(cashier, due));
        let looks: Vec<_> = looks.buffer_unordered(AT_ONCE).collect().await;
        for look in looks {
            settled += usize::from(look?);
        }
        if !more {
            break;
        }
    }
    Ok(settled)
}

/// Settles one payment, or puts it off behind all others.
async fn look(cashier: &Cashier, due: Due) -> Result<bool, Error> {
    let Due { payment, attempts, .. } = due;
    let mut was_held_back = false;
    match cashier.settle(payment).await {
        Ok(true) => {
            tracing::info!(%payment, "payment settled");
            return Ok(true);
        }
        Ok(false) => {}
        Err(error) => {
            was_held_back = error.was_held_back();
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%payment, attempts, error, "payment cannot be settled yet");
        }
    }
    let until = match cashier.store.get(payment).await {
        Ok(payment) if was_held_back => next_look(&payment, HELD_BACK, cashier.clock.now()),
        Ok(payment) => next_look(&payment, pause(&payment, attempts), cashier.clock.now()),
        // A row that cannot be read must not keep its place at the front either.
        Err(_) => Some(cashier.clock.now() + LONGEST_PAUSE),
    };
    // Nobody has looked if the processor was not asked: a tombstone has few looks.
    cashier.store.postpone(due, until, u32::from(!was_held_back)).await?;
    Ok(false)
}

/// Ever longer pauses; tombstones are asked about only a few times.
fn pause(payment: &Payment, attempts: u32) -> Duration {
    let (factor, longest) = match payment.state {
        State::Voided { .. } => (4_i32, TOMBSTONE_WATCH),
        _ => (2, LONGEST_PAUSE),
    };
    let pause = GRACE * factor.saturating_pow(attempts.saturating_add(1).min(12));
    pause.min(longest)
}

/// When to look again; `None` for a tombstone that has been watched long enough.
fn next_look(payment: &Payment, pause: Duration, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let next = now + pause;
    let watched = match payment.state {
        State::Voided { .. } => next < payment.create_time + TOMBSTONE_WATCH,
        _ => true,
    };
    watched.then_some(next)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::{Bucket, PaymentId};

    use super::*;
    use crate::domain::Intent;

    const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    fn looks(payment: &Payment, until: Duration) -> usize {
        let mut now = NOW;
        for attempts in 0.. {
            match next_look(payment, pause(payment, attempts), now) {
                Some(next) if next < NOW + until => now = next,
                _ => return attempts as usize,
            }
        }
        unreachable!("there is an end to every attempt")
    }

    #[test]
    fn a_tombstone_is_looked_at_a_few_times_in_a_day_and_then_never() {
        let id = PaymentId::new(NOW, Bucket::new(0).unwrap());

        assert_eq!(looks(&Payment::tombstone(id, NOW), Duration::days(365)), 5);
    }

    #[test]
    fn an_unsettled_payment_is_looked_at_for_ever() {
        let intent = Intent {
            payment: PaymentId::new(NOW, Bucket::new(0).unwrap()),
            amount: trellis_api::Money::new("GBP".parse().unwrap(), 1),
            token: "tok_ok".parse().unwrap(),
        };
        let payment = Payment::begun(intent, NOW);

        assert!(140 < looks(&payment, Duration::days(1)));
        assert!(next_look(&payment, pause(&payment, u32::MAX), NOW).is_some());
    }
}
