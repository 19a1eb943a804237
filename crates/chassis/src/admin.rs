//! What the machinery around a process asks it: does it live, is it ready? And what
//! those who run it can see and command: breakers, chaos, and what is logged.
//!
//! It has a port of its own, so that it answers when the public one is full, and
//! so that nobody outside can ask.

mod log;
mod metrics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::routing::{any, get};
use axum::{Json, Router};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use trellis_resilience::registry::{self, Registry};
use trellis_telemetry::{LogLevels, Metrics};

use crate::listen::{self, Limits};
use crate::measure::Calls;
use crate::server::Front;
use crate::shutdown::Shutdown;

/// What has to be there before this process can serve.
///
/// Cheap to clone; all clones are one. Ready when every gate is open, and not ready
/// from the moment the process begins to leave.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<u64, Expected>>>);

/// One thing that readiness waits for. Closed until [`Gate::open`]; dropping it
/// changes nothing.
#[derive(Debug)]
pub struct Gate {
    key: u64,
    readiness: Readiness,
}

#[derive(Debug)]
struct Expected {
    name: &'static str,
    open: bool,
}

impl Readiness {
    /// Keeps the process "not ready" until the gate is open.
    pub fn expect(&self, name: &'static str) -> Gate {
        let mut gates = self.gates();
        let key = gates.last_key_value().map_or(0, |(last, _)| last + 1);
        gates.insert(key, Expected { name, open: false });
        Gate { key, readiness: self.clone() }
    }

    /// The names of the closed gates; empty when ready.
    pub fn missing(&self) -> Vec<&'static str> {
        self.gates().values().filter(|gate| !gate.open).map(|gate| gate.name).collect()
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<u64, Expected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    pub fn open(&self) {
        self.set(true);
    }

    /// Takes readiness back, as when a database is lost for long.
    pub fn close(&self) {
        self.set(false);
    }

    fn set(&self, open: bool) {
        if let Some(gate) = self.readiness.gates().get_mut(&self.key) {
            gate.open = open;
        }
    }
}

/// Where breakers and chaos are seen and commanded.
const RESILIENCE: &str = "/debug/resilience";

/// What the admin port of a process tells, and what it commands.
#[derive(Clone, Debug)]
pub struct Admin {
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For `/debug/resilience`.
    pub registry: Registry,
    /// For `/debug/log`.
    pub levels: LogLevels,
    /// For `/metrics`, if they are to be shown.
    pub metrics: Option<Metrics>,
}

/// Answers `/livez`, `/readyz`, `/debug/resilience`, `/debug/log`, and `/metrics` if
/// there are any to be shown, on `listener` until the stop is requested. Whoever reaches
/// it may command, so it is not for customers.
pub fn serve(listener: TcpListener, admin: Admin, shutdown: &Shutdown) {
    let Admin { readiness, registry, levels, metrics } = admin;
    let calls = Calls::served(&Metrics::default(), &Arc::default());
    let front = Front::open("admin", &Registry::new(registry.environment().clone()), calls);
    let router = router(readiness, shutdown).merge(resilience(registry)).merge(log::router(levels));
    let router = match metrics {
        Some(metrics) => router.merge(metrics::router(metrics)),
        None => router,
    };
    listen::http("admin", router, listener, Limits::INTERNAL, front, shutdown);
}

fn resilience(registry: Registry) -> Router {
    let answer = move |method: Method, uri: Uri, body: Bytes| async move {
        let path = uri.path().strip_prefix(RESILIENCE).unwrap_or_default();
        let (status, answer): (StatusCode, Value) =
            registry::admin::answer(&registry, &method, path, &body);
        (status, Json(answer))
    };
    let below = format!("{RESILIENCE}/{{*path}}");
    Router::new().route(RESILIENCE, any(answer.clone())).route(&below, any(answer))
}

fn router(readiness: Readiness, shutdown: &Shutdown) -> Router {
    let shutdown = shutdown.clone();
    let ready = move || {
        let answer = readyz(&readiness, &shutdown);
        async move { answer }
    };
    // Alive means that the runtime still turns: nothing else is asked, since a
    // restart heals nothing else.
    Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready))
}

fn readyz(readiness: &Readiness, shutdown: &Shutdown) -> (StatusCode, String) {
    if shutdown.is_leaving() {
        return (StatusCode::SERVICE_UNAVAILABLE, "leaving\n".to_owned());
    }
    let missing = readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", ")))
}
