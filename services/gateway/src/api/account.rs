//! Accounts and sessions.

use secrecy::ExposeSecret as _;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response};
use trellis_api::shop::v1 as pb;
use trellis_api::user::v1 as user;

use super::Answer;
use crate::identity::{self, UserId};
use crate::limit::ClientAddress;
use crate::peers::Peers;

pub(super) async fn sign_up(
    peers: &Peers,
    request: pb::SignUpRequest,
) -> Answer<pb::SignUpResponse> {
    let pb::SignUpRequest { email, password, display_name } = request;
    let request = user::CreateUserRequest { email, password, display_name };
    let created = peers.user.clone().create_user(request).await?.into_inner();
    let user::CreateUserResponse { user, session_token } = created;
    Ok(Response::new(pb::SignUpResponse { user, session_token }))
}

pub(super) async fn sign_in(
    peers: &Peers,
    request: Request<pb::SignInRequest>,
) -> Answer<pb::SignInResponse> {
    let client_address = match request.extensions().get() {
        Some(ClientAddress(address)) => address.to_string(),
        None => String::new(),
    };
    let pb::SignInRequest { email, password } = request.into_inner();
    let request = user::CreateSessionRequest { email, password, client_address };
    let created = peers.user.clone().create_session(request).await?.into_inner();
    let user::CreateSessionResponse { user, session_token } = created;
    Ok(Response::new(pb::SignInResponse { user, session_token }))
}

pub(super) async fn sign_out(peers: &Peers, metadata: &MetadataMap) -> Answer<pb::SignOutResponse> {
    let session_token = identity::bearer(metadata)?.expose_secret().to_owned();
    peers.user.clone().delete_session(user::DeleteSessionRequest { session_token }).await?;
    Ok(Response::new(pb::SignOutResponse {}))
}

pub(super) async fn get(peers: &Peers, user_id: UserId) -> Answer<pb::GetProfileResponse> {
    let found = peers.user.clone().get_user(user::GetUserRequest { user_id }).await?.into_inner();
    Ok(Response::new(pb::GetProfileResponse { user: found.user }))
}

pub(super) async fn update(
    peers: &Peers,
    user_id: UserId,
    request: pb::UpdateProfileRequest,
) -> Answer<pb::UpdateProfileResponse> {
    let pb::UpdateProfileRequest { user, update_mask } = request;
    // Whose account it is comes from the session, whatever the message says.
    let user = Some(pb::User { user_id, ..user.unwrap_or_default() });
    let request = user::UpdateUserRequest { user, update_mask };
    let updated = peers.user.clone().update_user(request).await?.into_inner();
    Ok(Response::new(pb::UpdateProfileResponse { user: updated.user }))
}

pub(super) async fn delete(peers: &Peers, user_id: UserId) -> Answer<pb::DeleteAccountResponse> {
    peers.user.clone().delete_user(user::DeleteUserRequest { user_id }).await?;
    Ok(Response::new(pb::DeleteAccountResponse {}))
}
