//! Signing in.
//!
//! Whether an account exists must not show: not in the answer, not in what is
//! throttled, and not in the time, so an unknown address costs a hash as well.

use super::Users;
use super::parse::SignIn;
use crate::domain::{EmailKey, Password, PasswordHash, SessionToken, User};
use crate::error::Error;
use crate::passwords::Verdict;

impl Users {
    pub(super) async fn sign_in(&self, request: SignIn) -> Result<(User, SessionToken), Error> {
        let SignIn { email, password, origin } = request;
        let attempt = self.throttle.admit(email.key(), origin)?;
        let (user, new_hash) = match self.check(email.key(), password).await {
            Ok(Some(proven)) => {
                attempt.succeeded();
                proven
            }
            Ok(None) => return Err(Error::InvalidCredentials),
            Err(error) => {
                attempt.withdraw();
                return Err(error);
            }
        };
        let (token, session) = self.begin_session(user.id);
        match self.store.open_session(session, new_hash).await {
            Ok(()) => Ok((user, token)),
            // It was erased while its password was checked.
            Err(Error::UserNotFound) => Err(Error::InvalidCredentials),
            Err(error) => Err(error),
        }
    }

    /// Whose password it is, with a hash to keep instead of one of another cost.
    async fn check(
        &self,
        email: EmailKey,
        password: Password,
    ) -> Result<Option<(User, Option<PasswordHash>)>, Error> {
        let account = self.store.credentials(email).await?;
        let stored = account.as_ref().map(|account| account.password_hash.clone());
        let verdict = self.passwords.verify(password, stored).await?;
        Ok(match (account, verdict) {
            (None, _) | (_, Verdict::Wrong) => None,
            (Some(account), Verdict::Right) => Some((account.user, None)),
            (Some(account), Verdict::Outdated(new_hash)) => Some((account.user, Some(new_hash))),
        })
    }
}
