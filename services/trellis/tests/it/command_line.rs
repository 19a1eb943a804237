//! What the command line says.

use serde::Deserialize as _;
use trellis_trellis::config::Config;

use crate::kit::{Shop, Topology, keeps_files, trellis};

#[test]
fn the_help_says_every_setting_with_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let help = trellis(folder.path(), &["--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();

    for variable in variables() {
        assert!(help.contains(&format!("  {variable} ")), "{variable} is not in --help");
    }
}

/// Every variable, from what the settings themselves say they expect.
fn variables() -> Vec<String> {
    let mut variables = Vec::new();
    for key in expected(&serde_json::json!({"?": 0})) {
        // A key that holds further keys is a section.
        let inner = expected(&serde_json::json!({&key: {"?": 0}}));
        if inner.is_empty() {
            variables.push(format!("TRELLIS_{key}"));
        }
        variables.extend(inner.iter().map(|inner| format!("TRELLIS_{key}_{inner}")));
    }
    assert!(40 < variables.len(), "{variables:?}");
    variables.iter().map(|variable| variable.to_uppercase()).collect()
}

/// The keys that are expected where `settings` has an unknown one.
fn expected(settings: &serde_json::Value) -> Vec<String> {
    let complaint = Config::deserialize(settings).unwrap_err().to_string();
    let Some((_, expected)) = complaint.split_once("expected one of ") else { return Vec::new() };
    expected.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

#[test]
fn an_unknown_setting_stops_the_process_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value) in [
        ("TRELLIS_LISTNE", "127.0.0.1:0"),
        ("TRELLIS_USER_DATABAS", "x"),
        ("TRELLIS_GRACE_SECONDS", "soon"),
    ] {
        let started = trellis(folder.path(), &[]).env(variable, value).output().unwrap();

        let complaint = String::from_utf8(started.stderr).unwrap();
        assert!(!started.status.success(), "{variable}");
        assert!(complaint.contains(variable), "{complaint}");
    }
}

#[test]
fn a_missing_peer_is_named_with_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = trellis(folder.path(), &["order"]);
    command.env("TRELLIS_LISTEN", "127.0.0.1:0").env("TRELLIS_ADMIN_LISTEN", "127.0.0.1:0");

    let started = command.output().unwrap();

    let complaint = String::from_utf8(started.stderr).unwrap();
    assert!(!started.status.success());
    assert!(complaint.contains("TRELLIS_PEERS_INVENTORY"), "{complaint}");
}

#[test]
fn a_second_shop_on_the_same_files_is_refused() {
    if !keeps_files() {
        return;
    }
    let shop = Shop::start(Topology::OneProcess);
    let mut second = trellis(shop.folder(), &[]);
    second.env("TRELLIS_LISTEN", "127.0.0.1:0").env("TRELLIS_ADMIN_LISTEN", "127.0.0.1:0");

    let refused = second.output().unwrap();

    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(complaint.contains("inventory.db"), "{complaint}");
}

#[test]
fn an_address_that_is_taken_is_named_with_what_to_set() {
    let shop = Shop::start(Topology::OneProcess);
    let folder = tempfile::tempdir().unwrap();
    let mut second = trellis(folder.path(), &[]);
    second.env("TRELLIS_LISTEN", &shop.gateway().address);
    second.env("TRELLIS_ADMIN_LISTEN", "127.0.0.1:0");

    let refused = second.output().unwrap();

    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(complaint.contains("TRELLIS_LISTEN"), "{complaint}");
}

#[test]
fn health_is_asked_for_and_told() {
    let mut shop = Shop::start(Topology::OneProcess);
    let admin = shop.gateway().admin.clone();
    let ask = ["healthcheck", "--address", admin.as_str()];

    assert!(shop.run(&ask).status.success());
    shop.stop();
    assert!(!shop.run(&ask).status.success());
}

#[test]
fn the_admin_port_is_asked_and_commanded_without_curl() {
    let shop = Shop::start(Topology::OneProcess);
    let admin = shop.gateway().admin.clone();
    let ask = |arguments: &[&str]| {
        let asked = shop.run(&[&["admin", "--address", &admin], arguments].concat());
        (asked.status.success(), String::from_utf8(asked.stdout).unwrap())
    };

    let rules = r#"[{"target": "gateway.user", "fault": "hang"}]"#;
    assert!(ask(&["debug/resilience/chaos", "-X", "PUT", "-d", rules]).0);
    let (shown, chaos) = ask(&["/debug/resilience/chaos"]);
    assert!(shown && chaos.contains("gateway.user"), "{chaos}");
    let (known, why) = ask(&["debug/resilience/breakers/nobody", "-d", r#"{"mode": "normal"}"#]);
    assert!(!known && why.contains("gateway.user"), "{why}");
}

#[test]
fn a_password_that_everybody_can_read_is_warned_of() {
    let compose = include_str!("../../../../docker-compose.yml");
    let password = "${FLEET_PASSWORD:-laptop-only}";
    assert!(compose.contains(&format!("postgres://trellis:{password}@postgres")));
    let is_published = |settings: &str, password: &str| {
        let settings = settings.replace('?', password);
        Config::deserialize(serde_json::from_str::<serde_json::Value>(&settings).unwrap())
            .unwrap()
            .has_published_password()
    };

    for settings in [
        r#"{"user": {"database": "postgres://trellis:?@a,b/user postgres://trellis:?@c/user"}}"#,
        r#"{"payment": {"database": "postgres://trellis:?@a/payment"}}"#,
        r#"{"nats": "nats://trellis:?@nats:4222"}"#,
        r#"{"redis": "redis://:?@redis-cache:6379/0"}"#,
        r#"{"session_redis": "redis://:?@redis-sessions:6379/0"}"#,
    ] {
        assert!(is_published(settings, "laptop-only"), "{settings}");
        assert!(!is_published(settings, "s3cret"), "{settings}");
    }
}

#[test]
fn databases_can_be_brought_up_to_date_beforehand() {
    let folder = tempfile::tempdir().unwrap();

    let migrated = trellis(folder.path(), &["migrate"]).output().unwrap();

    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let said = String::from_utf8_lossy(&migrated.stdout);
    let of_orders = said.lines().find(|line| line.starts_with("order "));
    assert!(of_orders.is_some_and(|line| line.contains("up to date")), "{said}");
    assert_eq!(folder.path().join("data/order.db").exists(), keeps_files());
}

#[test]
fn every_consumer_answers_for_its_dead_letters_wherever_it_runs() {
    for topology in [Topology::OneProcess, Topology::TwoProcesses, Topology::Fleet] {
        let shop = Shop::start(topology);
        let endpoint = shop.endpoint();

        let listed = shop.run(&["dlq", "list", "--endpoint", &endpoint]);
        let order = shop.run(&["dlq", "replay", "order", "--endpoint", &endpoint]);
        let recommendation =
            shop.run(&["dlq", "replay", "recommendation", "--endpoint", &endpoint]);
        let stranger = shop.run(&["dlq", "replay", "nobody", "--endpoint", &endpoint]);

        assert_eq!(listed.stdout, b"no dead letters\n", "{topology:?}: {listed:?}");
        for replayed in [order, recommendation] {
            assert_eq!(replayed.stdout, b"0 handled, 0 failed again\n", "{replayed:?}");
        }
        assert!(!stranger.status.success());
        let complaint = String::from_utf8_lossy(&stranger.stderr).into_owned();
        assert!(complaint.contains("order or recommendation"), "{complaint}");
    }
}
