//! What the service answers: parse, one unit of work, say what came of it.

mod list;
mod parse;
pub(crate) mod render;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use time::Duration;
use tonic::{Request, Response, Status};
use trellis_api::id::ReservationId;
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_server::InventoryService;
use trellis_chassis::Clock;

use crate::batcher::Batcher;
use crate::display::Display;
use crate::store::Store;

pub(crate) struct Inventory {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) batcher: Batcher,
    pub(crate) display: Display,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long units are held when the caller does not say.
    pub(crate) ttl: Duration,
}

#[async_trait]
impl InventoryService for Inventory {
    async fn list_products(
        &self,
        request: Request<pb::ListProductsRequest>,
    ) -> Result<Response<pb::ListProductsResponse>, Status> {
        let page = list::page(self.store.as_ref(), request.get_ref()).await?;
        Ok(Response::new(page))
    }

    async fn batch_get_products(
        &self,
        request: Request<pb::BatchGetProductsRequest>,
    ) -> Result<Response<pb::BatchGetProductsResponse>, Status> {
        let skus = parse::skus(&request.get_ref().skus)?;
        let products = if request.get_ref().for_display {
            self.display.products(skus).await?
        } else {
            let products = self.store.products(skus).await?;
            products.into_iter().map(render::stocked_product).collect()
        };
        Ok(Response::new(pb::BatchGetProductsResponse { products }))
    }

    async fn upsert_products(
        &self,
        request: Request<pb::UpsertProductsRequest>,
    ) -> Result<Response<pb::UpsertProductsResponse>, Status> {
        let imports = parse::imports(request.into_inner())?;
        let now = self.clock.now();
        let skus = imports.iter().map(|import| import.sku.clone()).collect();
        let change = self.display.change(skus, now);
        let upserted = self.store.upsert_products(imports, now).await?;
        if let Err(error) = change.done().await {
            // It is done; what is shown of it is read anew.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the versions of imported products were not read");
        }
        Ok(Response::new(pb::UpsertProductsResponse {
            created: upserted.created,
            updated: upserted.updated,
        }))
    }

    async fn adjust_stock(
        &self,
        request: Request<pb::AdjustStockRequest>,
    ) -> Result<Response<pb::AdjustStockResponse>, Status> {
        let adjustment = parse::adjustment(request.get_ref())?;
        let sku = adjustment.sku.clone();
        let stock = self.store.adjust_stock(adjustment, self.clock.now()).await?;
        self.display.moved([sku]).await;
        Ok(Response::new(pb::AdjustStockResponse {
            on_hand: stock.on_hand,
            available: stock.available(),
        }))
    }

    async fn reserve_stock(
        &self,
        request: Request<pb::ReserveStockRequest>,
    ) -> Result<Response<pb::ReserveStockResponse>, Status> {
        let reserve = parse::reserve(request.get_ref(), self.ttl)?;
        let reservation = self.batcher.reserve(reserve).await?;
        self.display.moved_by(&reservation).await;
        let reservation = Some(render::reservation(reservation));
        Ok(Response::new(pb::ReserveStockResponse { reservation }))
    }

    async fn commit_reservation(
        &self,
        request: Request<pb::CommitReservationRequest>,
    ) -> Result<Response<pb::CommitReservationResponse>, Status> {
        let id = parse::reservation_id(&request.get_ref().reservation_id)?;
        let reservation = render::reservation(self.store.commit(id, self.clock.now()).await?);
        Ok(Response::new(pb::CommitReservationResponse { reservation: Some(reservation) }))
    }

    async fn release_reservation(
        &self,
        request: Request<pb::ReleaseReservationRequest>,
    ) -> Result<Response<pb::ReleaseReservationResponse>, Status> {
        let id = parse::reservation_id(&request.get_ref().reservation_id)?;
        let reservation = self.store.release(id, self.clock.now()).await?;
        self.display.moved_by(&reservation).await;
        let reservation = Some(render::reservation(reservation));
        Ok(Response::new(pb::ReleaseReservationResponse { reservation }))
    }

    async fn restock_reservation(
        &self,
        request: Request<pb::RestockReservationRequest>,
    ) -> Result<Response<pb::RestockReservationResponse>, Status> {
        let id = parse::reservation_id(&request.get_ref().reservation_id)?;
        let reservation = self.store.restock(id, self.clock.now()).await?;
        self.display.moved_by(&reservation).await;
        let reservation = Some(render::reservation(reservation));
        Ok(Response::new(pb::RestockReservationResponse { reservation }))
    }

    async fn get_reservation(
        &self,
        request: Request<pb::GetReservationRequest>,
    ) -> Result<Response<pb::GetReservationResponse>, Status> {
        let id = parse::reservation_id(&request.get_ref().reservation_id)?;
        let reservation = render::reservation(self.store.reservation(id).await?);
        Ok(Response::new(pb::GetReservationResponse { reservation: Some(reservation) }))
    }

    type AuditReservationsStream =
        BoxStream<'static, Result<pb::AuditReservationsResponse, Status>>;

    async fn audit_reservations(
        &self,
        _request: Request<pb::AuditReservationsRequest>,
    ) -> Result<Response<Self::AuditReservationsStream>, Status> {
        let checks = self.store.audit(self.clock.now()).await?;
        let first = pb::AuditReservationsResponse {
            checks: checks.into_iter().map(render::check).collect(),
            reservations: Vec::new(),
        };
        let rest = stream::try_unfold((Arc::clone(&self.store), None), next_reservations);
        Ok(Response::new(stream::once(async { Ok(first) }).chain(rest).boxed()))
    }
}

type Place = (Arc<dyn Store>, Option<ReservationId>);

async fn next_reservations(
    (store, after): Place,
) -> Result<Option<(pb::AuditReservationsResponse, Place)>, Status> {
    let page = store.reservations_after(after).await?;
    let Some(last) = page.last() else { return Ok(None) };
    let place = (store, Some(last.reservation_id));
    let reservations = page.into_iter().map(render::reservation).collect();
    Ok(Some((pb::AuditReservationsResponse { checks: Vec::new(), reservations }, place)))
}
