//! Carts, at today's prices.
//!
//! A cart is the customer's own, so it can be read, changed and emptied without the
//! catalogue; then it has no prices, and says so. Only what was never in it has to
//! be checked first: a product that cannot be is not put in.

use tokio::time::Instant;
use trellis_api::Sku;
use trellis_api::error::Violation;
use trellis_api::id::UserId;
use trellis_api::shop::v1::Cart;
use trellis_consistency::context;

use crate::catalog;
use crate::domain::Line;
use crate::error::Error;
use crate::render;
use crate::store::CartChanged;

use super::Parts;
use super::parse::CartChange;

/// A cart as the customer sees it.
pub(super) struct Shown {
    pub(super) cart: Cart,
    /// What could not be had.
    pub(super) degraded: Vec<String>,
}

impl Parts {
    pub(super) async fn cart(&self, user_id: UserId) -> Result<Shown, Error> {
        let until = catalog::until();
        let lines = self.store.cart(user_id).await?;
        self.priced(&lines, until).await
    }

    pub(super) async fn set_cart_item(&self, change: CartChange) -> Result<Shown, Error> {
        let until = catalog::until();
        let CartChange { user_id, sku, quantity } = change;
        let checked = match quantity {
            Some(_) => self.check(&sku, until).await,
            None => Ok(()),
        };
        // What is in the cart was checked when it was put in. Whether it is still
        // sold, the checkout asks in any case.
        let unchecked = match checked {
            Ok(()) => None,
            Err(cause @ Error::CatalogUnavailable(_)) if self.has(user_id, &sku).await? => {
                Some(cause)
            }
            Err(error) => return Err(error),
        };
        let now = self.clock.now();
        let changed = self.store.set_cart_item(user_id, sku, quantity, now).await?;
        let CartChanged { lines, was_empty } = changed.ok_or(Error::CartFull)?;
        if was_empty && !lines.is_empty() {
            self.runner.meters().cart_begun();
        }
        match unchecked {
            None => self.priced(&lines, until).await,
            // Asking again would only take the customer's time.
            Some(cause) => Ok(Shown::without_prices(&lines, &cause)),
        }
    }

    /// Refuses what is not a product.
    async fn check(&self, sku: &Sku, until: Instant) -> Result<(), Error> {
        let products = catalog::products(&self.peers, std::iter::once(sku), until).await?;
        if products.is_empty() {
            return Err(Violation::new("sku", "must be a product that exists").into());
        }
        Ok(())
    }

    async fn has(&self, user_id: UserId, sku: &Sku) -> Result<bool, Error> {
        Ok(context::strictly(self.store.cart(user_id)).await?.iter().any(|line| line.sku == *sku))
    }

    async fn priced(&self, lines: &[Line], until: Instant) -> Result<Shown, Error> {
        let skus = lines.iter().map(|line| &line.sku);
        match catalog::products(&self.peers, skus, until).await {
            Ok(products) => {
                Ok(Shown { cart: render::cart(lines, &products), degraded: Vec::new() })
            }
            Err(cause @ Error::CatalogUnavailable(_)) => Ok(Shown::without_prices(lines, &cause)),
            Err(error) => Err(error),
        }
    }
}

impl Shown {
    fn without_prices(lines: &[Line], cause: &Error) -> Self {
        let error = cause as &dyn std::error::Error;
        tracing::warn!(error, "a cart is shown without prices");
        Self { cart: render::unpriced_cart(lines), degraded: vec!["prices".to_owned()] }
    }
}
