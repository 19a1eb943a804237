//! A user service on an empty store, with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use time::macros::datetime;
use tonic::{Code, Status};
use trellis_api::error::reason;
use trellis_api::shop::v1::User;
use trellis_api::user::v1::user_service_client::UserServiceClient;
use trellis_api::user::v1::{
    AuthenticateSessionRequest, AuthenticateSessionResponse, CreateSessionRequest,
    CreateUserRequest, GetUserRequest,
};
use trellis_cache::{Caches, Redis};
use trellis_chassis::{Clock, ManualClock, Shutdown, Transport, transport};
use trellis_events::bus::Direct;
use trellis_storage::Options;
use trellis_telemetry::Metrics;
use trellis_testkit::Database;
use trellis_user::store::{self, Store};
use trellis_user::{Needs, Settings};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Fixture {
    pub(crate) users: UserServiceClient<Transport>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) database: Database,
}

/// Hashes that cost next to nothing.
pub(crate) fn cheap() -> Settings {
    Settings { password_memory_kib: 8, password_iterations: 1, ..Settings::default() }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = Database::chosen("user").await;
        let store =
            store::open(&database.url().parse().unwrap(), &Options::default()).await.unwrap();
        let clock = ManualClock::new(datetime!(2026-01-01 12:00 UTC));
        let users = start(&cheap(), &store, &clock).await;
        Self { users, store, clock, database }
    }

    /// The same store behind a process with other settings.
    pub(crate) async fn restarted(self, settings: &Settings) -> Self {
        let users = start(settings, &self.store, &self.clock).await;
        Self { users, ..self }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) async fn sign_up(&self, email: &str) -> Result<(User, String), Status> {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            display_name: "Ada".to_owned(),
        };
        let response = self.users.clone().create_user(request).await?.into_inner();
        Ok((response.user.unwrap(), response.session_token))
    }

    /// From nowhere, so that only the account is throttled.
    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: &str,
    ) -> Result<(User, String), Status> {
        self.sign_in_from("", email, password).await
    }

    pub(crate) async fn sign_in_from(
        &self,
        client_address: &str,
        email: &str,
        password: &str,
    ) -> Result<(User, String), Status> {
        let request = CreateSessionRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            client_address: client_address.to_owned(),
        };
        let response = self.users.clone().create_session(request).await?.into_inner();
        Ok((response.user.unwrap(), response.session_token))
    }

    pub(crate) async fn authenticate(
        &self,
        token: &str,
    ) -> Result<AuthenticateSessionResponse, Status> {
        let request = AuthenticateSessionRequest { session_token: token.to_owned() };
        Ok(self.users.clone().authenticate_session(request).await?.into_inner())
    }

    pub(crate) async fn get(&self, user_id: &str) -> Result<User, Status> {
        let request = GetUserRequest { user_id: user_id.to_owned() };
        Ok(self.users.clone().get_user(request).await?.into_inner().user.unwrap())
    }

    /// The events that nobody has been told of yet.
    pub(crate) async fn unpublished(&self) -> Vec<trellis_events::Event> {
        let mut events = Vec::new();
        for outbox in self.store.outboxes() {
            let due = outbox.due(self.clock.now(), 100).await.unwrap();
            events.extend(due.into_iter().map(|due| due.delivery.event));
        }
        events
    }
}

/// The bus has no consumers named, so what is published stays in the outbox.
async fn start(
    settings: &Settings,
    store: &Arc<dyn Store>,
    clock: &ManualClock,
) -> UserServiceClient<Transport> {
    start_with(settings, store, clock, None, &Shutdown::default()).await
}

pub(crate) async fn start_with(
    settings: &Settings,
    store: &Arc<dyn Store>,
    clock: &ManualClock,
    sessions: Option<Redis>,
    shutdown: &Shutdown,
) -> UserServiceClient<Transport> {
    let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(clock.clone()), Metrics::default());
    let needs = Needs {
        store: Arc::clone(store),
        bus: Arc::new(Direct::default()),
        clock: Arc::clone(&clock),
        metrics: metrics.clone(),
        caches: Caches::new(None, clock, metrics, shutdown.clone()),
        sessions,
    };
    let routes = trellis_user::start(settings, needs, shutdown).await.unwrap();
    UserServiceClient::new(transport::local(routes))
}

#[track_caller]
pub(crate) fn assert_refused<T>(result: Result<T, Status>, code: Code, why: &str) -> Status {
    let Err(status) = result else { panic!("{why} was expected") };
    assert_eq!((status.code(), reason(&status).as_deref()), (code, Some(why)), "{status:?}");
    status
}
