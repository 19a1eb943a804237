//! Carts, at today's prices.

use trellis_api::error::Violation;
use trellis_api::id::UserId;
use trellis_api::shop::v1::Cart;

use crate::catalog;
use crate::domain::Line;
use crate::error::Error;
use crate::render;

use super::Parts;
use super::parse::CartChange;

impl Parts {
    pub(super) async fn cart(&self, user_id: UserId) -> Result<Cart, Error> {
        let lines = self.store.cart(user_id).await?;
        self.priced(&lines).await
    }

    pub(super) async fn set_cart_item(&self, change: CartChange) -> Result<Cart, Error> {
        let CartChange { user_id, sku, quantity } = change;
        if quantity.is_some() {
            let products = catalog::products(&self.peers, std::iter::once(&sku)).await?;
            if products.is_empty() {
                return Err(Violation::new("sku", "must be a product that exists").into());
            }
        }
        let now = self.clock.now();
        let lines = self.store.set_cart_item(user_id, sku, quantity, now).await?;
        self.priced(&lines.ok_or(Error::CartFull)?).await
    }

    async fn priced(&self, lines: &[Line]) -> Result<Cart, Error> {
        let products = catalog::products(&self.peers, lines.iter().map(|line| &line.sku)).await?;
        Ok(render::cart(lines, &products))
    }
}
