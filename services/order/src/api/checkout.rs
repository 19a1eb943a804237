//! Buys, once for each request.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::time::Instant;
use tonic::{Response, Status};
use trellis_api::Money;
use trellis_api::error::Violation;
use trellis_api::id::OrderId;
use trellis_api::order::v1::CheckoutResponse;
use trellis_consistency::context;

use crate::answer;
use crate::catalog;
use crate::domain::{Item, Line, Order, PriceError, State, price};
use crate::error::Error;
use crate::saga::Saga;
use crate::store::{CheckoutRequest, Known};

use super::Parts;
use super::parse::Checkout;
use super::wait::until;

type Answered = Result<Response<CheckoutResponse>, Status>;

impl Parts {
    pub(super) async fn checkout(&self, checkout: Checkout) -> Answered {
        let until = until();
        let Checkout { request, payment_token, lines } = checkout;
        if let Some(known) = self.store.find(request).await.map_err(Error::from)? {
            return self.repeat(request, known, until).await;
        }

        let from_cart = lines.is_empty();
        let order = self.priced_order(&request, lines).await?;
        let permit = self.runner.admit()?;
        let mut watching = self.runner.progress().watch(order.order_id);
        let saga = Saga::checkout(order.clone(), payment_token, from_cart);
        let begun = self.runner.begin(saga, request.fingerprint, permit).await;
        if let Some(known) = begun.map_err(Error::from)? {
            return self.repeat(request, known, until).await;
        }

        let update = self.wait(&mut watching, order, until, State::is_final).await;
        match update.answer {
            Some(answer) => answer::give(&answer),
            None => self.stored_answer(request, &update.order).await,
        }
    }

    /// Prices what is to be bought. Without the catalogue there is no price and no
    /// order: nothing has begun, and the request may be made again.
    ///
    /// The order's time is from before the cart is read, so that what is put into the
    /// cart meanwhile is still in it afterwards.
    async fn priced_order(
        &self,
        request: &CheckoutRequest,
        lines: Vec<Line>,
    ) -> Result<Order, Error> {
        let now = self.clock.now();
        let from_cart = lines.is_empty();
        let lines = if from_cart {
            context::strictly(self.store.cart(request.user_id)).await?
        } else {
            lines
        };
        if lines.is_empty() {
            return Err(Error::CartEmpty);
        }
        let skus = lines.iter().map(|line| &line.sku);
        // What is charged is what the inventory has, and not what a replica has of it.
        let found = catalog::products(&self.peers, skus, catalog::until());
        let products = context::strictly(Box::pin(found)).await?;
        let (items, total) = price(&lines, &products).map_err(|error| match error {
            PriceError::UnknownProduct { index } if from_cart => {
                Error::CartStale { sku: lines[index].sku.clone() }
            }
            PriceError::UnknownProduct { index } => {
                Violation::new(format!("items[{index}].sku"), "must be a product that exists")
                    .into()
            }
            PriceError::MixedCurrencies => Error::MixedCurrencies,
            PriceError::OutOfRange => Error::TotalOutOfRange,
            PriceError::NothingToPay => Error::NothingToPay,
        })?;
        Ok(pending(request, items.into(), total, now))
    }

    /// Answers a request that was made before, as it was answered or as soon as it is.
    async fn repeat(&self, request: CheckoutRequest, known: Known, until: Instant) -> Answered {
        match known {
            Known::Mismatch => Err(Error::RequestIdReused.into()),
            Known::Answered(answer) => answer::mark_replayed(answer::give(&answer)),
            Known::Late(order) => answer::mark_replayed(Ok(Response::new(answer::success(&order)))),
            Known::Running(order_id) => {
                answer::mark_replayed(self.attach(request, order_id, until).await)
            }
        }
    }

    async fn attach(
        &self,
        request: CheckoutRequest,
        order_id: OrderId,
        until: Instant,
    ) -> Answered {
        let mut watching = self.runner.progress().watch(order_id);
        let order = self.order(request.user_id, order_id).await?;
        let update = self.wait(&mut watching, order, until, State::is_final).await;
        match update.answer {
            Some(answer) => answer::give(&answer),
            None => self.stored_answer(request, &update.order).await,
        }
    }

    /// The answer to a request whose order was last seen as `order`.
    async fn stored_answer(&self, request: CheckoutRequest, order: &Order) -> Answered {
        if order.state.is_final()
            && let Some(Known::Answered(answer)) =
                self.store.find(request).await.map_err(Error::from)?
        {
            return answer::give(&answer);
        }
        Ok(Response::new(answer::success(order)))
    }
}

fn pending(
    request: &CheckoutRequest,
    items: Arc<[Item]>,
    total: Money,
    now: OffsetDateTime,
) -> Order {
    let CheckoutRequest { user_id, request_id, .. } = *request;
    let order_id = OrderId::new(now, user_id.bucket());
    let state = State::Pending;
    Order { order_id, user_id, request_id, items, total, state, create_time: now, update_time: now }
}
