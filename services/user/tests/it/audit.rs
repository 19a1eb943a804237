//! What an audit finds.

use std::time::Duration;

use trellis_api::r#type::v1::AuditCheck;
use trellis_api::user::v1::{AuditUsersRequest, DeleteUserRequest};

use crate::fixture::Fixture;

impl Fixture {
    async fn audit(&self) -> Vec<AuditCheck> {
        self.users.clone().audit_users(AuditUsersRequest {}).await.unwrap().into_inner().checks
    }

    /// What breaks an invariant, by its subject.
    async fn violations(&self) -> Vec<(String, String)> {
        let broken = |check: AuditCheck| {
            let invariant = check.invariant;
            check.violations.into_iter().map(move |found| (invariant.clone(), found.subject))
        };
        self.audit().await.into_iter().flat_map(broken).collect()
    }
}

#[tokio::test]
async fn a_sound_store_has_no_violations() {
    let fixture = Fixture::new().await;
    for name in ["ada", "eve", "joe"] {
        fixture.sign_up(&format!("{name}@example.com")).await.unwrap();
    }

    let checks = fixture.audit().await;

    let seen: Vec<_> =
        checks.iter().map(|check| (check.invariant.as_str(), check.examined)).collect();
    assert_eq!(
        seen,
        [
            ("no email belongs to two accounts", 3),
            ("no session outlives its account", 3),
            ("no event of a user is undelivered", 0),
        ]
    );
    assert_eq!(fixture.violations().await, []);
}

#[tokio::test]
async fn an_event_that_waits_for_half_a_minute_is_undelivered() {
    let fixture = Fixture::new().await;
    let (user, _) = fixture.sign_up("ada@example.com").await.unwrap();
    let request = DeleteUserRequest { user_id: user.user_id };
    fixture.users.clone().delete_user(request).await.unwrap();

    fixture.advance(Duration::from_secs(30));
    assert_eq!(fixture.violations().await, []);

    fixture.advance(Duration::from_secs(1));
    let expected = ("no event of a user is undelivered".to_owned(), "outbox".to_owned());
    assert_eq!(fixture.violations().await, [expected]);
}

#[tokio::test]
async fn rows_that_contradict_each_other_are_found() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for name in ["ada", "eve", "joe"] {
        ids.push(fixture.sign_up(&format!("{name}@example.com")).await.unwrap().0.user_id);
    }
    let [ada, eve, joe] = &ids[..] else { unreachable!() };

    // Of shards, an account and the entry of its address may be in two.
    let query = "SELECT user_id FROM users WHERE email = 'eve@example.com'";
    let stored = fixture.database.query(query).await.unwrap().concat().remove(0).unwrap();
    let tampering = format!(
        "
        DELETE FROM email_directory WHERE user_id = '{stored}';
        DELETE FROM users WHERE email = 'joe@example.com';
        UPDATE users SET email = 'eve@example.com' WHERE email = 'ada@example.com';
        "
    );
    fixture.database.tamper(&tampering).await;

    let mut violations = fixture.violations().await;
    violations.sort();
    let email = "no email belongs to two accounts";
    let session = "no session outlives its account";
    let mut expected = [(email, ada), (email, eve), (email, joe), (session, joe)]
        .map(|(invariant, id)| (invariant.to_owned(), id.clone()));
    expected.sort();
    assert_eq!(violations, expected);
}
