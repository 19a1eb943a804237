//! What the service answers: parse, do one thing, say what came of it.

mod audit;
mod cancel;
mod cart;
mod checkout;
mod parse;
mod wait;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};
use trellis_api::id::OrderId;
use trellis_api::limits;
use trellis_api::order::v1 as pb;
use trellis_api::order::v1::order_service_server::OrderService;
use trellis_api::page;
use trellis_chassis::{Clock, Shutdown};
use trellis_storage::{from_micros, micros};

use crate::render;
use crate::runner::Runner;
use crate::saga::Peers;
use crate::store::{Place, Store};

use self::cart::Shown;

/// The service.
#[derive(Clone)]
pub(crate) struct Orders(Arc<Parts>);

struct Parts {
    store: Arc<dyn Store>,
    peers: Peers,
    runner: Runner,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
}

/// Where a page of orders ends.
#[derive(Serialize, Deserialize)]
struct Cursor {
    create_time: i64,
    order_id: OrderId,
}

/// What the lists' tokens are bound to.
const LIST: &str = "orders";

impl Orders {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        peers: Peers,
        runner: Runner,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        Self(Arc::new(Parts { store, peers, runner, clock, shutdown }))
    }
}

#[async_trait]
impl OrderService for Orders {
    type WatchOrderStream = BoxStream<'static, Result<pb::WatchOrderResponse, Status>>;
    type AuditOrdersStream = BoxStream<'static, Result<pb::AuditOrdersResponse, Status>>;

    async fn get_cart(
        &self,
        request: Request<pb::GetCartRequest>,
    ) -> Result<Response<pb::GetCartResponse>, Status> {
        let user_id = parse::user_id(&request.into_inner().user_id)?;
        let Shown { cart, degraded } = self.0.cart(user_id).await?;
        Ok(Response::new(pb::GetCartResponse { cart: Some(cart), degraded }))
    }

    async fn set_cart_item(
        &self,
        request: Request<pb::SetCartItemRequest>,
    ) -> Result<Response<pb::SetCartItemResponse>, Status> {
        let change = parse::cart_change(&request.into_inner())?;
        let Shown { cart, degraded } = self.0.set_cart_item(change).await?;
        Ok(Response::new(pb::SetCartItemResponse { cart: Some(cart), degraded }))
    }

    async fn checkout(
        &self,
        request: Request<pb::CheckoutRequest>,
    ) -> Result<Response<pb::CheckoutResponse>, Status> {
        let checkout = parse::checkout(&request.into_inner())?;
        self.0.checkout(checkout).await
    }

    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> Result<Response<pb::GetOrderResponse>, Status> {
        let pb::GetOrderRequest { user_id, order_id } = request.into_inner();
        let (user_id, order_id) = parse::order(&user_id, &order_id)?;
        let order = self.0.order(user_id, order_id).await?;
        Ok(Response::new(pb::GetOrderResponse { order: Some(render::order(&order)) }))
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> Result<Response<pb::ListOrdersResponse>, Status> {
        let wanted = parse::list(&request.into_inner())?;
        let after = wanted.after.map(|Cursor { create_time, order_id }| Place {
            create_time: from_micros(create_time),
            order_id,
        });
        let size = wanted.page_size.get();
        let orders = self.0.store.orders(wanted.user_id, after, size + 1).await?;
        let page = &orders[..orders.len().min(size as usize)];
        // A page of large orders is cut short, and the next one goes on there.
        let mut rendered: Vec<_> = page.iter().map(render::order).collect();
        rendered.truncate(limits::fitting(&rendered));
        let next_page_token = match page[..rendered.len()].last() {
            Some(last) if rendered.len() < orders.len() => {
                let cursor =
                    Cursor { create_time: micros(last.create_time), order_id: last.order_id };
                page::encode(LIST, &wanted.user_id.to_string(), &cursor)
            }
            _ => String::new(),
        };
        Ok(Response::new(pb::ListOrdersResponse { orders: rendered, next_page_token }))
    }

    async fn cancel_order(
        &self,
        request: Request<pb::CancelOrderRequest>,
    ) -> Result<Response<pb::CancelOrderResponse>, Status> {
        let cancel = parse::cancel(&request.into_inner(), self.0.clock.now())?;
        self.0.cancel(cancel).await
    }

    async fn watch_order(
        &self,
        request: Request<pb::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let pb::WatchOrderRequest { user_id, order_id } = request.into_inner();
        let (user_id, order_id) = parse::order(&user_id, &order_id)?;
        let stream = watch::states(Arc::clone(&self.0), user_id, order_id).await?;
        Ok(Response::new(stream))
    }

    async fn audit_orders(
        &self,
        _: Request<pb::AuditOrdersRequest>,
    ) -> Result<Response<Self::AuditOrdersStream>, Status> {
        Ok(Response::new(audit::parts(Arc::clone(&self.0))))
    }
}
