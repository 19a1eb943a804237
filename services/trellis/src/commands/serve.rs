//! Answers calls until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use trellis_chassis::admin::{self, Admin, Readiness};
use trellis_chassis::listen::Limits;
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, SystemClock, listen};
use trellis_telemetry::Telemetry;

use super::say;
use crate::cli::Serve;
use crate::compose::{self, World};
use crate::config::Config;
use crate::edges;
use crate::methods;
use crate::role::{Role, Roles};

pub(super) async fn run(
    serve: Serve,
    config: Config,
    telemetry: &Telemetry,
) -> anyhow::Result<ExitCode> {
    let roles = Roles::new(serve.roles);
    let mut signals = Signals::listen()?;
    let shutdown = Shutdown::new(Duration::from_secs(config.leave_seconds(&roles)));

    // The doors come first: an address that is taken ends this before any work is done.
    let admin = listen::bind(config.admin_listen(&roles), "TRELLIS_ADMIN_LISTEN").await?;
    let door = listen::bind(config.listen(&roles), "TRELLIS_LISTEN").await?;
    let internal = match &config.internal_listen {
        Some(address) => Some(listen::bind(address, "TRELLIS_INTERNAL_LISTEN").await?),
        None => None,
    };
    let (address, admin_address) = (door.local_addr()?, admin.local_addr()?);

    let metrics = telemetry.metrics();
    metrics.watch_process();
    let roads = Roads::counting(metrics, methods::all());
    let front = roads.front("door", edges::arrivals());
    let readiness = Readiness::default();
    let gate = readiness.expect("services");
    let admin_port = Admin {
        readiness,
        registry: roads.registry().clone(),
        levels: telemetry.levels(),
        metrics: telemetry.shows_metrics().then(|| metrics.clone()),
    };
    admin::serve(admin, admin_port, &shutdown);

    let world = World {
        clock: Arc::new(SystemClock),
        roads: roads.clone(),
        front: front.clone(),
        storage: trellis_storage::Options::default(),
    };
    let mut shop = compose::start(&roles, &config, &world, &shutdown).await?;
    match (shop.gateway.take(), internal) {
        (Some(gateway), internal) => {
            listen::http("gateway", gateway, door, Limits::EDGE, front, &shutdown);
            if let Some(internal) = internal {
                let router = shop.internal(&shutdown)?;
                let front = roads.front("internal", edges::arrivals());
                listen::http("internal", router, internal, Limits::INTERNAL, front, &shutdown);
            }
        }
        (None, None) => {
            let router = shop.internal(&shutdown)?;
            listen::http("services", router, door, Limits::INTERNAL, front, &shutdown);
        }
        (None, Some(_)) => anyhow::bail!(
            "TRELLIS_INTERNAL_LISTEN is for a process that runs the gateway: use TRELLIS_LISTEN"
        ),
    }
    gate.open();
    announce(&roles, &config, &address.to_string(), &admin_address.to_string());

    tokio::select! {
        name = signals.next() => tracing::info!(signal = name, "stopping"),
        () = shutdown.requested() => tracing::error!("a task failed, stopping"),
    }
    stop(&shutdown, &config, &mut signals).await
}

/// Finishes what is in flight; a second signal ends it at once.
async fn stop(
    shutdown: &Shutdown,
    config: &Config,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    shutdown.request();
    let grace = Duration::from_secs(config.grace_seconds);
    tokio::select! {
        finished = shutdown.finish(grace) => finished.map(|()| ExitCode::SUCCESS),
        name = signals.next() => anyhow::bail!("{name} came again: stopped at once"),
    }
}

fn announce(roles: &Roles, config: &Config, address: &str, admin: &str) {
    if config.has_published_password() {
        tracing::warn!(
            "this shop has the password of docker-compose.yml, which everybody can read: \
             set FLEET_PASSWORD before others than you can reach it"
        );
    }
    tracing::info!(%roles, address, admin, "ready");
    if !roles.has(Role::Gateway) {
        return say(&format!("ready: {roles} on {address}, health on http://{admin}/readyz"));
    }
    say(&format!(
        r#"
Trellis is ready: {roles}.

  gRPC and JSON   http://{address}
  health          http://{admin}/readyz
  records         {data}

Try these in another terminal:

  grpcurl -plaintext {address} list
  grpcurl -plaintext -d '{{"query": "mug"}}' {address} trellis.shop.v1.ShopService/ListProducts
  grpcurl -plaintext -d '{{"email": "ada@example.com", "password": "correct horse", "display_name": "Ada"}}' {address} trellis.shop.v1.ShopService/SignUp

Ctrl-C stops it.
"#,
        data = config.data_dir.display(),
    ));
}

/// The ways to ask a process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let (terminate, interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
