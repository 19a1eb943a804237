//! Carts.

use tonic::Response;
use trellis_api::order::v1 as order;
use trellis_api::shop::v1 as pb;
use trellis_api::{Money, Quantity, Sku, error};

use super::{Answer, Shop};
use crate::identity::UserId;

pub(super) async fn get(
    shop: &Shop,
    user_id: UserId,
    request: pb::GetCartRequest,
) -> Answer<pb::GetCartResponse> {
    let wanted: Option<Sku> = match request.sku.as_str() {
        "" => None,
        sku => Some(error::field("sku", sku)?),
    };
    let found = shop.peers.order.clone().get_cart(order::GetCartRequest { user_id }).await?;
    let order::GetCartResponse { mut cart, degraded } = found.into_inner();
    shop.meters.degraded(&degraded);
    if let (Some(sku), Some(cart)) = (wanted, &mut cart) {
        cart.items.retain(|item| item.sku == sku.as_str());
        cart.total = total(&cart.items).map(Into::into);
    }
    Ok(Response::new(pb::GetCartResponse { cart, degraded }))
}

pub(super) async fn set(
    shop: &Shop,
    user_id: UserId,
    request: pb::SetCartItemRequest,
) -> Answer<pb::SetCartItemResponse> {
    let pb::SetCartItemRequest { sku, quantity } = request;
    let request = order::SetCartItemRequest { user_id, sku, quantity };
    let changed = shop.peers.order.clone().set_cart_item(request).await?.into_inner();
    let order::SetCartItemResponse { cart, degraded } = changed;
    shop.meters.degraded(&degraded);
    Ok(Response::new(pb::SetCartItemResponse { cart, degraded }))
}

/// The sum of what is left of a cart, if it is one: nothing costs nothing in no
/// currency, and a line without a price leaves no sum.
fn total(items: &[pb::CartItem]) -> Option<Money> {
    let amount = |item: &pb::CartItem| {
        let price = Money::try_from(item.unit_price.clone()?).ok()?;
        price.checked_mul(Quantity::try_from(item.quantity).ok()?)
    };
    items.iter().map(amount).reduce(|sum, amount| sum?.checked_add(amount?)).flatten()
}
