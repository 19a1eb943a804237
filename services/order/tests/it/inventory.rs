//! An inventory that keeps the promises of its contract, in memory.

use async_trait::async_trait;
use futures::stream::Empty;
use tonic::{Request, Response, Status};
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_server::InventoryService;
use trellis_api::inventory::v1::reservation::State;
use trellis_api::shop::v1 as shop;
use trellis_api::r#type::v1::Money;

use super::world::{Call, Reservation, World, give_back, refused};

#[async_trait]
impl InventoryService for World {
    type AuditReservationsStream = Empty<Result<pb::AuditReservationsResponse, Status>>;

    async fn batch_get_products(
        &self,
        request: Request<pb::BatchGetProductsRequest>,
    ) -> Result<Response<pb::BatchGetProductsResponse>, Status> {
        let skus = request.into_inner().skus;
        self.answer(Call::Products, move |state| {
            let found = skus.into_iter().filter_map(|sku| {
                let product = state.products.get(&sku)?;
                let price = Money {
                    currency_code: product.currency.to_owned(),
                    minor_units: product.price,
                };
                let title = format!("A {sku}");
                let product = shop::Product { sku, title, price: Some(price), update_time: None };
                Some(pb::StockedProduct { product: Some(product), available: 1 })
            });
            Ok(pb::BatchGetProductsResponse { products: found.collect() })
        })
        .await
    }

    async fn reserve_stock(
        &self,
        request: Request<pb::ReserveStockRequest>,
    ) -> Result<Response<pb::ReserveStockResponse>, Status> {
        let pb::ReserveStockRequest { reservation_id, lines, .. } = request.into_inner();
        let lines: Vec<_> =
            lines.into_iter().map(|line| (line.sku, i64::from(line.quantity))).collect();
        self.answer(Call::Reserve, move |world| {
            if !world.reservations.contains_key(&reservation_id) {
                let short =
                    lines.iter().any(|(sku, wanted)| world.products[sku].available < *wanted);
                let state = if short { State::Rejected } else { State::Held };
                if !short {
                    for (sku, quantity) in &lines {
                        world.products.get_mut(sku).unwrap().available -= quantity;
                    }
                }
                world.reservations.insert(reservation_id.clone(), Reservation { state, lines });
            }
            let reservation = &world.reservations[&reservation_id];
            match reservation.state {
                State::Rejected => {
                    Err(refused("OUT_OF_STOCK", &[("sku", &reservation.lines[0].0)]))
                }
                State::Released => Err(refused("RESERVATION_RELEASED", &[])),
                State::Expired => Err(refused("RESERVATION_EXPIRED", &[])),
                state => {
                    let reservation = Some(reservation_of(reservation_id, state));
                    Ok(pb::ReserveStockResponse { reservation })
                }
            }
        })
        .await
    }

    async fn commit_reservation(
        &self,
        request: Request<pb::CommitReservationRequest>,
    ) -> Result<Response<pb::CommitReservationResponse>, Status> {
        let id = request.into_inner().reservation_id;
        self.answer(Call::Commit, move |world| {
            let reservation = world.reservations.get_mut(&id).ok_or_else(unknown)?;
            match reservation.state {
                State::Released => return Err(refused("RESERVATION_RELEASED", &[])),
                State::Expired => return Err(refused("RESERVATION_EXPIRED", &[])),
                State::Rejected => return Err(refused("RESERVATION_REJECTED", &[])),
                State::Held => reservation.state = State::Committed,
                _ => {}
            }
            let reservation = Some(reservation_of(id, reservation.state));
            Ok(pb::CommitReservationResponse { reservation })
        })
        .await
    }

    async fn release_reservation(
        &self,
        request: Request<pb::ReleaseReservationRequest>,
    ) -> Result<Response<pb::ReleaseReservationResponse>, Status> {
        let id = request.into_inner().reservation_id;
        self.answer(Call::Release, move |world| {
            let tombstone = Reservation { state: State::Released, lines: Vec::new() };
            let reservation = world.reservations.entry(id.clone()).or_insert(tombstone);
            match reservation.state {
                State::Committed | State::Restocked => {
                    return Err(refused("RESERVATION_COMMITTED", &[]));
                }
                State::Held => {
                    reservation.state = State::Released;
                    give_back(&mut world.products, &reservation.lines);
                }
                _ => {}
            }
            let reservation = Some(reservation_of(id, reservation.state));
            Ok(pb::ReleaseReservationResponse { reservation })
        })
        .await
    }

    async fn restock_reservation(
        &self,
        request: Request<pb::RestockReservationRequest>,
    ) -> Result<Response<pb::RestockReservationResponse>, Status> {
        let id = request.into_inner().reservation_id;
        self.answer(Call::Restock, move |world| {
            let reservation = world.reservations.get_mut(&id).ok_or_else(unknown)?;
            match reservation.state {
                State::Committed => {
                    reservation.state = State::Restocked;
                    give_back(&mut world.products, &reservation.lines);
                }
                State::Restocked => {}
                _ => return Err(refused("RESERVATION_NOT_COMMITTED", &[])),
            }
            let reservation = Some(reservation_of(id, reservation.state));
            Ok(pb::RestockReservationResponse { reservation })
        })
        .await
    }

    async fn list_products(
        &self,
        _: Request<pb::ListProductsRequest>,
    ) -> Result<Response<pb::ListProductsResponse>, Status> {
        Err(not_asked())
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

fn reservation_of(reservation_id: String, state: State) -> pb::Reservation {
    pb::Reservation { reservation_id, state: state.into(), ..Default::default() }
}

fn unknown() -> Status {
    Status::not_found("no such reservation")
}

fn not_asked() -> Status {
    Status::unimplemented("the order service never asks this")
}
