//! What must not be found anywhere.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use trellis_user::domain::{DisplayName, Email, Origin, Password, SessionToken};

use crate::fixture::{Fixture, PASSWORD};

#[tokio::test]
async fn the_disk_never_sees_a_password_or_a_token() {
    let fixture = Fixture::new().await;
    let (_, first) = fixture.sign_up("ada@example.com").await.unwrap();
    let (_, second) = fixture.sign_in("ada@example.com", PASSWORD).await.unwrap();
    fixture.sign_in("ada@example.com", "another password").await.unwrap_err();

    let mut secrets = vec![PASSWORD.as_bytes().to_vec(), b"another password".to_vec()];
    for token in [first, second] {
        secrets.push(BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap());
        secrets.push(token.into_bytes());
    }
    let disk = fixture.database.contents().await;
    let is_on_disk = |text: &[u8]| disk.windows(text.len()).any(|window| window == text);
    assert!(is_on_disk(b"ada@example.com"), "the right files were read");
    for secret in secrets {
        assert!(!is_on_disk(&secret));
    }
}

#[tokio::test]
async fn nothing_personal_or_secret_is_printed() {
    let fixture = Fixture::new().await;
    let (_, text) = fixture.sign_up("ada@example.com").await.unwrap();
    let email: Email = "ada@example.com".parse().unwrap();
    let name: DisplayName = "Ada".parse().unwrap();
    let password: Password = PASSWORD.parse().unwrap();
    let origin: Origin = "203.0.113.7".parse().unwrap();
    let token = SessionToken::parse(&text).unwrap();
    let session = fixture.store.session(token.hash()).await.unwrap().unwrap();
    let credentials = fixture.store.credentials(email.key()).await.unwrap().unwrap();

    let printed = format!(
        "{email:?} {:?} {name:?} {password:?} {origin:?} {token:?} {session:?} {credentials:?}",
        email.key(),
    );

    let hash = format!("{:?}", token.hash().digest);
    let key = format!("{:?}", email.key().0);
    let bytes = format!("{:?}", BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap());
    for secret in ["ada@", "\"Ada\"", PASSWORD, "203.0", "$argon2id", &text, &bytes, &hash, &key] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert!(printed.contains("user_"), "ids are printed");
}
