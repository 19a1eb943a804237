//! Signing in, and what slows down who guesses.

use std::time::Duration;

use tonic::{Code, Status};
use trellis_api::error::retry_after;
use trellis_user::Settings;
use trellis_user::domain::Email;

use crate::fixture::{Fixture, PASSWORD, assert_refused, cheap};

impl Fixture {
    /// Tries a wrong password.
    async fn fail(&self, client_address: &str, email: &str) -> Status {
        self.sign_in_from(client_address, email, "wrong password").await.unwrap_err()
    }
}

#[tokio::test]
async fn the_right_password_opens_a_session_of_its_own() {
    let fixture = Fixture::new().await;
    let (user, first) = fixture.sign_up("ada@example.com").await.unwrap();

    let (signed_in, second) = fixture.sign_in("ADA@example.com", PASSWORD).await.unwrap();

    assert_eq!(signed_in, user);
    assert_ne!(first, second);
    assert_eq!(fixture.authenticate(&second).await.unwrap().user_id, user.user_id);
}

#[tokio::test]
async fn nothing_tells_a_wrong_password_from_an_unknown_address() {
    let fixture = Fixture::new().await;
    fixture.sign_up("ada@example.com").await.unwrap();

    // The answers while attempts are admitted, and those after that.
    for _ in 0..8 {
        let wrong = fixture.fail("", "ada@example.com").await;
        let unknown = fixture.fail("", "eve@example.com").await;
        assert_eq!(wrong.code(), unknown.code());
        assert_eq!(wrong.message(), unknown.message());
        assert_eq!(wrong.details(), unknown.details());
    }
}

#[tokio::test]
async fn each_failure_after_the_fifth_doubles_the_wait() {
    let fixture = Fixture::new().await;
    fixture.sign_up("ada@example.com").await.unwrap();
    for _ in 0..4 {
        fixture.fail("", "ada@example.com").await;
    }

    for wait in [1, 2, 4, 8] {
        let failed = fixture.sign_in("ada@example.com", "wrong password").await;
        assert_refused(failed, Code::Unauthenticated, "INVALID_CREDENTIALS");

        // The right password must wait as well, and asking does not prolong it.
        for _ in 0..3 {
            let early = fixture.sign_in("ada@example.com", PASSWORD).await;
            let early = assert_refused(early, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
            assert_eq!(retry_after(&early), Some(Duration::from_secs(wait)));
        }
        fixture.advance(Duration::from_secs(wait));
    }

    fixture.sign_in("ada@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn signing_in_forgives_the_account() {
    let fixture = Fixture::new().await;
    fixture.sign_up("ada@example.com").await.unwrap();

    for _ in 0..3 {
        for _ in 0..4 {
            let failed = fixture.sign_in("ada@example.com", "wrong password").await;
            assert_refused(failed, Code::Unauthenticated, "INVALID_CREDENTIALS");
        }
        fixture.sign_in("ada@example.com", PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_is_stopped_until_its_window_ends() {
    let settings = Settings { sign_in_failures_per_address: 10, ..cheap() };
    let fixture = Fixture::new().await.restarted(&settings).await;
    fixture.sign_up("ada@example.com").await.unwrap();
    for number in 0..10 {
        fixture.fail("203.0.113.7:4711", &format!("user{number}@example.com")).await;
    }

    fixture.advance(Duration::from_mins(5));
    let refused = fixture.sign_in_from("203.0.113.7:4712", "ada@example.com", PASSWORD).await;
    let refused = assert_refused(refused, Code::ResourceExhausted, "TOO_MANY_ATTEMPTS");
    assert_eq!(retry_after(&refused), Some(Duration::from_mins(10)));
    fixture.sign_in_from("203.0.113.8", "ada@example.com", PASSWORD).await.unwrap();

    fixture.advance(Duration::from_mins(10));
    fixture.sign_in_from("203.0.113.7", "ada@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_changed_cost_reaches_the_stored_hash_when_its_owner_signs_in() {
    let fixture = Fixture::new().await;
    fixture.sign_up("ada@example.com").await.unwrap();
    let key = "ada@example.com".parse::<Email>().unwrap().key();
    let fixture = fixture.restarted(&Settings { password_iterations: 2, ..cheap() }).await;

    fixture.sign_in("ada@example.com", PASSWORD).await.unwrap();

    let stored = fixture.store.credentials(key).await.unwrap().unwrap().password_hash;
    assert!(stored.as_str().starts_with("$argon2id$v=19$m=8,t=2,p=1$"));
    fixture.sign_in("ada@example.com", PASSWORD).await.unwrap();
}
