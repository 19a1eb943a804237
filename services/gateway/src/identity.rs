//! Who is calling.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use trellis_api::error;
use trellis_api::user::v1::AuthenticateSessionRequest;

use crate::peers::Peers;

/// A signed-in customer, as the services want it: `user_…`.
pub(crate) type UserId = String;

/// Says who the session belongs to that a call shows.
pub(crate) async fn customer(peers: &Peers, metadata: &MetadataMap) -> Result<UserId, Status> {
    let session_token = bearer(metadata)?.expose_secret().to_owned();
    let request = AuthenticateSessionRequest { session_token };
    let session = peers.user.clone().authenticate_session(request).await?;
    Ok(session.into_inner().user_id)
}

/// Refuses a call that does not show the admin token.
pub(crate) fn admin(expected: &SecretString, metadata: &MetadataMap) -> Result<(), Status> {
    let shown = bearer(metadata)?;
    // Hashing first makes the comparison take the same time for every length.
    let digest = |secret: &SecretString| Sha256::digest(secret.expose_secret());
    if digest(&shown).ct_eq(&digest(expected)).into() {
        Ok(())
    } else {
        let message = "the admin token is wrong: it is in TRELLIS_ADMIN_TOKEN, or in the file \
                       admin-token of the data directory";
        Err(error::status(Code::Unauthenticated, "ADMIN_TOKEN_INVALID", message, &[]))
    }
}

/// The secret of `authorization: Bearer …`.
pub(crate) fn bearer(metadata: &MetadataMap) -> Result<SecretString, Status> {
    let missing = || {
        let message = "sign in and send `authorization: Bearer <session_token>`";
        error::status(Code::Unauthenticated, "SESSION_MISSING", message, &[])
    };
    let header = metadata.get("authorization").ok_or_else(missing)?;
    let (scheme, token) =
        header.to_str().ok().and_then(|v| v.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
        Ok(SecretString::from(token.trim()))
    } else {
        Err(missing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", value.parse().unwrap());
        metadata
    }

    #[test]
    fn only_the_admin_token_opens_the_back_office() {
        let token = SecretString::from("right");

        assert!(admin(&token, &shown("Bearer right")).is_ok());
        for value in ["Bearer wrong", "Bearer", "Bearer ", "Basic right", "right", ""] {
            let refused = admin(&token, &shown(value)).unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{value}");
        }
    }
}
