//! Opening, changing and erasing accounts.

use std::time::Duration;

use futures::future::join_all;
use prost::Message as _;
use prost_types::FieldMask;
use tonic::{Code, Status};
use trellis_api::event::v1::UserDeleted;
use trellis_api::shop::v1::User;
use trellis_api::user::v1::{DeleteUserRequest, UpdateUserRequest};

use crate::fixture::{Fixture, PASSWORD, assert_refused};

impl Fixture {
    async fn rename(&self, user: User, paths: &[&str]) -> Result<User, Status> {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        let request =
            UpdateUserRequest { user: Some(user), update_mask: Some(FieldMask { paths }) };
        Ok(self.users.clone().update_user(request).await?.into_inner().user.unwrap())
    }

    async fn delete(&self, user_id: &str) -> Result<(), Status> {
        let request = DeleteUserRequest { user_id: user_id.to_owned() };
        self.users.clone().delete_user(request).await.map(drop)
    }
}

#[tokio::test]
async fn a_new_account_is_signed_in() {
    let fixture = Fixture::new().await;

    let (user, token) = fixture.sign_up(" Ada@Example.COM ").await.unwrap();

    assert_eq!((user.email.as_str(), user.display_name.as_str()), ("Ada@example.com", "Ada"));
    assert_eq!(fixture.authenticate(&token).await.unwrap().user_id, user.user_id);
    assert_eq!(fixture.get(&user.user_id).await.unwrap(), user);
}

#[tokio::test]
async fn an_address_in_another_case_is_taken() {
    let fixture = Fixture::new().await;
    fixture.sign_up("ada@example.com").await.unwrap();

    for email in ["ada@example.com", "ADA@EXAMPLE.COM", " Ada@example.com"] {
        let refused = fixture.sign_up(email).await;
        assert_refused(refused, Code::AlreadyExists, "EMAIL_TAKEN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_sign_ups_at_once_make_one_account() {
    let fixture = Fixture::new().await;

    let attempts = join_all((0..16).map(|_| fixture.sign_up("ada@example.com"))).await;

    let (made, refused): (Vec<_>, Vec<_>) = attempts.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for refused in refused {
        assert_refused(refused, Code::AlreadyExists, "EMAIL_TAKEN");
    }
}

#[tokio::test]
async fn only_what_the_mask_names_is_changed() {
    let fixture = Fixture::new().await;
    let (user, _) = fixture.sign_up("ada@example.com").await.unwrap();
    fixture.advance(Duration::from_secs(1));
    let change = User {
        user_id: user.user_id.clone(),
        email: "eve@example.com".to_owned(),
        display_name: "Countess".to_owned(),
        ..User::default()
    };

    let changed = fixture.rename(change, &["display_name"]).await.unwrap();

    assert_eq!(changed.display_name, "Countess");
    assert_eq!(changed.email, user.email);
    assert_eq!(changed.create_time, user.create_time);
    assert_ne!(changed.update_time, user.update_time);
    assert_eq!(fixture.get(&user.user_id).await.unwrap(), changed);
}

#[tokio::test]
async fn without_a_mask_what_is_set_is_changed() {
    let fixture = Fixture::new().await;
    let (user, _) = fixture.sign_up("ada@example.com").await.unwrap();
    fixture.advance(Duration::from_secs(1));

    let unset = User { display_name: String::new(), ..user.clone() };
    assert_eq!(fixture.rename(unset, &[]).await.unwrap(), user);

    let set = User { display_name: "Countess".to_owned(), ..user };
    assert_eq!(fixture.rename(set, &[]).await.unwrap().display_name, "Countess");
}

#[tokio::test]
async fn erasing_an_account_leaves_nothing_but_one_event() {
    let fixture = Fixture::new().await;
    let (user, token) = fixture.sign_up("ada@example.com").await.unwrap();
    let (_, other_token) = fixture.sign_in("ada@example.com", PASSWORD).await.unwrap();

    fixture.delete(&user.user_id).await.unwrap();

    for token in [token, other_token] {
        assert_refused(
            fixture.authenticate(&token).await,
            Code::Unauthenticated,
            "SESSION_EXPIRED",
        );
    }
    let signed_in = fixture.sign_in("ada@example.com", PASSWORD).await;
    assert_refused(signed_in, Code::Unauthenticated, "INVALID_CREDENTIALS");
    assert_refused(fixture.get(&user.user_id).await, Code::NotFound, "USER_NOT_FOUND");
    assert_refused(fixture.delete(&user.user_id).await, Code::NotFound, "USER_NOT_FOUND");
    let renamed = fixture.rename(user.clone(), &["display_name"]).await;
    assert_refused(renamed, Code::NotFound, "USER_NOT_FOUND");

    let events = fixture.unpublished().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].r#type, "user.deleted");
    assert_eq!(events[0].subject, user.user_id);
    let payload = UserDeleted::decode(events[0].payload.clone()).unwrap();
    assert_eq!(payload.user_id, user.user_id);

    let (again, _) = fixture.sign_up("ada@example.com").await.expect("the address is free");
    assert_ne!(again.user_id, user.user_id);
}
