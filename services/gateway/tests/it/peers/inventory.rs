//! A catalogue.

use futures::stream::Empty;
use tonic::{Request, Response, Status};
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_server::InventoryService;
use trellis_api::shop::v1 as shop;
use trellis_api::r#type::v1::Money;

use super::{Call, Peers, Product, not_asked};

#[tonic::async_trait]
impl InventoryService for Peers {
    type AuditReservationsStream = Empty<Result<pb::AuditReservationsResponse, Status>>;

    async fn batch_get_products(
        &self,
        request: Request<pb::BatchGetProductsRequest>,
    ) -> Result<Response<pb::BatchGetProductsResponse>, Status> {
        let skus = request.into_inner().skus;
        let calls: Vec<_> = ["MUG", "TEA", "JAR"]
            .into_iter()
            .filter(|known| skus.iter().any(|sku| sku == known))
            .map(Call::Product)
            .collect();
        self.answer(&calls, |state| {
            let found = skus.into_iter().filter_map(|sku| {
                let Product { price, available } = *state.products.get(&sku)?;
                Some(pb::StockedProduct { product: Some(product(sku, price)), available })
            });
            Ok(pb::BatchGetProductsResponse { products: found.collect() })
        })
        .await
    }

    async fn list_products(
        &self,
        _: Request<pb::ListProductsRequest>,
    ) -> Result<Response<pb::ListProductsResponse>, Status> {
        self.answer(&[Call::ListProducts], |state| {
            let products = state.products.iter();
            let products = products.map(|(sku, found)| product(sku.clone(), found.price)).collect();
            Ok(pb::ListProductsResponse { products, next_page_token: String::new() })
        })
        .await
    }

    async fn upsert_products(
        &self,
        _: Request<pb::UpsertProductsRequest>,
    ) -> Result<Response<pb::UpsertProductsResponse>, Status> {
        Err(not_asked())
    }

    async fn adjust_stock(
        &self,
        _: Request<pb::AdjustStockRequest>,
    ) -> Result<Response<pb::AdjustStockResponse>, Status> {
        Err(not_asked())
    }

    async fn reserve_stock(
        &self,
        _: Request<pb::ReserveStockRequest>,
    ) -> Result<Response<pb::ReserveStockResponse>, Status> {
        Err(not_asked())
    }

    async fn commit_reservation(
        &self,
        _: Request<pb::CommitReservationRequest>,
    ) -> Result<Response<pb::CommitReservationResponse>, Status> {
        Err(not_asked())
    }

    async fn release_reservation(
        &self,
        _: Request<pb::ReleaseReservationRequest>,
    ) -> Result<Response<pb::ReleaseReservationResponse>, Status> {
        Err(not_asked())
    }

    async fn restock_reservation(
        &self,
        _: Request<pb::RestockReservationRequest>,
    ) -> Result<Response<pb::RestockReservationResponse>, Status> {
        Err(not_asked())
    }

    async fn get_reservation(
        &self,
        _: Request<pb::GetReservationRequest>,
    ) -> Result<Response<pb::GetReservationResponse>, Status> {
        Err(not_asked())
    }

    async fn audit_reservations(
        &self,
        _: Request<pb::AuditReservationsRequest>,
    ) -> Result<Response<Self::AuditReservationsStream>, Status> {
        Err(not_asked())
    }
}

fn product(sku: String, minor_units: i64) -> shop::Product {
    let price = Some(Money { currency_code: "GBP".to_owned(), minor_units });
    shop::Product { title: format!("A {sku}"), sku, price, update_time: None }
}
