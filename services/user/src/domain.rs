//! The words of the user domain.
//!
//! Every value here is valid by construction: parsing happens once, in
//! `api`, and code below that line never checks again. What is personal
//! or secret says nothing about itself in `Debug`, so a log line cannot betray
//! it. Nothing in this module knows about protobuf, SQL or gRPC.

mod display_name;
mod email;
mod origin;
mod password;
mod session;

use time::OffsetDateTime;
use trellis_api::id::UserId;

pub use self::display_name::DisplayName;
pub use self::email::{Email, EmailKey};
pub use self::origin::Origin;
pub use self::password::{Password, PasswordHash};
pub use self::session::{Session, SessionLimits, SessionToken, TokenHash};

/// A customer's account, without its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub display_name: DisplayName,
    pub create_time: OffsetDateTime,
    pub update_time: OffsetDateTime,
}

/// What the store knows of someone who wants to sign in.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: User,
    pub password_hash: PasswordHash,
}
