//! The public door of the shop.
//!
//! It knows who is calling, brings together what several services know, and
//! answers gRPC and HTTP/JSON on one port. It keeps nothing that would be missed:
//! any instance can serve any call, and what one remembers of the catalogue is only
//! there to be shown when the inventory is away.

pub mod audit;

mod admin;
mod api;
mod caching;
mod consistency;
mod door;
mod error;
mod identity;
mod json;
mod limit;
mod meters;
mod peers;
mod remembered;
mod views;

use std::sync::Arc;

use axum::Router;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tonic::service::Routes;
use trellis_api::limits::{Bounded as _, MAX_PUBLIC_MESSAGE};
use trellis_api::shop::v1::admin_service_server::AdminServiceServer;
use trellis_api::shop::v1::shop_service_server::ShopServiceServer;
use trellis_cache::Redis;
use trellis_chassis::transport::{Edge, Roads, Transport};
use trellis_chassis::{Clock, Front, Shutdown, listen};
use trellis_events::bus::Bus;

use crate::consistency::Consistency;
use crate::meters::Meters;

pub use peers::Peers;

/// How the gateway behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Calls a second that one client address, or network of IPv6 (/64), may make; 0 sets
    /// no limit.
    pub rate_limit_per_second: u32,
    /// Calls that one client address may make at once on top of its rate.
    pub rate_limit_burst: u32,
    /// Takes the client's address from the last entry of `x-forwarded-for`;
    /// only right behind a proxy that sets it.
    pub trust_forwarded_for: bool,
}

/// What the gateway needs from the world.
pub struct Needs {
    /// The user service.
    pub user: Transport,
    /// The inventory service.
    pub inventory: Transport,
    /// The payment service.
    pub payment: Transport,
    /// The order service.
    pub order: Transport,
    /// The recommendation service.
    pub recommendation: Transport,
    /// How its own JSON form reaches it.
    pub roads: Roads,
    /// What stands before it.
    pub front: Front,
    /// Where product views go.
    pub bus: Arc<dyn Bus>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What those who run the shop must show.
    pub admin_token: SecretString,
    /// Where all gateways count together how often an address calls; without it, each
    /// counts for itself.
    pub redis: Option<Redis>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rate_limit_per_second: 0, rate_limit_burst: 100, trust_forwarded_for: false }
    }
}

/// Starts the background work and returns the router that answers everything.
pub fn start(settings: &Settings, needs: Needs, shutdown: &Shutdown) -> anyhow::Result<Router> {
    let peers = Peers::new(&needs);
    let views = views::start(Arc::clone(&needs.bus), Arc::clone(&needs.clock), shutdown);

    let remembered = remembered::Remembered::new(Arc::clone(&needs.clock));
    let meters = Meters::new(needs.roads.metrics());
    let consistency = Consistency::new(&needs.admin_token);
    let shop = api::Shop::new(peers.clone(), remembered, views, meters, consistency.clone());
    let shop = ShopServiceServer::new(shop).at_the_edge();
    let admin = AdminServiceServer::new(admin::Admin::new(peers, needs.admin_token, needs.clock))
        .at_the_edge();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(trellis_api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health")
            .with_service_name("trellis.shop.v1.ShopService")
            .with_service_name("trellis.shop.v1.AdminService")
    };
    let routes = Routes::new(shop)
        .add_service(admin)
        .add_service(listen::health(shutdown))
        .add_service(reflection().build_v1()?.max_decoding_message_size(MAX_PUBLIC_MESSAGE))
        // grpcurl before 1.8.8 knows only this version.
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(MAX_PUBLIC_MESSAGE));

    let around = axum::middleware::from_fn_with_state(consistency, consistency::layer);
    let routes = Routes::from(routes.prepare().into_axum_router().layer(around));

    let json = needs.roads.behind(&needs.front, &Edge::plain("json.gateway"), routes.clone());
    let clock = Arc::clone(&needs.roads.registry().environment().clock);
    Ok(limit::layer(settings, door::router(routes, json)?, clock, needs.redis))
}
