//! Settings that are wrong, and secrets that stay secret.

use std::path::Path;

use trellis_payment::{Intent, ProcessorKind, Settings};

use crate::kit::World;
use crate::line::Line;

fn http(url: &str, key: &str) -> Settings {
    Settings {
        processor: ProcessorKind::Http,
        processor_url: url.to_owned(),
        processor_key: key.into(),
        ..Settings::default()
    }
}

fn refusal(settings: &Settings) -> String {
    let opened = Line::default().open(settings, Path::new("unused"));
    format!("{:#}", opened.err().expect("the settings are refused"))
}

#[test]
fn a_wrong_setting_is_refused_by_its_name() {
    for (settings, name) in [
        (http("", "sk_1"), "processor_url"),
        (http("api.stripe.com", "sk_1"), "processor_url"),
        (http("ftp://api.stripe.com", "sk_1"), "processor_url"),
        (http("https://api.stripe.com", ""), "processor_key"),
        (http("https://api.stripe.com", "sk\n1"), "processor_key"),
        (
            Settings { processor_timeout_seconds: 0, ..http("https://api.stripe.com", "sk_1") },
            "processor_timeout_seconds",
        ),
    ] {
        let refusal = refusal(&settings);
        assert!(refusal.contains(name), "{refusal}");
    }
}

#[test]
fn a_processor_is_reached_over_tls() {
    let settings = http("https://api.stripe.com", "sk_1");

    Line::default().open(&settings, Path::new("unused")).unwrap();
}

#[test]
fn the_processors_key_is_never_shown() {
    let settings = http("https://api.stripe.com", "sk_visible");

    assert!(!format!("{settings:?}").contains("sk_visible"));
}

#[test]
fn an_unknown_setting_is_refused() {
    let known = r#"{"processor": "http", "processor_key": "sk_1"}"#;
    serde_json::from_str::<Settings>(known).unwrap();
    serde_json::from_str::<Settings>(r#"{"procesor": "http"}"#).unwrap_err();
}

#[tokio::test]
async fn a_token_is_forgotten_once_it_is_used_and_never_printed() {
    let world = World::new().await;
    let service = world.start().await;
    for token in ["tok_ok", "tok_declined", "tok_unknown_once"] {
        let _ = service.authorize(world.new_id(), token).await;
    }
    let intent = Intent {
        payment: world.new_id(),
        amount: trellis_api::Money::new("GBP".parse().unwrap(), 1),
        token: "tok_unknown_once".parse().unwrap(),
    };
    assert!(!format!("{intent:?}").contains("tok_"));
    for payment in service.store.page(None, 10).await.unwrap() {
        assert!(!format!("{payment:?}").contains("tok_"));
    }
    service.stop().await;

    let kept = world.database.query("SELECT state, token FROM payments").await.unwrap();
    let mut kept: Vec<_> = kept.into_iter().map(|row| <[_; 2]>::try_from(row).unwrap()).collect();
    kept.sort();
    let row = |state: &str, token: Option<&str>| [Some(state.to_owned()), token.map(str::to_owned)];
    let expected = [
        row("authorized", None),
        row("authorizing", Some("tok_unknown_once")),
        row("declined", None),
    ];
    assert_eq!(kept, expected);
}
