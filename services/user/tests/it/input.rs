//! What is refused at the door, by the names of its fields.

use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use trellis_api::shop::v1::User;
use trellis_api::user::v1::{
    CreateSessionRequest, CreateUserRequest, DeleteUserRequest, GetUserRequest, UpdateUserRequest,
};

use crate::fixture::{Fixture, PASSWORD, assert_refused};

const USER_ID: &str = "user_01h455vb4pex5vsknk084sn02q";

#[track_caller]
fn assert_fields<T>(result: Result<T, Status>, fields: &[&str]) {
    let status = assert_refused(result, Code::InvalidArgument, "INVALID_FIELD");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let named: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(named, fields);
}

#[tokio::test]
async fn a_bad_sign_up_names_every_bad_field() {
    let mut users = Fixture::new().await.users;
    let long = "x".repeat(129);
    let cases: [(&str, &str, &str, &[&str]); 9] = [
        ("", "", "", &["email", "password", "display_name"]),
        ("ada", PASSWORD, "Ada", &["email"]),
        ("ada@localhost", PASSWORD, "Ada", &["email"]),
        ("ada@b@example.com", PASSWORD, "Ada", &["email"]),
        ("ada@example.com", "short", "Ada", &["password"]),
        ("ada@example.com", &long, "Ada", &["password"]),
        ("ada@example.com", PASSWORD, "  ", &["display_name"]),
        ("ada@example.com", PASSWORD, &long, &["display_name"]),
        ("ada@example.com", PASSWORD, "A\u{7}da", &["display_name"]),
    ];
    for (email, password, display_name, fields) in cases {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            display_name: display_name.to_owned(),
        };
        assert_fields(users.create_user(request).await, fields);
    }
}

#[tokio::test]
async fn a_bad_sign_in_names_every_bad_field() {
    let mut users = Fixture::new().await.users;
    let cases: [(&str, &str, &str, &[&str]); 3] = [
        ("", "", "nowhere", &["email", "password", "client_address"]),
        ("ada@example.com", "", "", &["password"]),
        ("ada@example.com", PASSWORD, "unknown", &["client_address"]),
    ];
    for (email, password, client_address, fields) in cases {
        let request = CreateSessionRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            client_address: client_address.to_owned(),
        };
        assert_fields(users.create_session(request).await, fields);
    }
}

#[tokio::test]
async fn a_bad_change_names_every_bad_field() {
    let mut users = Fixture::new().await.users;
    assert_fields(users.update_user(UpdateUserRequest::default()).await, &["user"]);

    let cases: [(&str, &str, &[&str], &[&str]); 6] = [
        ("", "Ada", &["display_name"], &["user.user_id"]),
        (USER_ID, "", &["display_name"], &["user.display_name"]),
        (USER_ID, "A\nda", &[], &["user.display_name"]),
        (USER_ID, "Ada", &["display_name", "email"], &["update_mask"]),
        (USER_ID, "Ada", &["user_id", "shoe_size"], &["update_mask", "update_mask"]),
        ("42", "\n", &["*"], &["update_mask", "user.user_id", "user.display_name"]),
    ];
    for (user_id, display_name, paths, fields) in cases {
        let request = UpdateUserRequest {
            user: Some(User {
                user_id: user_id.to_owned(),
                display_name: display_name.to_owned(),
                ..User::default()
            }),
            update_mask: Some(FieldMask {
                paths: paths.iter().map(|&path| path.to_owned()).collect(),
            }),
        };
        assert_fields(users.update_user(request).await, fields);
    }
}

#[tokio::test]
async fn an_id_of_another_kind_is_refused() {
    let mut users = Fixture::new().await.users;
    for id in ["", "42", "order_01h455vb4pex5vsknk084sn02q"] {
        let user_id = id.to_owned();
        assert_fields(users.get_user(GetUserRequest { user_id }).await, &["user_id"]);
        let user_id = id.to_owned();
        assert_fields(users.delete_user(DeleteUserRequest { user_id }).await, &["user_id"]);
    }
}
