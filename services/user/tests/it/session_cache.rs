//! Sessions with a Redis before their store.

use std::time::Duration;

use tonic::{Code, Status};
use trellis_api::user::v1 as pb;
use trellis_api::user::v1::user_service_client::UserServiceClient;
use trellis_cache::Redis;
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, Transport};
use trellis_testkit::Redis as Server;
use trellis_user::domain::SessionToken;

use crate::fixture::{Fixture, assert_refused, cheap, start_with};

const MINUTE: Duration = Duration::from_mins(1);
/// For what has to happen some time, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

fn connect(server: &Server) -> Redis {
    // The machine may be busy with other tests.
    let (url, patience) = (server.url().parse().unwrap(), Duration::from_millis(900));
    Redis::with_patience("redis", url, Roads::new().registry(), patience).unwrap()
}

struct Process {
    users: UserServiceClient<Transport>,
    shutdown: Shutdown,
}

impl Process {
    async fn over(server: &Server, fixture: &Fixture) -> Self {
        let (redis, shutdown) = (Some(connect(server)), Shutdown::default());
        let (store, clock) = (&fixture.store, &fixture.clock);
        let users = start_with(&cheap(), store, clock, redis, &shutdown).await;
        Self { users, shutdown }
    }

    async fn authenticate(&self, token: &str) -> Result<pb::AuthenticateSessionResponse, Status> {
        let request = pb::AuthenticateSessionRequest { session_token: token.to_owned() };
        Ok(self.users.clone().authenticate_session(request).await?.into_inner())
    }

    async fn sign_out(&self, token: &str) {
        let request = pb::DeleteSessionRequest { session_token: token.to_owned() };
        self.users.clone().delete_session(request).await.unwrap();
    }

    async fn has_signed_out(&self, token: &str) {
        let answer = self.authenticate(token).await;
        assert_refused(answer, Code::Unauthenticated, "SESSION_EXPIRED");
    }
}

/// Two processes over one store and one Redis, and a session.
struct Two {
    fixture: Fixture,
    one: Process,
    other: Process,
    token: String,
}

async fn two(server: &Server) -> Two {
    let fixture = Fixture::new().await;
    let (one, other) =
        (Process::over(server, &fixture).await, Process::over(server, &fixture).await);
    let (_, token) = fixture.sign_up("ada@example.com").await.unwrap();
    for process in [&one, &other] {
        process.authenticate(&token).await.unwrap();
    }
    Two { fixture, one, other, token }
}

#[tokio::test]
async fn redis_is_believed_for_a_minute_after_the_store_was_asked() {
    let Some(server) = Server::start().await else { return };
    let Two { fixture, one, other, token } = two(&server).await;
    // As if its end had reached nobody.
    let hash = SessionToken::parse(&token).unwrap().hash();
    fixture.store.end_session(hash).await.unwrap();

    one.authenticate(&token).await.unwrap();
    fixture.advance(MINUTE);
    one.has_signed_out(&token).await;
    other.has_signed_out(&token).await;
}

#[tokio::test]
async fn who_signs_out_in_one_process_is_signed_out_in_all() {
    let Some(server) = Server::start().await else { return };
    let Two { fixture: _fixture, one, other, token } = two(&server).await;

    one.sign_out(&token).await;

    one.has_signed_out(&token).await;
    other.has_signed_out(&token).await;
}

#[tokio::test]
async fn with_an_account_all_of_its_sessions_end_in_all_processes() {
    let Some(server) = Server::start().await else { return };
    let Two { fixture: _fixture, one, other, token } = two(&server).await;
    let user_id = one.authenticate(&token).await.unwrap().user_id;

    one.users.clone().delete_user(pb::DeleteUserRequest { user_id }).await.unwrap();

    one.has_signed_out(&token).await;
    other.has_signed_out(&token).await;
}

#[tokio::test]
async fn sessions_go_on_when_redis_dies_when_it_is_back_and_when_it_has_forgotten_them() {
    let Some(server) = Server::start().await else { return };
    let Two { fixture: _fixture, one, other, token } = two(&server).await;
    let go_on = async || {
        for process in [&one, &other] {
            process.authenticate(&token).await.unwrap();
        }
    };
    server.flush().await;
    go_on().await;
    server.kill();
    go_on().await;
    server.resume().await;
    go_on().await;
}

#[tokio::test]
async fn who_signs_out_while_redis_does_not_answer_stays_signed_out_when_it_does() {
    let Some(server) = Server::start().await else { return };
    let Two { fixture: _fixture, one, other, token } = two(&server).await;
    server.stop();
    one.sign_out(&token).await;
    one.has_signed_out(&token).await;
    server.go_on();

    // Redis has the session, and here nobody believes it.
    one.has_signed_out(&token).await;
    let heard = async {
        while other.authenticate(&token).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, heard).await.expect("Redis is told again");
    other.has_signed_out(&token).await;
}

#[tokio::test]
async fn who_signs_out_in_a_process_that_dies_with_redis_is_signed_out_within_a_minute() {
    let Some(server) = Server::start().await else { return };
    let Two { fixture, one, other, token } = two(&server).await;
    server.stop();
    one.sign_out(&token).await;
    // It will tell nobody.
    one.shutdown.request();
    server.go_on();

    fixture.advance(MINUTE);
    other.has_signed_out(&token).await;
}

#[tokio::test]
async fn a_session_that_is_used_does_not_lapse_by_the_copy_of_it() {
    let Some(server) = Server::start().await else { return };
    let Two { fixture, one, other, token } = two(&server).await;
    // Idle sessions lapse after half an hour.
    for _ in 0..40 {
        fixture.advance(MINUTE);
        one.authenticate(&token).await.unwrap();
        other.authenticate(&token).await.unwrap();
    }
    fixture.advance(Duration::from_mins(30));
    other.has_signed_out(&token).await;
}
