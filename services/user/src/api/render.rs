//! The domain as callers see it.

use secrecy::ExposeSecret as _;
use trellis_api::shop::v1 as shop;
use trellis_api::timestamp;
use trellis_api::r#type::v1::{AuditCheck, AuditViolation};

use crate::domain::{SessionToken, User};
use crate::store::Check;

pub(crate) fn user(user: &User) -> shop::User {
    shop::User {
        user_id: user.id.to_string(),
        email: user.email.as_str().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        create_time: Some(timestamp::to_proto(user.create_time)),
        update_time: Some(timestamp::to_proto(user.update_time)),
    }
}

pub(super) fn token(token: &SessionToken) -> String {
    token.text().expose_secret().to_owned()
}

pub(super) fn check(check: Check) -> AuditCheck {
    let violations = check.violations.into_iter();
    AuditCheck {
        invariant: check.invariant.to_owned(),
        examined: check.examined,
        violations: violations
            .map(|(subject, detail)| AuditViolation { subject, detail })
            .collect(),
    }
}
