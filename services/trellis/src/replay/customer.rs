//! A customer of the replay: an account, its session, and what it has bought.

use std::time::Duration;

use tonic::{Code, Request, Response, Status};
use trellis_api::error::{self, reason};
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport::Transport;

use super::plan::Account;
use super::{CANCEL, CHECKOUT, SIGN_IN, SIGN_UP, WATCH};
use crate::retail::Line;
use crate::session::{Credential, Shop, request};

/// How long one look at an order may take, as far as patience allows. If the order
/// was not final by then, another look follows.
const SHORTEST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// Someone who buys. One lane owns it, so nothing it does overlaps.
#[derive(Debug)]
pub(super) struct Customer {
    account: Account,
    session: Option<Credential>,
    /// Whether the account is known to exist.
    is_known: bool,
    purchases: Vec<Purchase>,
}

/// A confirmed order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Purchase {
    order_id: String,
    skus: Vec<String>,
}

impl Customer {
    pub(super) fn new(account: Account) -> Self {
        Self { account, session: None, is_known: false, purchases: Vec::new() }
    }

    /// Buys, and returns the order when it is final.
    pub(super) async fn buy(
        &mut self,
        shop: &Shop,
        purchase: pb::CheckoutRequest,
    ) -> Result<pb::Order, Status> {
        let checkout = |session: Credential| {
            shop.call(CHECKOUT, |answer: &pb::CheckoutResponse| ending(answer.order.as_ref()), {
                let purchase = purchase.clone();
                move |mut client| {
                    let request = request(purchase.clone(), Some(&session));
                    async move { client.checkout(request).await }
                }
            })
        };
        let order = self.signed_in(shop, checkout).await?.order.ok_or_else(no_order)?;
        let order = match order.state() {
            State::Pending => self.watch(shop, &order.order_id).await?,
            _ => order,
        };
        if order.state() == State::Confirmed {
            let skus = order.items.iter().map(|item| item.sku.clone()).collect();
            self.purchases.push(Purchase { order_id: order.order_id.clone(), skus });
        }
        Ok(order)
    }

    /// The latest purchase that has one of these products and was not given back.
    pub(super) fn find_purchase(&self, lines: &[Line]) -> Option<&str> {
        let has = |sku: &String| lines.iter().any(|line| line.sku.as_str() == sku);
        let found = self.purchases.iter().rev().find(|purchase| purchase.skus.iter().any(has));
        found.map(|purchase| purchase.order_id.as_str())
    }

    /// Gives an order back, and returns it when the money is back.
    pub(super) async fn give_back(
        &mut self,
        shop: &Shop,
        order_id: &str,
        request_id: String,
    ) -> Result<pb::Order, Status> {
        let wish = pb::CancelOrderRequest { order_id: order_id.to_owned(), request_id };
        let cancel = |session: Credential| {
            shop.call(CANCEL, |answer: &pb::CancelOrderResponse| ending(answer.order.as_ref()), {
                let wish = wish.clone();
                move |client| cancel(client, request(wish.clone(), Some(&session)))
            })
        };
        let order = self.signed_in(shop, cancel).await?.order.ok_or_else(no_order)?;
        self.purchases.retain(|purchase| purchase.order_id != order.order_id);
        Ok(order)
    }

    async fn watch(&mut self, shop: &Shop, order_id: &str) -> Result<pb::Order, Status> {
        let timeout = shop.patience().clamp(SHORTEST_LOOK, LONGEST_LOOK);
        let watch = |session: Credential| {
            let wish = pb::WatchOrderRequest { order_id: order_id.to_owned() };
            shop.call(
                WATCH,
                |order: &pb::Order| ending(Some(order)),
                move |client| {
                    let mut request = request(wish.clone(), Some(&session));
                    request.set_timeout(timeout);
                    watch(client, request)
                },
            )
        };
        self.signed_in(shop, watch).await
    }

    /// Makes a call with a session, and once more with a new one if it is over.
    async fn signed_in<T, F>(
        &mut self,
        shop: &Shop,
        call: impl Fn(Credential) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        if let Some(session) = &self.session {
            match call(session.clone()).await {
                Err(status) if status.code() == Code::Unauthenticated => self.session = None,
                answer => return answer,
            }
        }
        let session = self.enter(shop).await?;
        self.session = Some(session.clone());
        call(session).await
    }

