use super::*;
use crate::registry::tests::{breaker, registry};

fn ask(registry: &Registry, method: &str, path: &str, body: &str) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let (status, body) = answer(registry, &method, path, body.as_bytes());
    (status.as_u16(), body)
}

#[test]
fn the_root_is_the_snapshot() {
    let registry = registry();
    for path in ["", "/"] {
        assert_eq!(ask(&registry, "GET", path, ""), (200, registry.snapshot()));
    }
}

#[test]
fn the_state_of_every_breaker_is_shown() {
    let registry = registry();
    let _kept = registry.keep("breakers", "payment", breaker("payment"));

    let (status, body) = ask(&registry, "GET", "/breakers", "");

    assert_eq!((status, &body["payment"]["state"]), (200, &json!("closed")));
    assert_eq!(ask(&registry, "PUT", "/breakers", "").0, 405);
}

#[test]
fn a_breaker_is_set_to_every_mode_that_has_a_name() {
    let registry = registry();
    let payment = breaker("payment");
    let _kept = registry.keep("breakers", "payment", payment.clone());
    for (written, mode) in [
        ("forced_open", Mode::ForcedOpen),
        ("disabled", Mode::Disabled),
        ("metrics_only", Mode::MetricsOnly),
        ("normal", Mode::Normal),
    ] {
        let body = json!({ "mode": written }).to_string();
        let answer = ask(&registry, "POST", "/breakers/payment", &body);
        assert_eq!(answer, (200, json!({"breaker": "payment", "mode": written})));
        assert_eq!(payment.mode(), mode);
    }
}

#[test]
fn a_wrong_command_to_a_breaker_says_what_would_be_right() {
    let registry = registry();
    let _kept = registry.keep("breakers", "payment", breaker("payment"));
    let open = r#"{"mode": "forced_open"}"#;

    let (status, body) = ask(&registry, "POST", "/breakers/paymnet", open);
    assert_eq!((status, &body["breakers"]), (404, &json!(["payment"])));

    for (wrong, expected) in [
        (r#"{"mode": "open"}"#, "unknown variant `open`, expected one of `normal`, `forced_open`"),
        (r#"{"state": "open"}"#, "unknown field `state`, expected `mode`"),
        ("{}", "missing field `mode`"),
        ("", "EOF while parsing"),
    ] {
        let (status, body) = ask(&registry, "POST", "/breakers/payment", wrong);
        let error = body["error"].as_str().unwrap();
        assert!(status == 400 && error.contains(expected), "{status} {error}");
        assert_eq!(body["example"], json!({"mode": "forced_open"}));
    }
    let (status, body) = ask(&registry, "GET", "/breakers/payment", "");
    assert_eq!((status, &body["allowed"]), (405, &json!(["POST"])));
}

#[test]
fn chaos_is_set_shown_and_cleared() {
    let registry = registry();
    let rule = json!({
        "target": "payment",
        "method": "*",
        "share": 0.5,
        "fault": {"error": "UNAVAILABLE"},
        "for_ms": 60_000,
    });
    let set = (200, json!({"chaos": [{"rule": rule, "struck": 0, "over": false}]}));
    assert_eq!(ask(&registry, "PUT", "/chaos", &json!([rule]).to_string()), set);
    assert_eq!(ask(&registry, "GET", "/chaos", ""), set);
    assert_eq!(registry.snapshot()["chaos"], set.1["chaos"]);
    assert_eq!(ask(&registry, "DELETE", "/chaos", ""), (200, json!({"chaos": []})));
    assert_eq!(ask(&registry, "GET", "/chaos", ""), (200, json!({"chaos": []})));
}

#[test]
fn wrong_rules_are_explained_and_change_nothing() {
    let registry = registry();
    ask(&registry, "PUT", "/chaos", r#"[{"fault": "hang"}]"#);
    let before = ask(&registry, "GET", "/chaos", "");
    for (wrong, expected) in [
        (r#"[{"fault": "hang"}, {"fault": "hang", "share": 2}]"#, "rules[1]: share is 2"),
        (r#"[{"fault": {"error": "OH_NO"}}]"#, "`UNAVAILABLE`"),
        (r#"{"fault": "hang"}"#, "expected a sequence"),
    ] {
        let (status, body) = ask(&registry, "PUT", "/chaos", wrong);
        let error = body["error"].as_str().unwrap();
        assert!(status == 400 && error.contains(expected), "{status} {error}");
        let example = body["example"].to_string();
        assert!(serde_json::from_str::<Vec<Rule>>(&example).is_ok(), "{example}");
    }
    assert_eq!(ask(&registry, "GET", "/chaos", ""), before);
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let registry = registry();
    for path in ["/breaker", "/breakers/a/b", "/metrics", "/chaos/1"] {
        let (status, body) = ask(&registry, "GET", path, "");
        assert_eq!(status, 404, "{path}");
        assert_eq!(body["paths"], json!(["/", "/breakers", "/breakers/{name}", "/chaos"]));
    }
    for (method, path, allowed) in
        [("POST", "/", json!(["GET"])), ("POST", "/chaos", json!(["GET", "PUT", "DELETE"]))]
    {
        let (status, body) = ask(&registry, method, path, "");
        assert_eq!((status, &body["allowed"]), (405, &allowed));
    }
    let (status, _) = ask(&registry, "PUT", "/chaos", &" ".repeat(MAX_BODY + 1));
    assert_eq!(status, 413);
}
