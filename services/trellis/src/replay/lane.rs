//! A queue of customers who are served one after another.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use trellis_api::error::{metadata, reason};
use trellis_api::shop::v1 as pb;

use super::CANCEL;
use super::acknowledged::Acknowledged;
use super::customer::{Customer, state};
use super::plan::{self, Account};
use super::progress::Progress;
use super::report::{Failure, Report};
use crate::cli::Cards;
use crate::retail::{Invoice, Kind};
use crate::session::Shop;

/// Serves its customers and remembers what they bought.
#[derive(Debug)]
pub(super) struct Lane {
    shop: Shop,
    cards: Cards,
    acknowledged: Arc<Acknowledged>,
    customers: HashMap<Account, Customer>,
}

impl Lane {
    pub(super) fn new(shop: Shop, cards: Cards, acknowledged: Arc<Acknowledged>) -> Self {
        Self { shop, cards, acknowledged, customers: HashMap::new() }
    }

    /// Serves until the queue ends or a stop is asked for.
    pub(super) async fn run(
        mut self,
        mut invoices: mpsc::Receiver<Invoice>,
        report: Arc<Report>,
        progress: Progress,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        while let Some(Some(invoice)) = stop.run_until_cancelled(invoices.recv()).await {
            // The future is big, and there are many lanes.
            let served = Box::pin(self.serve(&invoice)).await;
            match served? {
                Ok(()) => report.done(),
                Err(status) => report.fail(Failure { invoice: invoice.number, status }),
            }
            progress.advance();
        }
        Ok(())
    }

    /// Fails if the file of acknowledged orders cannot be written; what the shop
    /// does not do is the inner error.
    async fn serve(&mut self, invoice: &Invoice) -> anyhow::Result<Result<(), Status>> {
        let account = Account::of(invoice);
        let customer = self.customers.entry(account).or_insert_with(|| Customer::new(account));
        let answer = match invoice.kind {
            Kind::Sale => customer.buy(&self.shop, purchase(invoice, self.cards)).await,
            Kind::Cancellation => {
                let Some(order_id) = customer.find_purchase(&invoice.lines) else {
                    self.shop.statistics().note(CANCEL, "no matching order");
                    return Ok(Ok(()));
                };
                let order_id = order_id.to_owned();
                let request_id = plan::cancel_id(&invoice.number, &order_id);
                customer.give_back(&self.shop, &order_id, request_id).await
            }
        };
        match answer {
            Ok(order) => {
                self.acknowledged.note(&order.order_id, state(&order))?;
                Ok(Ok(()))
            }
            Err(status) if is_business(&status) => {
                if let Some(order_id) = metadata(&status, "order_id") {
                    self.acknowledged.note(&order_id, "CANCELLED")?;
                }
                Ok(Ok(()))
            }
            Err(status) => Ok(Err(status)),
        }
    }
}

fn purchase(invoice: &Invoice, cards: Cards) -> pb::CheckoutRequest {
    let items = invoice
        .lines
        .iter()
        .map(|line| pb::CheckoutItem { sku: line.sku.to_string(), quantity: line.quantity.get() });
    pb::CheckoutRequest {
        request_id: plan::checkout_id(&invoice.number),
        payment_token: plan::payment_token(cards, &invoice.number).to_owned(),
        items: items.collect(),
    }
}

/// Whether a shop that works well gives such an answer.
fn is_business(status: &Status) -> bool {
    matches!(reason(status).as_deref(), Some("OUT_OF_STOCK" | "PAYMENT_DECLINED"))
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use trellis_api::Quantity;
    use trellis_api::error;

    use super::*;
    use crate::retail::Line;

    #[test]
    fn an_invoice_becomes_the_same_purchase_every_time() {
        let invoice = Invoice {
            number: "536365".to_owned(),
            kind: Kind::Sale,
            customer: Some(17_850),
            lines: vec![Line {
                sku: "85123A".parse().unwrap(),
                quantity: Quantity::try_from(6).unwrap(),
            }],
        };

        let purchase = purchase(&invoice, Cards::Good);

        assert_eq!(purchase, super::purchase(&invoice, Cards::Good));
        assert_eq!(purchase.payment_token, "tok_ok");
        assert_eq!(purchase.items.len(), 1);
        assert_eq!((purchase.items[0].sku.as_str(), purchase.items[0].quantity), ("85123A", 6));
    }

    #[test]
    fn a_declined_card_is_business_and_a_lost_shop_is_not() {
        let declined = error::status(Code::FailedPrecondition, "PAYMENT_DECLINED", "no", &[]);

        assert!(is_business(&declined));
        assert!(!is_business(&Status::unavailable("gone")));
        assert!(!is_business(&error::internal()));
    }
}