    /// Signs up, or in if the account is there.
    async fn enter(&mut self, shop: &Shop) -> Result<Credential, Status> {
        if !self.is_known {
            match self.sign_up(shop).await {
                Err(status) if reason(&status).as_deref() == Some("EMAIL_TAKEN") => {}
                Err(status) => return Err(status),
                Ok(answer) => {
                    self.is_known = true;
                    return credential(&answer.session_token);
                }
            }
            self.is_known = true;
        }
        let (email, password) = (self.account.email(), self.account.password());
        let answer = shop.call(
            SIGN_IN,
            |_: &pb::SignInResponse| "OK".to_owned(),
            |mut client| {
                let (email, password) = (email.clone(), password.clone());
                let request = request(pb::SignInRequest { email, password }, None);
                async move { client.sign_in(request).await }
            },
        );
        credential(&answer.await?.session_token)
    }

    async fn sign_up(&self, shop: &Shop) -> Result<pb::SignUpResponse, Status> {
        let account = self.account;
        shop.call(
            SIGN_UP,
            |_: &pb::SignUpResponse| "OK".to_owned(),
            move |mut client| {
                let (email, password) = (account.email(), account.password());
                let display_name = account.to_string();
                let request = request(pb::SignUpRequest { email, password, display_name }, None);
                async move { client.sign_up(request).await }
            },
        )
        .await
    }
}

/// What has become of an order, such as `CONFIRMED` or `CANCELLED PAYMENT_EXPIRED`.
pub(super) fn ending(order: Option<&pb::Order>) -> String {
    let Some(order) = order else { return "no order".to_owned() };
    format!("{} {}", state(order), order.reason).trim_end().to_owned()
}

/// The state of an order, such as `CONFIRMED`.
pub(super) fn state(order: &pb::Order) -> &'static str {
    order.state().as_str_name().trim_start_matches("STATE_")
}

/// One wish to cancel. As long as the money is not back, it counts as an attempt to
/// be repeated: that is how one asks how far a refund is.
async fn cancel(
    mut client: ShopServiceClient<Transport>,
    request: Request<pb::CancelOrderRequest>,
) -> Result<Response<pb::CancelOrderResponse>, Status> {
    let answer = client.cancel_order(request).await?;
    match answer.get_ref().order.as_ref().map(pb::Order::state) {
        Some(State::Pending | State::Confirmed) => {
            let message = "the money is not back yet";
            Err(error::status(Code::Aborted, "REFUND_UNDER_WAY", message, &[]))
        }
        _ => Ok(answer),
    }
}

/// One look at an order, to its end.
async fn watch(
    mut client: ShopServiceClient<Transport>,
    request: Request<pb::WatchOrderRequest>,
) -> Result<Response<pb::Order>, Status> {
    let mut states = client.watch_order(request).await?.into_inner();
    while let Some(answer) = states.message().await? {
        if let Some(order) = answer.order
            && order.state() != State::Pending
        {
            return Ok(Response::new(order));
        }
    }
    Err(Status::unavailable("the order is still PENDING"))
}

fn credential(session_token: &str) -> Result<Credential, Status> {
    Credential::new(session_token).ok_or_else(|| Status::internal("the session token is malformed"))
}

fn no_order() -> Status {
    error::status(Code::Internal, "NO_ORDER", "the answer has no order in it", &[])
}

#[cfg(test)]
mod tests {
    use trellis_api::Quantity;

    use super::*;

    fn line(sku: &str) -> Line {
        Line { sku: sku.parse().unwrap(), quantity: Quantity::try_from(1).unwrap() }
    }

    fn customer(purchases: &[(&str, &[&str])]) -> Customer {
        let mut customer = Customer::new(Account::Customer(1));
        customer.purchases = purchases
            .iter()
            .map(|&(order_id, skus)| Purchase {
                order_id: order_id.to_owned(),
                skus: skus.iter().map(|&sku| sku.to_owned()).collect(),
            })
            .collect();
        customer
    }

    #[test]
    fn what_is_given_back_is_the_latest_order_that_has_it() {
        let customer = customer(&[("one", &["A", "B"]), ("two", &["B", "C"]), ("three", &["D"])]);

        assert_eq!(customer.find_purchase(&[line("B")]), Some("two"));
        assert_eq!(customer.find_purchase(&[line("X"), line("A")]), Some("one"));
        assert_eq!(customer.find_purchase(&[line("X")]), None);
        assert_eq!(customer.find_purchase(&[]), None);
    }

    #[test]
    fn an_order_is_told_with_its_reason() {
        let mut order = pb::Order { state: State::Confirmed.into(), ..pb::Order::default() };
        assert_eq!(ending(Some(&order)), "CONFIRMED");

        order.state = State::Cancelled.into();
        "OUT_OF_STOCK".clone_into(&mut order.reason);
        assert_eq!(ending(Some(&order)), "CANCELLED OUT_OF_STOCK");
    }
}
