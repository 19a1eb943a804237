//! The tokens of the call that is being served.
//!
//! They live in the task that serves the call. Tasks that a handler spawns do not inherit
//! them: what goes on there is done for nobody who waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Position, Tokens};

tokio::task_local! {
    static CURRENT: Seen;
}

#[derive(Clone, Debug)]
struct Seen(Arc<Mutex<Tokens>>);

impl Seen {
    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a call is being served here.
pub fn is_call() -> bool {
    CURRENT.try_with(|_| ()).is_ok()
}

/// What the call must see of a database; `None` if that does not matter, and outside of a
/// call.
pub fn needed(key: &str) -> Option<Position> {
    CURRENT.try_with(|seen| seen.tokens().get(key)).ok().flatten()
}

/// The call has written at `position`, or has seen it: what comes after it must see it.
pub fn note(key: &str, position: Position) {
    // Outside of a call there is nobody to whom it matters.
    let _ = CURRENT.try_with(|seen| seen.tokens().note(key, position));
}

/// The call has been told of `tokens` by another that it made.
pub fn merge(tokens: &Tokens) {
    let _ = CURRENT.try_with(|seen| seen.tokens().merge(tokens));
}

/// All that calls made for this one must see; nothing outside of a call.
pub fn current() -> Tokens {
    CURRENT.try_with(|seen| seen.tokens().clone()).unwrap_or_default()
}

/// Runs `call`, which must see `tokens`. The second value is what whoever made it must
/// see afterwards.
pub async fn scope<F: Future>(tokens: Tokens, call: F) -> (F::Output, Tokens) {
    let seen = Seen(Arc::new(Mutex::new(tokens)));
    let output = CURRENT.scope(seen.clone(), call).await;
    let tokens = seen.tokens().clone();
    (output, tokens)
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
}
