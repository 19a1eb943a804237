//! One customer with one session.

use tonic::{Code, Request, Response, Status};
use trellis_api::error;
use trellis_api::user::v1 as pb;
use trellis_api::user::v1::user_service_server::UserService;

use super::{Peers, not_asked};

pub(crate) const SESSION: &str = "session";
pub(crate) const USER: &str = "user_01h455vb4pex5vsknk084sn02q";

#[tonic::async_trait]
impl UserService for Peers {
    async fn authenticate_session(
        &self,
        request: Request<pb::AuthenticateSessionRequest>,
    ) -> Result<Response<pb::AuthenticateSessionResponse>, Status> {
        if request.into_inner().session_token != SESSION {
            return Err(error::status(Code::Unauthenticated, "SESSION_EXPIRED", "expired", &[]));
        }
        Ok(Response::new(pb::AuthenticateSessionResponse {
            user_id: USER.to_owned(),
            expire_time: None,
        }))
    }

    async fn create_user(
        &self,
        _: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        Err(not_asked())
    }

    async fn create_session(
        &self,
        _: Request<pb::CreateSessionRequest>,
    ) -> Result<Response<pb::CreateSessionResponse>, Status> {
        Err(not_asked())
    }

    async fn delete_session(
        &self,
        _: Request<pb::DeleteSessionRequest>,
    ) -> Result<Response<pb::DeleteSessionResponse>, Status> {
        Err(not_asked())
    }

    async fn get_user(
        &self,
        _: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        Err(not_asked())
    }

    async fn update_user(
        &self,
        _: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        Err(not_asked())
    }

    async fn delete_user(
        &self,
        _: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        Err(not_asked())
    }

    async fn audit_users(
        &self,
        _: Request<pb::AuditUsersRequest>,
    ) -> Result<Response<pb::AuditUsersResponse>, Status> {
        Err(not_asked())
    }
}
