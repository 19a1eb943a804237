//! The tokens of the call that is being served.
//!
//! They live in the task that serves the call. Tasks that a handler spawns do not inherit
//! them: what goes on there is done for nobody who waits.

use std::sync::{Mutex, PoisonError};

use crate::{Position, Tokens};

tokio::task_local! {
    static CURRENT: Mutex<Tokens>;
}

/// Does something with the tokens of the call; `None` outside of one.
fn with<T>(work: impl FnOnce(&mut Tokens) -> T) -> Option<T> {
    let locked =
        |tokens: &Mutex<Tokens>| work(&mut tokens.lock().unwrap_or_else(PoisonError::into_inner));
    CURRENT.try_with(locked).ok()
}

/// Whether a call is being served here.
pub fn is_call() -> bool {
    with(|_| ()).is_some()
}

/// What the call must see of a database; `None` if that does not matter, and outside of a
/// call.
pub fn needed(key: &str) -> Option<Position> {
    with(|tokens| tokens.get(key)).flatten()
}

/// Whether the call must see everything.
pub fn is_strict() -> bool {
    with(|tokens| tokens.is_strict()).unwrap_or_default()
}

/// The call has written at `position`, or has seen it: what comes after it must see it.
/// Outside of a call there is nobody to whom that matters.
pub fn note(key: &str, position: Position) {
    with(|tokens| tokens.note(key, position));
}

/// The call has been told of `tokens` by another that it made.
pub fn merge(tokens: &Tokens) {
    with(|known| known.merge(tokens));
}

/// All that calls made for this one must see; nothing outside of a call.
pub fn current() -> Tokens {
    with(|tokens| tokens.clone()).unwrap_or_default()
}

/// Runs `call`, which must see `tokens`. The second value is what whoever made it must
/// see afterwards.
pub async fn scope<F: Future>(tokens: Tokens, call: F) -> (F::Output, Tokens) {
    let observed = async {
        let output = call.await;
        (output, current())
    };
    CURRENT.scope(Mutex::new(tokens), observed).await
}

/// Runs `work`, which decides a write: neither it nor the calls that it makes read what a
/// replica has.
pub async fn strictly<F: Future>(work: F) -> F::Output {
    let (output, seen) = scope(current().strict(), work).await;
    merge(&seen);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_call_wrote_is_seen_by_itself_and_told_to_its_caller() {
        let at = |lsn| Position { timeline: 1, lsn };
        let mut told = Tokens::default();
        told.note("order/0", at(5));

        let (needed, after) = scope(told, async {
            note("order/0", at(7));
            note("order/0", at(6));
            note("user/0", at(1));
            [needed("order/0"), needed("user/0"), needed("payment/0")]
        })
        .await;

        assert_eq!(needed, [Some(at(7)), Some(at(1)), None]);
        assert_eq!(after.to_string(), "order/0:1:7,user/0:1:1");
        assert!(!is_call() && current().is_empty());
    }

    #[tokio::test]
    async fn work_that_decides_a_write_is_strict_and_what_comes_after_it_is_not() {
        let ((), after) = scope(Tokens::default(), async {
            strictly(async {
                assert!(is_strict());
                assert_eq!(current().to_string(), "primary");
                note("order/0", Position { timeline: 1, lsn: 7 });
            })
            .await;
            assert!(!is_strict());
        })
        .await;
        assert_eq!(after.to_string(), "order/0:1:7");
    }
}
