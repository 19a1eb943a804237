//! The registry over HTTP, for any web framework to mount.
//!
//! | Method | Path | Body |
//! | --- | --- | --- |
//! | `GET` | `/` | |
//! | `GET` | `/breakers` | |
//! | `POST` | `/breakers/{name}` | `{"mode": "forced_open"}` |
//! | `GET` | `/chaos` | |
//! | `PUT` | `/chaos` | `[{"target": "payment", "share": 0.5, "fault": "hang"}]` |
//! | `DELETE` | `/chaos` | |
//!
//! Whoever mounts it decides who may ask: a breaker that is forced open, or chaos, is
//! an outage.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CommandError, Registry};
use crate::chaos::Rule;
use crate::core::breaker::Mode;

/// Longer bodies are refused, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

type Answer = (StatusCode, Value);

/// How a mode stands in JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenMode {
    Normal,
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeCommand {
    mode: WrittenMode,
}

/// The status and the JSON body that answer a request. `path` is what follows the place
/// where this is mounted, such as `/debug/resilience`, without the query.
pub fn answer(registry: &Registry, method: &Method, path: &str, body: &[u8]) -> Answer {
    if MAX_BODY < body.len() {
        let error = format!("the body has {} bytes; at most {MAX_BODY} are read", body.len());
        return (StatusCode::PAYLOAD_TOO_LARGE, json!({ "error": error }));
    }
    let path = path.trim_matches('/');
    match path.split_once('/') {
        None if path.is_empty() => root(registry, method),
        None if path == "breakers" => breakers(registry, method),
        None if path == "chaos" => chaos(registry, method, body),
        Some(("breakers", name)) if !name.contains('/') => breaker(registry, method, name, body),
        _ => {
            let paths = ["/", "/breakers", "/breakers/{name}", "/chaos"];
            let error = format!("there is nothing at \"/{path}\"");
            (StatusCode::NOT_FOUND, json!({ "error": error, "paths": paths }))
        }
    }
}

/// `GET /`: the snapshot.
pub fn root(registry: &Registry, method: &Method) -> Answer {
    match *method {
        Method::GET => (StatusCode::OK, registry.snapshot()),
        _ => not_allowed(method, &["GET"]),
    }
}

/// `GET /breakers`: the state of each.
pub fn breakers(registry: &Registry, method: &Method) -> Answer {
    match *method {
        Method::GET => (StatusCode::OK, registry.breaker_snapshots()),
        _ => not_allowed(method, &["GET"]),
    }
}

/// `POST /breakers/{name}`: sets a mode.
pub fn breaker(registry: &Registry, method: &Method, name: &str, body: &[u8]) -> Answer {
    if method != Method::POST {
        return not_allowed(method, &["POST"]);
    }
    let command: ModeCommand = match serde_json::from_slice(body) {
        Ok(command) => command,
        Err(error) => return bad_request(&error, &json!({ "mode": "forced_open" })),
    };
    let mode = Mode::from(command.mode);
    match registry.set_breaker_mode(name, mode) {
        Ok(()) => (StatusCode::OK, json!({ "breaker": name, "mode": mode })),
        Err(CommandError::UnknownBreaker { known, .. }) => {
            let error = format!("there is no breaker {name:?}");
            (StatusCode::NOT_FOUND, json!({ "error": error, "breakers": known }))
        }
    }
}

/// `GET`, `PUT` and `DELETE /chaos`: the rules and what they have done.
pub fn chaos(registry: &Registry, method: &Method, body: &[u8]) -> Answer {
    match *method {
        Method::GET => {}
        Method::PUT => {
            let set = serde_json::from_slice::<Vec<Rule>>(body)
                .map_err(|error| error.to_string())
                .and_then(|rules| registry.set_chaos(rules).map_err(|error| error.to_string()));
            if let Err(error) = set {
                let rule = json!({ "target": "payment", "share": 0.5, "fault": "hang" });
                return bad_request(&error, &json!([rule]));
            }
        }
        Method::DELETE => registry.clear_chaos(),
        _ => return not_allowed(method, &["GET", "PUT", "DELETE"]),
    }
    (StatusCode::OK, json!({ "chaos": registry.chaos().standing() }))
}

fn bad_request(error: &dyn ToString, example: &Value) -> Answer {
    (StatusCode::BAD_REQUEST, json!({ "error": error.to_string(), "example": example }))
}

fn not_allowed(method: &Method, allowed: &[&str]) -> Answer {
    let error = format!("{method} is not possible here");
    (StatusCode::METHOD_NOT_ALLOWED, json!({ "error": error, "allowed": allowed }))
}

impl From<WrittenMode> for Mode {
    fn from(written: WrittenMode) -> Self {
        match written {
            WrittenMode::Normal => Self::Normal,
            WrittenMode::ForcedOpen => Self::ForcedOpen,
            WrittenMode::Disabled => Self::Disabled,
            WrittenMode::MetricsOnly => Self::MetricsOnly,
        }
    }
}

#[cfg(test)]
mod tests;
