//! Streams the states of an order.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::time::{Instant, Interval, interval_at};
use tonic::Status;
use trellis_api::id::{OrderId, UserId};
use trellis_api::order::v1::WatchOrderResponse;

use crate::domain::{Order, State};
use crate::error::Error;
use crate::progress::Watching;
use crate::render;

use super::Parts;
use super::wait::POLL;

struct Watch {
    parts: Arc<Parts>,
    user_id: UserId,
    watching: Watching,
    poll: Interval,
    /// The state that was sent last.
    sent: State,
    is_over: bool,
}

/// The order as it is, then each change until the state is final.
pub(super) async fn states(
    parts: Arc<Parts>,
    user_id: UserId,
    order_id: OrderId,
) -> Result<BoxStream<'static, Result<WatchOrderResponse, Status>>, Error> {
    let watching = parts.runner.progress().watch(order_id);
    let order = parts.order(user_id, order_id).await?;
    let watch = Watch {
        parts,
        user_id,
        watching,
        poll: interval_at(Instant::now() + POLL, POLL),
        sent: order.state,
        is_over: order.state.is_final(),
    };
    let first = stream::iter([Ok(response(&order))]);
    let rest = stream::unfold(watch, |mut watch| async move {
        let next = watch.next().await?;
        Some((next, watch))
    });
    Ok(first.chain(rest).boxed())
}

impl Watch {
    async fn next(&mut self) -> Option<Result<WatchOrderResponse, Status>> {
        while !self.is_over {
            let seen = tokio::select! {
                update = self.watching.next() => Some(update.order),
                _ = self.poll.tick() => {
                    let order_id = self.watching.order_id();
                    self.parts.look(self.user_id, order_id).await.map(Arc::new)
                }
                () = self.parts.shutdown.requested() => {
                    self.is_over = true;
                    return Some(Err(Error::Stopping.into()));
                }
            };
            if let Some(order) = seen.filter(|order| order.state != self.sent) {
                self.sent = order.state;
                self.is_over = order.state.is_final();
                return Some(Ok(response(&order)));
            }
        }
        None
    }
}

fn response(order: &Order) -> WatchOrderResponse {
    WatchOrderResponse { order: Some(render::order(order)) }
}
