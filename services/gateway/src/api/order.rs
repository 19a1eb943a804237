//! Orders.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};
use trellis_api::order::v1 as order;
use trellis_api::shop::v1 as pb;

use super::Answer;
use crate::error::repeat_with_the_same_id;
use crate::identity::UserId;
use crate::peers::Peers;

/// Says that an answer is one that was given before.
const REPLAYED: &str = "idempotency-replayed";

type Watch = Pin<Box<dyn Stream<Item = Result<pb::WatchOrderResponse, Status>> + Send>>;

pub(super) async fn checkout(
    peers: &Peers,
    user_id: UserId,
    request: pb::CheckoutRequest,
) -> Answer<pb::CheckoutResponse> {
    let pb::CheckoutRequest { request_id, payment_token, items } = request;
    let request = order::CheckoutRequest { user_id, request_id, payment_token, items };
    let answer = peers.order.clone().checkout(request).await.map_err(repeat_with_the_same_id)?;
    Ok(pass_on(answer, |answer| pb::CheckoutResponse { order: answer.order }))
}

pub(super) async fn get(
    peers: &Peers,
    user_id: UserId,
    request: pb::GetOrderRequest,
) -> Answer<pb::GetOrderResponse> {
    let request = order::GetOrderRequest { user_id, order_id: request.order_id };
    let found = peers.order.clone().get_order(request).await?.into_inner();
    Ok(Response::new(pb::GetOrderResponse { order: found.order }))
}

pub(super) async fn list(
    peers: &Peers,
    user_id: UserId,
    request: pb::ListOrdersRequest,
) -> Answer<pb::ListOrdersResponse> {
    let pb::ListOrdersRequest { page_size, page_token } = request;
    let request = order::ListOrdersRequest { user_id, page_size, page_token };
    let order::ListOrdersResponse { orders, next_page_token } =
        peers.order.clone().list_orders(request).await?.into_inner();
    Ok(Response::new(pb::ListOrdersResponse { orders, next_page_token }))
}

pub(super) async fn cancel(
    peers: &Peers,
    user_id: UserId,
    request: pb::CancelOrderRequest,
) -> Answer<pb::CancelOrderResponse> {
    let pb::CancelOrderRequest { order_id, request_id } = request;
    let request = order::CancelOrderRequest { user_id, order_id, request_id };
    let answer =
        peers.order.clone().cancel_order(request).await.map_err(repeat_with_the_same_id)?;
    Ok(pass_on(answer, |answer| pb::CancelOrderResponse { order: answer.order }))
}

pub(super) async fn watch(
    peers: &Peers,
    user_id: UserId,
    request: pb::WatchOrderRequest,
) -> Answer<Watch> {
    let request = order::WatchOrderRequest { user_id, order_id: request.order_id };
    let states = peers.order.clone().watch_order(request).await?.into_inner();
    let states = states.map(|state| Ok(pb::WatchOrderResponse { order: state?.order }));
    Ok(Response::new(Box::pin(states)))
}

/// Translates an answer, and keeps what it says about being a repetition.
fn pass_on<A, B>(answer: Response<A>, translate: impl FnOnce(A) -> B) -> Response<B> {
    let replayed = answer.metadata().get(REPLAYED).cloned();
    let mut metadata = MetadataMap::new();
    if let Some(replayed) = replayed {
        metadata.insert(REPLAYED, replayed);
    }
    let (_, message, extensions) = answer.into_parts();
    Response::from_parts(metadata, translate(message), extensions)
}
