//! Patience with a shop that does not answer for a while.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};
use trellis_api::error;

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Repeats an attempt that failed for a while, until it gets a definite answer or
/// `patience` is over; then the last answer stands. `retried` hears each failure
/// that is followed by another attempt.
///
/// A failed attempt may have done its work: it must be safe to repeat.
pub async fn persist<T, F>(
    patience: Duration,
    mut retried: impl FnMut(&Status),
    mut attempt: impl FnMut() -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let end = Instant::now() + patience;
    let mut ceiling = FIRST_WAIT;
    loop {
        let status = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !passes(&status) {
            return Err(status);
        }
        retried(&status);
        // Full jitter: those who failed together do not come back together.
        let jitter = rand::random_range(Duration::ZERO..=ceiling);
        let wait = error::retry_after(&status).unwrap_or_default() + jitter;
        tokio::time::sleep(wait.min(left)).await;
        ceiling = (ceiling * 2).min(LONGEST_WAIT);
    }
}

/// Whether a failure may be over soon.
fn passes(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => true,
        Code::ResourceExhausted => error::retry_after(status).is_some(),
        // The shop gives a reason with all that it says: without one, it is the
        // connection that was lost.
        Code::Cancelled | Code::Unknown | Code::Internal => error::reason(status).is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    async fn persist_with(failures: usize, status: &Status) -> (Result<(), Status>, usize) {
        let (attempts, retries) = (Cell::new(0), Cell::new(0));
        let answer = persist(
            PATIENCE,
            |_| retries.set(retries.get() + 1),
            || {
                attempts.set(attempts.get() + 1);
                let answer = if attempts.get() <= failures { Err(status.clone()) } else { Ok(()) };
                async { answer }
            },
        )
        .await;
        (answer, retries.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_repeated_until_it_is_over() {
        let (answer, retries) = persist_with(9, &Status::unavailable("starting")).await;

        assert!(answer.is_ok());
        assert_eq!(retries, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_definite_answer_stands_at_once() {
        let refused = error::status(Code::FailedPrecondition, "OUT_OF_STOCK", "sold out", &[]);
        let (answer, retries) = persist_with(9, &refused).await;

        assert_eq!(answer.unwrap_err().code(), Code::FailedPrecondition);
        assert_eq!(retries, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let start = Instant::now();
        let (answer, _) = persist_with(usize::MAX, &Status::unavailable("gone")).await;

        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
        assert_eq!(start.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn the_shop_says_when_to_come_back() {
        let start = Instant::now();
        let busy = error::unavailable("BUSY", "busy", Duration::from_secs(5));
        let (answer, _) = persist_with(1, &busy).await;

        assert!(answer.is_ok());
        assert!(Duration::from_secs(5) <= start.elapsed());
    }

    #[test]
    fn a_lost_connection_passes_and_a_defect_does_not() {
        let wait = Duration::from_secs(1);
        for status in [
            Status::unknown("transport error"),
            Status::cancelled("h2 stream reset"),
            Status::deadline_exceeded("late"),
            Status::aborted("again"),
            error::retry_later(Code::ResourceExhausted, "LIMITED", "too many", wait),
        ] {
            assert!(passes(&status), "{status:?}");
        }
        for status in [
            error::internal(),
            Status::unauthenticated("who?"),
            Status::resource_exhausted("too large"),
            Status::unimplemented("what?"),
        ] {
            assert!(!passes(&status), "{status:?}");
        }
    }
}
