//! How messages that carry secrets or personal data print: by name alone.
//!
//! Their generated `Debug` would put passwords, tokens and addresses into any
//! log line that shows a request.

use std::fmt;

use crate::{order, payment, shop, user};

macro_rules! redact {
    ($($message:path),* $(,)?) => {
        $(
            impl fmt::Debug for $message {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(concat!(stringify!($message), "(redacted)"))
                }
            }
        )*
    };
}

redact! {
    shop::v1::CheckoutRequest,
    shop::v1::SignInRequest,
    shop::v1::SignInResponse,
    shop::v1::SignUpRequest,
    shop::v1::SignUpResponse,
    shop::v1::User,
    order::v1::CheckoutRequest,
    payment::v1::AuthorizePaymentRequest,
    user::v1::AuthenticateSessionRequest,
    user::v1::CreateSessionRequest,
    user::v1::CreateSessionResponse,
    user::v1::CreateUserRequest,
    user::v1::CreateUserResponse,
    user::v1::DeleteSessionRequest,
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_secret_does_not_print() {
        let request = crate::shop::v1::SignUpRequest {
            email: "ada@example.com".into(),
            password: "correct horse".into(),
            display_name: "Ada".into(),
        };

        assert_eq!(format!("{request:?}"), "shop::v1::SignUpRequest(redacted)");
    }
}
