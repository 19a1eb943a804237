//! What the services say about themselves.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;
use tonic::{Response, Status, Streaming};
use trellis_api::id::{Id, Kind, Order, Payment, Reservation};
use trellis_api::inventory::v1 as inventory;
use trellis_api::order::v1 as order;
use trellis_api::payment::v1 as payment;
use trellis_api::recommendation::v1 as recommendation;
use trellis_api::timestamp;
use trellis_api::r#type::v1::AuditCheck;
use trellis_api::user::v1 as user;
use uuid::Uuid;

use super::Error;
use crate::peers::Peers;

/// The records of all services, by the UUID that an order shares with its
/// reservation and its payment.
#[derive(Debug)]
pub(crate) struct Facts {
    /// When the reading began.
    pub(super) now: OffsetDateTime,
    pub(super) orders: Orders,
    pub(super) reservations: HashMap<Uuid, inventory::Reservation>,
    pub(super) payments: HashMap<Uuid, payment::Payment>,
    /// The orders that recommendations were learned from.
    pub(super) learned: HashSet<Uuid>,
    /// Orders confirmed until then may have been forgotten since, on purpose.
    pub(super) forgotten_until: Option<OffsetDateTime>,
    /// What each service found about itself.
    pub(super) checks: Vec<AuditCheck>,
}

type Orders = HashMap<Uuid, order::AuditedOrder>;

impl Facts {
    pub(super) fn empty(now: OffsetDateTime) -> Self {
        Self {
            now,
            orders: HashMap::new(),
            reservations: HashMap::new(),
            payments: HashMap::new(),
            learned: HashSet::new(),
            forgotten_until: None,
            checks: Vec::new(),
        }
    }

    pub(super) async fn read(peers: &Peers, now: OffsetDateTime) -> Result<Self, Error> {
        let mut facts = Self::empty(now);
        facts.orders = read_orders(peers, &mut facts.checks).await?;
        facts.read_payments(peers).await?;
        facts.read_reservations(peers).await?;
        facts.read_learned(peers).await?;
        let later = read_orders(peers, &mut Vec::new()).await?;
        facts.leave_out_changed(&later);

        let users = peers.user.clone().audit_users(user::AuditUsersRequest {}).await;
        facts.checks.extend(users.map_err(unreachable("user"))?.into_inner().checks);
        Ok(facts)
    }

    /// An order that went on while the rest was read is work under way.
    fn leave_out_changed(&mut self, later: &Orders) {
        for (uuid, audited) in &mut self.orders {
            audited.in_progress |= later.get(uuid).is_none_or(|later| later != audited);
        }
    }

    async fn read_payments(&mut self, peers: &Peers) -> Result<(), Error> {
        let answer = peers.payment.clone().audit_payments(payment::AuditPaymentsRequest {}).await;
        let mut parts = parts("payment", answer)?;
        while let Some(part) = parts.message().await.map_err(unreachable("payment"))? {
            self.checks.extend(part.checks);
            for payment in part.payments {
                self.payments.insert(uuid::<Payment>(&payment.payment_id)?, payment);
            }
        }
        Ok(())
    }

    async fn read_reservations(&mut self, peers: &Peers) -> Result<(), Error> {
        let request = inventory::AuditReservationsRequest {};
        let answer = peers.inventory.clone().audit_reservations(request).await;
        let mut parts = parts("inventory", answer)?;
        while let Some(part) = parts.message().await.map_err(unreachable("inventory"))? {
            self.checks.extend(part.checks);
            for reservation in part.reservations {
                let id = uuid::<Reservation>(&reservation.reservation_id)?;
                self.reservations.insert(id, reservation);
            }
        }
        Ok(())
    }

    async fn read_learned(&mut self, peers: &Peers) -> Result<(), Error> {
        let request = recommendation::AuditRecommendationsRequest {};
        let answer = peers.recommendation.clone().audit_recommendations(request).await;
        let mut parts = parts("recommendation", answer)?;
        while let Some(part) = parts.message().await.map_err(unreachable("recommendation"))? {
            self.checks.extend(part.checks);
            let forgotten_until =
                part.forgotten_until_time.as_ref().and_then(timestamp::from_proto);
            self.forgotten_until = self.forgotten_until.max(forgotten_until);
            for id in part.order_ids {
                self.learned.insert(uuid::<Order>(&id)?);
            }
        }
        Ok(())
    }
}

async fn read_orders(peers: &Peers, checks: &mut Vec<AuditCheck>) -> Result<Orders, Error> {
    let answer = peers.order.clone().audit_orders(order::AuditOrdersRequest {}).await;
    let mut parts = parts("order", answer)?;
    let mut orders = Orders::new();
    while let Some(part) = parts.message().await.map_err(unreachable("order"))? {
        checks.extend(part.checks);
        for audited in part.orders {
            let id = audited.order.as_ref().map_or("", |order| &order.order_id);
            orders.insert(uuid::<Order>(id)?, audited);
        }
    }
    Ok(orders)
}

fn parts<T>(
    service: &'static str,
    answer: Result<Response<Streaming<T>>, Status>,
) -> Result<Streaming<T>, Error> {
    answer.map(Response::into_inner).map_err(unreachable(service))
}

fn unreachable(service: &'static str) -> impl Fn(Status) -> Error {
    move |source| Error::Unreachable { service, source }
}

fn uuid<K: Kind>(id: &str) -> Result<Uuid, Error> {
    let id: Id<K> = id.parse().map_err(|_| Error::Malformed(format!("`{id}` is not an id")))?;
    Ok(id.uuid())
}
