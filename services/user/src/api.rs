//! The gRPC face: parse, one unit of work, say the answer.

mod parse;
pub(crate) mod render;
mod sign_in;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use trellis_api::error::field;
use trellis_api::id::{Bucket, UserId};
use trellis_api::timestamp;
use trellis_api::user::v1 as pb;
use trellis_api::user::v1::user_service_server::UserService;
use trellis_chassis::Clock;

use crate::domain::{Session, SessionLimits, SessionToken, User};
use crate::error::Error;
use crate::meters::Meters;
use crate::passwords::Passwords;
use crate::profiles::Profiles;
use crate::session_cache::SessionCache;
use crate::store::Store;
use crate::throttle::Throttle;

use self::parse::{Account, Change, SignIn};

/// Answers calls.
pub(crate) struct Users {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) profiles: Profiles,
    pub(crate) sessions: SessionCache,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) limits: SessionLimits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meters: Meters,
}

impl Users {
    /// A session that begins now, which is still to be stored.
    fn begin_session(&self, user: UserId) -> (SessionToken, Session) {
        let token = SessionToken::random(user.bucket());
        let session = Session::begin(token.hash(), user, self.clock.now(), &self.limits);
        (token, session)
    }

    /// Finds a live session, and writes down now and then that it is used.
    async fn authenticate(&self, text: &str) -> Result<Session, Error> {
        let token = SessionToken::parse(text).ok_or(Error::SessionExpired)?;
        let now = self.clock.now();
        // What is to be written down is asked of the store first: it may be over.
        let kept = self.sessions.get(token.hash()).await;
        let kept = kept.filter(|session| !session.is_worth_noting(now));
        let is_kept = kept.is_some();
        let mut session = match kept {
            Some(session) => session,
            None => self.store.session(token.hash()).await?.ok_or(Error::SessionExpired)?,
        };
        if session.lapse_time(&self.limits) <= now {
            return Err(Error::SessionExpired);
        }
        if session.is_worth_noting(now) {
            match self.store.note_use(session.token_hash, now).await {
                Ok(()) => session.last_seen_time = now,
                // A full disk must not sign everyone out: the session lives on
                // from its last noted use, and the next call tries again.
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the use of a session was not noted"
                ),
            }
        }
        if !is_kept {
            self.sessions.put(&session, now, &self.limits).await;
        }
        Ok(session)
    }
}

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        let Account { email, password, display_name } = Account::parse(request.get_ref())?;
        let password_hash = self.passwords.hash(password).await?;
        let now = self.clock.now();
        let id = UserId::new(now, Bucket::random());
        let user = User { id, email, display_name, create_time: now, update_time: now };
        let (token, session) = self.begin_session(id);
        self.store.create_user(user.clone(), password_hash, session).await?;
        self.meters.sign_ups.increment();
        Ok(Response::new(pb::CreateUserResponse {
            user: Some(render::user(&user)),
            session_token: render::token(&token),
        }))
    }

    async fn create_session(
        &self,
        request: Request<pb::CreateSessionRequest>,
    ) -> Result<Response<pb::CreateSessionResponse>, Status> {
        let signed_in = self.sign_in(SignIn::parse(request.get_ref())?).await;
        match &signed_in {
            Ok(_) => self.meters.sign_in(true),
            Err(Error::InvalidCredentials | Error::TooManyAttempts { .. }) => {
                self.meters.sign_in(false);
            }
            // Whether it would have been accepted, nobody knows.
            Err(_) => {}
        }
        let (user, token) = signed_in?;
        Ok(Response::new(pb::CreateSessionResponse {
            user: Some(render::user(&user)),
            session_token: render::token(&token),
        }))
    }

    async fn authenticate_session(
        &self,
        request: Request<pb::AuthenticateSessionRequest>,
    ) -> Result<Response<pb::AuthenticateSessionResponse>, Status> {
        let session = self.authenticate(&request.get_ref().session_token).await?;
        Ok(Response::new(pb::AuthenticateSessionResponse {
            user_id: session.user_id.to_string(),
            expire_time: Some(timestamp::to_proto(session.lapse_time(&self.limits))),
        }))
    }

    async fn delete_session(
        &self,
        request: Request<pb::DeleteSessionRequest>,
    ) -> Result<Response<pb::DeleteSessionResponse>, Status> {
        // A text that cannot be a token is a session that is over, too.
        if let Some(token) = SessionToken::parse(&request.get_ref().session_token) {
            self.store.end_session(token.hash()).await?;
            self.sessions.end(token.hash()).await;
        }
        Ok(Response::new(pb::DeleteSessionResponse {}))
    }

    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let id = field("user_id", &request.get_ref().user_id)?;
        let user = self.profiles.get(id).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(user) }))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        let Change { id, display_name } = Change::parse(request.get_ref())?;
        let now = self.clock.now();
        let change = self.profiles.change(id, now);
        let user = self.store.update_user(id, display_name, now).await?;
        change.done(&user).await;
        Ok(Response::new(pb::UpdateUserResponse { user: Some(render::user(&user)) }))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let id = field("user_id", &request.get_ref().user_id)?;
        let change = self.profiles.erase(id);
        self.store.delete_user(id, self.clock.now()).await?;
        change.erased().await;
        self.sessions.end_all(id).await;
        Ok(Response::new(pb::DeleteUserResponse {}))
    }

    async fn audit_users(
        &self,
        _: Request<pb::AuditUsersRequest>,
    ) -> Result<Response<pb::AuditUsersResponse>, Status> {
        let checks = self.store.audit(self.clock.now()).await?;
        let checks = checks.into_iter().map(render::check).collect();
        Ok(Response::new(pb::AuditUsersResponse { checks }))
    }
}
