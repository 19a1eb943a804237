//! Hashing passwords, with a bulkhead around it.
//!
//! One hash keeps a core busy for tens of milliseconds and takes megabytes, by
//! design. So at most one runs for each core, on threads of their own, a bounded
//! number wait, and who comes after them is refused at once: a flood of sign-ins
//! may slow sign-ins, but nothing else, and it cannot take all memory.

use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context as _;
use argon2::password_hash::phc;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::domain::{Password, PasswordHash};
use crate::error::Error;

/// OWASP's least cost of argon2id, in pairs of KiB and passes that are equally strong
/// (Password Storage Cheat Sheet).
const OWASP_MINIMA: [(u32, u32); 5] =
    [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

/// Turns passwords into hashes and compares them. Cheap to clone; all clones share the bulkhead.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// What a password is compared to when there is no account: no password gives it.
    decoy: Arc<phc::PasswordHash>,
    /// Who is inside: running or waiting.
    places: Arc<Semaphore>,
    /// Who is running.
    cores: Arc<Semaphore>,
}

/// What comparing a password has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and the cost has been changed since it was stored: here is the hash to keep.
    Outdated(PasswordHash),
}

impl Passwords {
    /// `memory` is in KiB; `queue` is how many may wait for a core. Takes the time of one hash.
    pub(crate) fn new(memory: u32, iterations: u32, queue: usize) -> anyhow::Result<Self> {
        let params = Params::new(memory, iterations, 1, None)
            .context("password_memory_kib or password_iterations is out of range")?;
        let strong = |&(least_memory, least_iterations): &(u32, u32)| {
            least_memory <= memory && least_iterations <= iterations
        };
        if !OWASP_MINIMA.iter().any(strong) {
            tracing::warn!(memory, iterations, "password hashes are cheaper than OWASP's minimum");
        }
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy =
            argon2.hash_password(&rand::random::<[u8; 32]>()).context("cannot hash a password")?;
        let cores = available_parallelism().map_or(1, usize::from);
        let inside = cores.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            argon2,
            decoy: Arc::new(decoy),
            places: Arc::new(Semaphore::new(inside)),
            cores: Arc::new(Semaphore::new(cores)),
        })
    }

    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        self.run(move |argon2, _| make(argon2, &password)).await
    }

    /// Compares a password with the stored hash.
    ///
    /// Without one, because there is no such account, it answers `Wrong` after
    /// the same work.
    pub(crate) async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
    ) -> Result<Verdict, Error> {
        self.run(move |argon2, decoy| {
            let Some(stored) = stored else {
                compare(argon2, &password, decoy)?;
                return Ok(Verdict::Wrong);
            };
            let stored = phc::PasswordHash::new(stored.as_str())
                .map_err(|_| password_hash::Error::EncodingInvalid)?;
            if !compare(argon2, &password, &stored)? {
                return Ok(Verdict::Wrong);
            }
            if is_current(&stored, decoy) {
                return Ok(Verdict::Right);
            }
            make(argon2, &password).map(Verdict::Outdated)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'_>, &phc::PasswordHash) -> password_hash::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let place =
            Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::SignInOverloaded)?;
        let core =
            Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        let (argon2, decoy) = (self.argon2.clone(), Arc::clone(&self.decoy));
        // The permits go along: a caller that hangs up does not stop the thread.
        let task = tokio::task::spawn_blocking(move || {
            let _held = (place, core);
            work(&argon2, &decoy)
        });
        Ok(task.await??)
    }
}

fn make(argon2: &Argon2<'_>, password: &Password) -> password_hash::Result<PasswordHash> {
    let hash = argon2.hash_password(password.expose())?;
    Ok(PasswordHash::stored(hash.to_string()))
}

fn compare(
    argon2: &Argon2<'_>,
    password: &Password,
    stored: &phc::PasswordHash,
) -> password_hash::Result<bool> {
    match argon2.verify_password(password.expose(), stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether it was made the way hashes are made today.
fn is_current(stored: &phc::PasswordHash, today: &phc::PasswordHash) -> bool {
    (&stored.algorithm, &stored.version, &stored.params)
        == (&today.algorithm, &today.version, &today.params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(iterations: u32) -> Passwords {
        Passwords::new(Params::MIN_M_COST, iterations, 64).unwrap()
    }

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = passwords(1);
        let hash = passwords.hash(password("correct horse")).await.unwrap();

        let right = passwords.verify(password("correct horse"), Some(hash.clone())).await;
        let wrong = passwords.verify(password("battery staple"), Some(hash)).await;
        let nobody = passwords.verify(password("correct horse"), None).await;

        assert_eq!(right.unwrap(), Verdict::Right);
        assert_eq!(wrong.unwrap(), Verdict::Wrong);
        assert_eq!(nobody.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_replaced() {
        let hash = passwords(1).hash(password("correct horse")).await.unwrap();

        let stronger = passwords(2);
        let verdict = stronger.verify(password("correct horse"), Some(hash)).await.unwrap();

        let Verdict::Outdated(hash) = verdict else { panic!("{verdict:?}") };
        assert!(hash.as_str().contains(",t=2,"));
        let verdict = stronger.verify(password("correct horse"), Some(hash)).await.unwrap();
        assert_eq!(verdict, Verdict::Right);
    }

    #[tokio::test]
    async fn who_finds_no_place_is_refused_at_once() {
        let passwords = Passwords::new(Params::MIN_M_COST, 1, 0).unwrap();
        let inside = passwords.places.available_permits();
        let _full = passwords.places.acquire_many(u32::try_from(inside).unwrap()).await.unwrap();

        let refused = passwords.hash(password("correct horse")).await;

        assert!(matches!(refused, Err(Error::SignInOverloaded)));
    }

    #[test]
    fn an_impossible_cost_is_named() {
        let error = Passwords::new(1, 1, 64).unwrap_err();

        assert!(error.to_string().contains("password_memory_kib"));
    }
}
