//! Requests as the domain understands them. Everything wrong with one is said at once.

use trellis_api::error::{Invalid, Violation, field};
use trellis_api::id::UserId;
use trellis_api::user::v1 as pb;

use crate::domain::{DisplayName, Email, Origin, Password};

/// An account to open.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) email: Email,
    pub(super) password: Password,
    pub(super) display_name: DisplayName,
}

/// An attempt to sign in.
#[derive(Debug)]
pub(super) struct SignIn {
    pub(super) email: Email,
    pub(super) password: Password,
    /// `None` when the caller does not know it.
    pub(super) origin: Option<Origin>,
}

/// What to change of an account.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) id: UserId,
    pub(super) display_name: Option<DisplayName>,
}

impl Account {
    pub(super) fn parse(request: &pb::CreateUserRequest) -> Result<Self, Invalid> {
        let mut wrong = Vec::new();
        let email = keep(field("email", &request.email), &mut wrong);
        let password = keep(field("password", &request.password), &mut wrong);
        let display_name = keep(field("display_name", &request.display_name), &mut wrong);
        match (email, password, display_name) {
            (Some(email), Some(password), Some(display_name)) => {
                Ok(Self { email, password, display_name })
            }
            _ => Err(wrong.into()),
        }
    }
}

impl SignIn {
    pub(super) fn parse(request: &pb::CreateSessionRequest) -> Result<Self, Invalid> {
        let mut wrong = Vec::new();
        let email = keep(field("email", &request.email), &mut wrong);
        let password = keep(field("password", &request.password), &mut wrong);
        let origin = match request.client_address.as_str() {
            "" => Some(None),
            text => keep(field("client_address", text), &mut wrong).map(Some),
        };
        match (email, password, origin) {
            (Some(email), Some(password), Some(origin)) => Ok(Self { email, password, origin }),
            _ => Err(wrong.into()),
        }
    }
}

impl Change {
    /// With a mask, the named fields are taken, also when they are empty; without
    /// one, those that are set and can be changed.
    pub(super) fn parse(request: &pb::UpdateUserRequest) -> Result<Self, Invalid> {
        let Some(user) = &request.user else {
            return Err(Violation::new("user", "must be set").into());
        };
        let paths = request.update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
        let mut wrong = Vec::new();
        for path in paths.iter().filter(|path| *path != "display_name") {
            let description = format!("must name only display_name, not {path:?}");
            wrong.push(Violation::new("update_mask", description));
        }
        let id = keep(field("user.user_id", &user.user_id), &mut wrong);
        let is_wanted = !paths.is_empty() || !user.display_name.is_empty();
        let display_name = is_wanted
            .then(|| keep(field("user.display_name", &user.display_name), &mut wrong))
            .flatten();
        match id {
            Some(id) if wrong.is_empty() => Ok(Self { id, display_name }),
            _ => Err(wrong.into()),
        }
    }
}

fn keep<T>(parsed: Result<T, Violation>, wrong: &mut Vec<Violation>) -> Option<T> {
    parsed.map_err(|violation| wrong.push(violation)).ok()
}
