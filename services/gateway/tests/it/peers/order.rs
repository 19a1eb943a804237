//! Carts, and checkouts whose payment never answers.

use std::time::Duration;

use futures::stream::Empty;
use tonic::{Request, Response, Status};
use trellis_api::order::v1 as pb;
use trellis_api::order::v1::order_service_server::OrderService;
use trellis_api::shop::v1 as shop;
use trellis_api::shop::v1::order::State;
use trellis_chassis::deadline;
use trellis_consistency::{Position, context};

use super::{Call, Peers, not_asked};

/// What is left of the caller's time for the answer's way back.
const WAY_BACK: Duration = Duration::from_millis(100);

/// Where every change of a cart is in the log of the order database.
pub(crate) const WRITTEN: Position = Position { timeline: 1, lsn: 0x2A };

#[tonic::async_trait]
impl OrderService for Peers {
    type WatchOrderStream = Empty<Result<pb::WatchOrderResponse, Status>>;
    type AuditOrdersStream = Empty<Result<pb::AuditOrdersResponse, Status>>;

    async fn get_cart(
        &self,
        _: Request<pb::GetCartRequest>,
    ) -> Result<Response<pb::GetCartResponse>, Status> {
        self.answer(&[], |state| {
            state.needed = context::needed("order/0");
            Ok(state.cart.clone())
        })
        .await
    }

    async fn set_cart_item(
        &self,
        _: Request<pb::SetCartItemRequest>,
    ) -> Result<Response<pb::SetCartItemResponse>, Status> {
        self.answer(&[], |state| {
            context::note("order/0", WRITTEN);
            let pb::GetCartResponse { cart, degraded } = state.cart.clone();
            Ok(pb::SetCartItemResponse { cart, degraded })
        })
        .await
    }

    /// Waits for a payment for as long as its caller does, as its contract says. One
    /// that is told no deadline waits for ever.
    async fn checkout(
        &self,
        request: Request<pb::CheckoutRequest>,
    ) -> Result<Response<pb::CheckoutResponse>, Status> {
        let pb::CheckoutRequest { user_id, .. } = request.into_inner();
        let answer = self.answer(&[Call::Checkout], |_| {
            let state = State::Pending.into();
            let order = shop::Order { user_id, state, ..shop::Order::default() };
            Ok(pb::CheckoutResponse { order: Some(order) })
        });
        let answer = answer.await?;
        match deadline::remaining() {
            Some(left) => tokio::time::sleep(left.saturating_sub(WAY_BACK)).await,
            None => std::future::pending().await,
        }
        Ok(answer)
    }

    async fn cancel_order(
        &self,
        _: Request<pb::CancelOrderRequest>,
    ) -> Result<Response<pb::CancelOrderResponse>, Status> {
        self.answer(&[Call::Cancel], |_| Ok(pb::CancelOrderResponse::default())).await
    }

    async fn get_order(
        &self,
        _: Request<pb::GetOrderRequest>,
    ) -> Result<Response<pb::GetOrderResponse>, Status> {
        Err(not_asked())
    }

    async fn list_orders(
        &self,
        _: Request<pb::ListOrdersRequest>,
    ) -> Result<Response<pb::ListOrdersResponse>, Status> {
        Err(not_asked())
    }

    async fn watch_order(
        &self,
        _: Request<pb::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        Err(not_asked())
    }

    async fn audit_orders(
        &self,
        _: Request<pb::AuditOrdersRequest>,
    ) -> Result<Response<Self::AuditOrdersStream>, Status> {
        Err(not_asked())
    }
}
