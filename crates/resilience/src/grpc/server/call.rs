//! The way of one call through the server.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tonic::Status;
use tower_service::Service;

use super::body::{self, Call, ResponseBody};
use super::gate::Pass;
use super::measures::Shed;
use super::patience::{Pulse, Watched};
use super::shared::Shared;
use super::{head, panics};
use crate::context::{self, Inbound};
use crate::core::limit::Sample;
use crate::core::queue::Cause;
use crate::grpc::{headers, status, timeout};
use crate::policy::Criticality;

/// How the service came to an end.
enum Ended<R> {
    /// Whether calls made for it used up their retries, too.
    Answered(Response<R>, bool),
    OutOfTime,
    Panicked,
}

/// Answers any request.
pub(super) async fn answer<S, B, R>(
    shared: Arc<Shared>,
    service: S,
    request: Request<B>,
) -> Response<ResponseBody<R>>
where
    S: Service<Request<Watched<B>>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes> + Unpin,
{
    if head::is_grpc(request.headers()) {
        let (parts, body) = request.into_parts();
        return match call(&shared, service, parts, body).await {
            Ok(response) => response,
            Err(refused) => refused.map(|()| ResponseBody::said(Bytes::new())),
        };
    }
    let request = request.map(|body| Watched::new(body, None));
    match AssertUnwindSafe(run(service, request)).catch_unwind().await {
        Ok(response) => response.map(ResponseBody::untouched),
        Err(panic) => {
            panics::log(panic.as_ref(), "handler");
            (shared.broken)().map(ResponseBody::said)
        }
    }
}

async fn call<S, B, R>(
    shared: &Shared,
    service: S,
    parts: Parts,
    body: B,
) -> Result<Response<ResponseBody<R>>, Response<()>>
where
    S: Service<Request<Watched<B>>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes> + Unpin,
{
    let path = parts.uri.path();
    let is_stream = (shared.streaming)(path);
    let criticality = headers::criticality(&parts.headers);
    let criticality = criticality.unwrap_or_else(|| (shared.criticality)(path));
    let deadline = deadline(shared, &parts, criticality)?;
    let pass = if head::is_always_answered(path) {
        None
    } else {
        enter(shared, &parts, criticality, deadline).await?
    };
    let inbound = head::inbound(&parts.headers, deadline, criticality);
    let ended = serve(shared, service, parts, body, inbound).await;
    match ended {
        Ended::Answered(response, is_exhausted) => {
            let (head, body) = response.into_parts();
            let call = Call::new(body, pass, is_exhausted);
            Ok(respond(head, call, is_stream, deadline).await)
        }
        Ended::OutOfTime => Err(shared.expired.clone()),
        Ended::Panicked => {
            if let Some(pass) = pass {
                pass.finish(Sample::Ignored);
            }
            Err(status::internal().into_http())
        }
    }
}

/// When its caller stops waiting; an answer if that was before it came.
fn deadline(
    shared: &Shared,
    parts: &Parts,
    criticality: Criticality,
) -> Result<Option<Instant>, Response<()>> {
    let timeout = timeout::read(&parts.headers).map_err(|error| Status::from(error).into_http())?;
    let Some(timeout) = timeout else {
        return Ok(None);
    };
    shared.measures.arrived(timeout);
    if timeout.is_zero() {
        shared.measures.shed(criticality, Shed::Waiting(Cause::Expired));
        return Err(shared.expired.clone());
    }
    // A short one must not lose most of itself.
    let head_start = shared.head_start.min(timeout / 8);
    Ok(Some(Instant::now() + timeout.saturating_sub(head_start)))
}

/// Waits to be let in.
async fn enter(
    shared: &Shared,
    parts: &Parts,
    criticality: Criticality,
    deadline: Option<Instant>,
) -> Result<Option<Pass>, Response<()>> {
    // First, so that who asks too often cannot fill the queue.
    if let Some(rate) = &shared.rate
        && let Err(retry_after) = rate(parts, shared.clock.now())
    {
        shared.measures.shed(criticality, Shed::Rate);
        return Err(status::rate_limited(retry_after).into_http());
    }
    let Some(gate) = &shared.gate else {
        return Ok(None);
    };
    let level = shared.level.as_ref().map_or(0, |level| level(parts));
    gate.enter(criticality, level, deadline).await.map(Some).map_err(|cause| {
        shared.measures.shed(criticality, Shed::Waiting(cause));
        match cause {
            Cause::Expired => shared.expired.clone(),
            Cause::Full | Cause::Standing | Cause::TooLong => shared.shed.clone(),
        }
    })
}

/// Runs the service, for as long as anyone waits for it.
async fn serve<S, B, R>(
    shared: &Shared,
    service: S,
    parts: Parts,
    body: B,
    inbound: Inbound,
) -> Ended<R>
where
    S: Service<Request<Watched<B>>, Response = Response<R>, Error = Infallible>,
{
    let pulse = inbound.deadline.is_none().then(Pulse::new);
    let request = Request::from_parts(parts, Watched::new(body, pulse.clone()));
    let served = async {
        let served = context::scope(inbound, run(service, request));
        in_time(served, inbound.deadline, pulse, shared.patience).await
    };
    match AssertUnwindSafe(served).catch_unwind().await {
        Ok(Some((response, is_exhausted))) => Ended::Answered(response, is_exhausted),
        Ok(None) => Ended::OutOfTime,
        Err(panic) => {
            panics::log(panic.as_ref(), "handler");
            Ended::Panicked
        }
    }
}

/// `None` if it took too long; then `call` is gone as well.
async fn in_time<F: Future>(
    call: F,
    deadline: Option<Instant>,
    pulse: Option<Pulse>,
    patience: Duration,
) -> Option<F::Output> {
    match (deadline, pulse) {
        (Some(deadline), _) => tokio::time::timeout_at(deadline, call).await.ok(),
        (None, None) => Some(call.await),
        (None, Some(pulse)) => tokio::select! {
            biased;
            output = call => Some(output),
            () = pulse.lost(patience) => None,
        },
    }
}

async fn run<S, Q, R>(mut service: S, request: Q) -> R
where
    S: Service<Q, Response = R, Error = Infallible>,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let Ok(response) = service.call(request).await;
    response
}

/// Looks at the status, which is in the head, in what can be read at once, or comes
/// later.
async fn respond<R: Body<Data = Bytes> + Unpin>(
    mut head: http::response::Parts,
    mut call: Call<R>,
    is_stream: bool,
    deadline: Option<Instant>,
) -> Response<ResponseBody<R>> {
    if let Some(code) = body::code(&head.headers) {
        call.settle(code, &mut head.headers);
    } else if is_stream {
        call.release();
    } else {
        poll_fn(|cx| {
            call.read_ahead(cx);
            std::task::Poll::Ready(())
        })
        .await;
    }
    if let Some(deadline) = deadline {
        call.limit(deadline);
    }
    Response::from_parts(head, ResponseBody::call(call))
}
