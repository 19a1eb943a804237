//! Streams what an auditor needs: first the checks, then every order.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tonic::Status;
use trellis_api::id::OrderId;
use trellis_api::limits;
use trellis_api::order::v1 as pb;
use trellis_api::timestamp;
use trellis_api::r#type::v1::{AuditCheck, AuditViolation};

use crate::error::Error;
use crate::render;
use crate::store::{AUDIT_PAGE, AuditedOrder, Check};

use super::Parts;

/// What comes next.
enum Place {
    Checks,
    Orders { after: Option<OrderId> },
    End,
}

pub(super) fn parts(
    parts: Arc<Parts>,
) -> BoxStream<'static, Result<pb::AuditOrdersResponse, Status>> {
    let stream = stream::try_unfold(Place::Checks, move |place| {
        let parts = Arc::clone(&parts);
        async move { Ok(next(&parts, place).await?) }
    });
    stream.boxed()
}

async fn next(
    parts: &Parts,
    place: Place,
) -> Result<Option<(pb::AuditOrdersResponse, Place)>, Error> {
    match place {
        Place::Checks => {
            let checks = parts.store.audit(parts.clock.now()).await?;
            let checks = checks.into_iter().map(check).collect();
            let part = pb::AuditOrdersResponse { checks, orders: Vec::new() };
            Ok(Some((part, Place::Orders { after: None })))
        }
        Place::Orders { after } => {
            let page = parts.store.audited_orders(after).await?;
            let mut orders: Vec<_> = page.iter().map(order).collect();
            // Large orders are fewer to a message.
            orders.truncate(limits::fitting(&orders));
            let is_last = orders.len() == page.len() && page.len() < AUDIT_PAGE as usize;
            let place = match page[..orders.len()].last() {
                None => return Ok(None),
                Some(_) if is_last => Place::End,
                Some(last) => Place::Orders { after: Some(last.order.order_id) },
            };
            Ok(Some((pb::AuditOrdersResponse { checks: Vec::new(), orders }, place)))
        }
        Place::End => Ok(None),
    }
}

fn check(check: Check) -> AuditCheck {
    let violation = |(subject, detail)| AuditViolation { subject, detail };
    AuditCheck {
        invariant: check.invariant.to_owned(),
        examined: check.examined,
        violations: check.violations.into_iter().map(violation).collect(),
    }
}

fn order(audited: &AuditedOrder) -> pb::AuditedOrder {
    pb::AuditedOrder {
        order: Some(render::order(&audited.order)),
        in_progress: audited.next_attempt_time.is_some(),
        next_attempt_time: audited.next_attempt_time.map(timestamp::to_proto),
    }
}
