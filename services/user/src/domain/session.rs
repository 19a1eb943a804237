//! Sessions: the token that proves one, and when it lapses.
//!
//! A session lapses when it has not been used for the idle time, and at the end
//! of its lifetime in any case. Using one is written down at most once a minute, so
//! idle time is exact to that: a session may lapse up to a minute early, never
//! late.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use trellis_api::id::{Bucket, UserId};

/// How old the last note of a session's use must be before a new one is worth a write.
const SEEN_EVERY: Duration = Duration::from_mins(1);

/// The secret of a session: 256 random bits, behind the bucket of whoever it is. It leaves
/// the process once and is never stored.
#[derive(Debug)]
pub struct SessionToken(SecretBox<[u8; 34]>);

/// SHA-256 of a token, which is all that is stored of it, and where.
///
/// A plain hash is enough: nobody can try 2^256 tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash {
    pub bucket: Bucket,
    pub digest: [u8; 32],
}

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub token_hash: TokenHash,
    pub user_id: UserId,
    pub create_time: OffsetDateTime,
    /// When it was last known to be used.
    pub last_seen_time: OffsetDateTime,
    /// When it ends however much it is used.
    pub expire_time: OffsetDateTime,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// How long a session lives without being used.
    pub idle: Duration,
    /// How long a session lives in any case.
    pub lifetime: Duration,
}

impl SessionToken {
    /// A new one for somebody of this bucket.
    pub fn random(bucket: Bucket) -> Self {
        Self(SecretBox::init_with(|| {
            let mut bytes = [0; 34];
            bytes[..2].copy_from_slice(&bucket.get().to_be_bytes());
            rand::fill(&mut bytes[2..]);
            bytes
        }))
    }

    /// The token in this text, if it can be one: 46 characters of URL-safe base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let bytes = <[u8; 34]>::try_from(bytes).ok()?;
        let token = Self(SecretBox::new(Box::new(bytes)));
        token.bucket().is_some().then_some(token)
    }

    pub fn hash(&self) -> TokenHash {
        let bucket = self.bucket().expect("it was looked at when the token was made");
        TokenHash { bucket, digest: Sha256::digest(self.0.expose_secret()).into() }
    }

    fn bucket(&self) -> Option<Bucket> {
        let [high, low, ..] = *self.0.expose_secret();
        Bucket::new(u16::from_be_bytes([high, low]))
    }

    /// The text that its owner gets.
    pub(crate) fn text(&self) -> SecretString {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.expose_secret()).into()
    }
}

impl Session {
    /// A session that begins now.
    pub fn begin(
        token_hash: TokenHash,
        user_id: UserId,
        now: OffsetDateTime,
        limits: &SessionLimits,
    ) -> Self {
        Self {
            token_hash,
            user_id,
            create_time: now,
            last_seen_time: now,
            expire_time: now + limits.lifetime,
        }
    }

    /// When it lapses if it is not used from now on.
    pub fn lapse_time(&self, limits: &SessionLimits) -> OffsetDateTime {
        self.expire_time.min(self.last_seen_time + limits.idle)
    }

    /// Whether a use at `now` should be written down.
    pub fn is_worth_noting(&self, now: OffsetDateTime) -> bool {
        self.last_seen_time + SEEN_EVERY <= now
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
    const LIMITS: SessionLimits =
        SessionLimits { idle: Duration::from_mins(30), lifetime: Duration::from_hours(12) };

    fn session() -> Session {
        let user = UserId::new(NOW, Bucket::random());
        Session::begin(SessionToken::random(user.bucket()).hash(), user, NOW, &LIMITS)
    }

    #[test]
    fn a_token_survives_its_text() {
        let bucket = Bucket::random();
        let token = SessionToken::random(bucket);
        let text = token.text();

        assert_eq!(text.expose_secret().len(), 46);
        let again = SessionToken::parse(text.expose_secret()).expect("its own text");
        assert_eq!(again.hash(), token.hash());
        assert_eq!(again.hash().bucket, bucket);
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        for text in
            ["", "short", &"A".repeat(43), &"A".repeat(47), &"+".repeat(46), &"_".repeat(46)]
        {
            assert!(SessionToken::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn use_puts_the_end_off_but_never_past_the_lifetime() {
        let mut session = session();
        assert_eq!(session.lapse_time(&LIMITS), NOW + LIMITS.idle);

        session.last_seen_time = NOW + Duration::from_mins(715);
        assert_eq!(session.lapse_time(&LIMITS), NOW + LIMITS.lifetime);
    }

    #[test]
    fn use_is_noted_once_a_minute() {
        let session = session();
        assert!(!session.is_worth_noting(NOW + Duration::from_secs(59)));
        assert!(session.is_worth_noting(NOW + Duration::from_mins(1)));
    }
}
