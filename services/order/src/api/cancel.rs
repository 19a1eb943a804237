//! Cancels what is pending and refunds what is confirmed, once.

use tonic::{Response, Status};
use trellis_api::order::v1::CancelOrderResponse;

use crate::answer::mark_replayed;
use crate::domain::State;
use crate::error::Error;
use crate::render;
use crate::store::{Cancel, Cancelling};

use super::Parts;
use super::wait::until;

impl Parts {
    pub(super) async fn cancel(
        &self,
        cancel: Cancel,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let until = until();
        let mut watching = self.runner.progress().watch(cancel.order_id);
        let (order, is_repeated) = match self.runner.cancel(cancel).await.map_err(Error::from)? {
            Cancelling::NotFound => return Err(Error::OrderNotFound.into()),
            Cancelling::Mismatch => return Err(Error::RequestIdReused.into()),
            Cancelling::Noted { order, is_repeated, .. } => (order, is_repeated),
        };

        let update = self.wait(&mut watching, order, until, State::is_undone).await;
        let order = Some(render::order(&update.order));
        let answer = Ok(Response::new(CancelOrderResponse { order }));
        if is_repeated { mark_replayed(answer) } else { answer }
    }
}
