//! A shop's stockroom: the service on a database of its own, at a time of its own.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use time::macros::datetime;
use tonic::{Code, Response, Status};
use trellis_api::id::{Bucket, ReservationId};
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::r#type::v1::Money;
use trellis_api::{error, shop};
use trellis_chassis::{Clock as _, ManualClock, Shutdown, Transport, transport};
use trellis_inventory::Settings;
use trellis_inventory::store::Store;
use trellis_testkit::Database;

use crate::kit;

pub(crate) struct Stockroom {
    pub(crate) client: InventoryServiceClient<Transport>,
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) shutdown: Shutdown,
    pub(crate) database: Database,
}

impl Stockroom {
    pub(crate) async fn empty() -> Self {
        let database = Database::chosen("inventory").await;
        let clock = ManualClock::new(datetime!(2026-11-22 10:00 UTC));
        let store = kit::open(&database).await;
        let shutdown = Shutdown::default();
        // The sweeper looks once at the start, and then not within a test's time.
        let settings = Settings { expiry_interval_milliseconds: 30_000, ..Settings::default() };
        let needs = kit::needs(&store, &clock, &shutdown);
        let routes = trellis_inventory::start(&settings, needs, &shutdown).await.unwrap();
        let client = InventoryServiceClient::new(transport::local(routes));
        Self { client, clock, store, shutdown, database }
    }

    pub(crate) async fn with(stock: &[(&str, i64)]) -> Self {
        let mut room = Self::empty().await;
        let products = stock.iter().map(|&(sku, on_hand)| import(sku, on_hand)).collect();
        room.client.upsert_products(pb::UpsertProductsRequest { products }).await.unwrap();
        room
    }

    pub(crate) async fn reserve(
        &mut self,
        id: ReservationId,
        lines: &[(&str, i32)],
    ) -> Result<pb::Reservation, Status> {
        let response = self.client.reserve_stock(wish(id, lines)).await?;
        Ok(response.into_inner().reservation.unwrap())
    }

    pub(crate) async fn commit(&mut self, id: ReservationId) -> Result<pb::Reservation, Status> {
        let request = pb::CommitReservationRequest { reservation_id: id.to_string() };
        let response = self.client.commit_reservation(request).await?;
        Ok(response.into_inner().reservation.unwrap())
    }

    pub(crate) async fn release(&mut self, id: ReservationId) -> Result<pb::Reservation, Status> {
        let request = pb::ReleaseReservationRequest { reservation_id: id.to_string() };
        let response = self.client.release_reservation(request).await?;
        Ok(response.into_inner().reservation.unwrap())
    }

    pub(crate) async fn restock(&mut self, id: ReservationId) -> Result<pb::Reservation, Status> {
        let request = pb::RestockReservationRequest { reservation_id: id.to_string() };
        let response = self.client.restock_reservation(request).await?;
        Ok(response.into_inner().reservation.unwrap())
    }

    pub(crate) async fn get(&mut self, id: ReservationId) -> Result<pb::Reservation, Status> {
        let request = pb::GetReservationRequest { reservation_id: id.to_string() };
        let response = self.client.get_reservation(request).await?;
        Ok(response.into_inner().reservation.unwrap())
    }

    pub(crate) async fn adjust(
        &mut self,
        request_id: &str,
        sku: &str,
        delta: i64,
    ) -> Result<pb::AdjustStockResponse, Status> {
        let request = pb::AdjustStockRequest {
            sku: sku.to_owned(),
            delta,
            request_id: request_id.to_owned(),
        };
        self.client.adjust_stock(request).await.map(Response::into_inner)
    }

    pub(crate) async fn import(
        &mut self,
        products: Vec<pb::ProductImport>,
    ) -> Result<pb::UpsertProductsResponse, Status> {
        let request = pb::UpsertProductsRequest { products };
        self.client.upsert_products(request).await.map(Response::into_inner)
    }

    pub(crate) async fn products(&mut self, skus: &[&str]) -> Vec<pb::StockedProduct> {
        let skus = skus.iter().map(|&sku| sku.to_owned()).collect();
        let request = pb::BatchGetProductsRequest { skus, for_display: false };
        self.client.batch_get_products(request).await.unwrap().into_inner().products
    }

    pub(crate) async fn available(&mut self, sku: &str) -> i64 {
        self.products(&[sku]).await.first().unwrap().available
    }

    /// A page of a list or a search: the SKUs, and the token of the next one.
    pub(crate) async fn page(
        &mut self,
        query: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<String>, String), Status> {
        let request = pb::ListProductsRequest {
            query: query.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        let page = self.client.list_products(request).await?.into_inner();
        let skus = page.products.into_iter().map(|product| product.sku).collect();
        Ok((skus, page.next_page_token))
    }

    /// The audit's checks, and all the reservations that it streams.
    pub(crate) async fn audit(
        &mut self,
    ) -> (Vec<trellis_api::r#type::v1::AuditCheck>, Vec<pb::Reservation>) {
        let request = pb::AuditReservationsRequest {};
        let mut parts = self.client.audit_reservations(request).await.unwrap().into_inner();
        let (mut checks, mut reservations) = (Vec::new(), Vec::new());
        while let Some(part) = parts.message().await.unwrap() {
            checks.extend(part.checks);
            reservations.extend(part.reservations);
        }
        (checks, reservations)
    }

    /// Fails unless every invariant holds.
    pub(crate) async fn assert_sound(&mut self) {
        let (checks, _) = self.audit().await;
        assert_eq!(checks.len(), 4);
        for check in checks {
            assert_eq!(check.violations, [], "{}", check.invariant);
        }
    }

    pub(crate) fn new_id(&self) -> ReservationId {
        ReservationId::new(self.clock.now(), Bucket::random())
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Breaks things that the service never would, with SQL for either database.
    pub(crate) async fn tamper(&self, sqlite: &str, postgres: &str) {
        let sql = if self.database.url().starts_with("sqlite:") { sqlite } else { postgres };
        self.database.tamper(sql).await;
    }
}

pub(crate) fn import(sku: &str, on_hand: i64) -> pb::ProductImport {
    titled(sku, &format!("The {sku} of your dreams"), on_hand)
}

pub(crate) fn titled(sku: &str, title: &str, on_hand: i64) -> pb::ProductImport {
    let product = shop::v1::Product {
        sku: sku.to_owned(),
        title: title.to_owned(),
        price: Some(Money { currency_code: "GBP".to_owned(), minor_units: 1_250 }),
        update_time: None,
    };
    pb::ProductImport { product: Some(product), on_hand }
}

pub(crate) fn wish(id: ReservationId, lines: &[(&str, i32)]) -> pb::ReserveStockRequest {
    let lines = lines
        .iter()
        .map(|&(sku, quantity)| pb::ReservationLine { sku: sku.to_owned(), quantity })
        .collect();
    pb::ReserveStockRequest { reservation_id: id.to_string(), lines, ttl: None }
}

/// The code and the reason of a refusal.
pub(crate) fn refusal<T: Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    (status.code(), error::reason(&status).expect("every error has a reason"))
}
