//! Carts.

use tonic::{Response, Status};
use trellis_api::order::v1 as order;
use trellis_api::shop::v1 as pb;
use trellis_api::{Money, Quantity, Sku, error};

use super::Answer;
use crate::identity::UserId;
use crate::peers::Peers;

pub(super) async fn get(
    peers: &Peers,
    user_id: UserId,
    request: pb::GetCartRequest,
) -> Answer<pb::GetCartResponse> {
    let wanted: Option<Sku> = match request.sku.as_str() {
        "" => None,
        sku => Some(error::field("sku", sku)?),
    };
    let found = peers.order.clone().get_cart(order::GetCartRequest { user_id }).await?;
    let mut cart = found.into_inner().cart;
    if let (Some(sku), Some(cart)) = (wanted, &mut cart) {
        cart.items.retain(|item| item.sku == sku.as_str());
        cart.total = total(&cart.items)?;
    }
    Ok(Response::new(pb::GetCartResponse { cart }))
}

pub(super) async fn set(
    peers: &Peers,
    user_id: UserId,
    request: pb::SetCartItemRequest,
) -> Answer<pb::SetCartItemResponse> {
    let pb::SetCartItemRequest { sku, quantity } = request;
    let request = order::SetCartItemRequest { user_id, sku, quantity };
    let changed = peers.order.clone().set_cart_item(request).await?.into_inner();
    Ok(Response::new(pb::SetCartItemResponse { cart: changed.cart }))
}

/// The sum of what is left of a cart; nothing costs nothing in no currency.
fn total(items: &[pb::CartItem]) -> Result<Option<trellis_api::r#type::v1::Money>, Status> {
    let mut total: Option<Money> = None;
    for item in items {
        let price = item.unit_price.clone().and_then(|price| Money::try_from(price).ok());
        let quantity = Quantity::try_from(item.quantity).ok();
        let line = price.zip(quantity).and_then(|(price, quantity)| price.checked_mul(quantity));
        let line = line.ok_or_else(error::internal)?;
        total = Some(match total {
            None => line,
            Some(total) => total.checked_add(line).ok_or_else(error::internal)?,
        });
    }
    Ok(total.map(Into::into))
}
