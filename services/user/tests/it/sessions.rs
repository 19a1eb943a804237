//! How long sessions live.

use std::time::Duration;

use tonic::Code;
use trellis_api::timestamp;
use trellis_api::user::v1::DeleteSessionRequest;
use trellis_chassis::Clock as _;
use trellis_user::domain::SessionToken;

use crate::fixture::{Fixture, PASSWORD, assert_refused};

const MINUTE: Duration = Duration::from_mins(1);

impl Fixture {
    async fn sign_out(&self, token: &str) {
        let request = DeleteSessionRequest { session_token: token.to_owned() };
        self.users.clone().delete_session(request).await.unwrap();
    }

    async fn assert_over(&self, token: &str) {
        let refused = self.authenticate(token).await;
        assert_refused(refused, Code::Unauthenticated, "SESSION_EXPIRED");
    }
}

#[tokio::test]
async fn signing_out_ends_this_session_and_no_other() {
    let fixture = Fixture::new().await;
    let (_, first) = fixture.sign_up("ada@example.com").await.unwrap();
    let (_, second) = fixture.sign_in("ada@example.com", PASSWORD).await.unwrap();

    fixture.sign_out(&first).await;
    fixture.sign_out(&first).await;
    fixture.sign_out("garbage").await;

    fixture.assert_over(&first).await;
    fixture.authenticate(&second).await.unwrap();
}

#[tokio::test]
async fn a_session_lapses_after_half_an_hour_without_use() {
    let fixture = Fixture::new().await;
    let (_, token) = fixture.sign_up("ada@example.com").await.unwrap();

    fixture.advance(29 * MINUTE);
    fixture.authenticate(&token).await.unwrap();
    fixture.advance(29 * MINUTE);
    fixture.authenticate(&token).await.unwrap();
    fixture.advance(30 * MINUTE);

    fixture.assert_over(&token).await;
}

#[tokio::test]
async fn a_session_lapses_after_half_a_day_however_much_it_is_used() {
    let fixture = Fixture::new().await;
    let (_, token) = fixture.sign_up("ada@example.com").await.unwrap();
    let end = fixture.clock.now() + 720 * MINUTE;

    for _ in 0..35 {
        fixture.advance(20 * MINUTE);
        fixture.authenticate(&token).await.unwrap();
    }
    let last = fixture.authenticate(&token).await.unwrap();
    assert_eq!(last.expire_time, Some(timestamp::to_proto(end)));

    fixture.advance(20 * MINUTE);
    fixture.assert_over(&token).await;
}

#[tokio::test]
async fn use_is_written_down_once_a_minute() {
    let fixture = Fixture::new().await;
    let (_, token) = fixture.sign_up("ada@example.com").await.unwrap();
    let begin = fixture.clock.now();
    let hash = SessionToken::parse(&token).unwrap().hash();
    let last_seen = async || fixture.store.session(hash).await.unwrap().unwrap().last_seen_time;

    fixture.advance(Duration::from_secs(59));
    let early = fixture.authenticate(&token).await.unwrap();
    assert_eq!(last_seen().await, begin);
    assert_eq!(early.expire_time, Some(timestamp::to_proto(begin + 30 * MINUTE)));

    fixture.advance(Duration::from_secs(1));
    let late = fixture.authenticate(&token).await.unwrap();
    assert_eq!(last_seen().await, begin + MINUTE);
    assert_eq!(late.expire_time, Some(timestamp::to_proto(begin + 31 * MINUTE)));
}

#[tokio::test]
async fn tokens_that_never_were_get_the_answer_of_those_that_lapsed() {
    let fixture = Fixture::new().await;
    let (_, token) = fixture.sign_up("ada@example.com").await.unwrap();
    fixture.advance(30 * MINUTE);
    let lapsed = fixture.authenticate(&token).await.unwrap_err();

    for token in ["", "garbage", &"A".repeat(43), &"A".repeat(100_000)] {
        let unknown = fixture.authenticate(token).await.unwrap_err();
        assert_eq!(unknown.code(), lapsed.code());
        assert_eq!(unknown.message(), lapsed.message());
        assert_eq!(unknown.details(), lapsed.details());
    }
}
