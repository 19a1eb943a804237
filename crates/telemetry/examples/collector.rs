//! Takes all that is exported to it over OTLP, looks at none of it, and prints every
//! second how many batches and bytes there were: what a collector on another machine
//! costs the one that exports.
//!
//! ```bash
//! cargo run --release -p trellis-telemetry --example collector -- 127.0.0.1:4317
//! ```
#![expect(clippy::print_stdout, reason = "it is a program for people and scripts")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Full};
use tokio::net::TcpListener;

#[derive(Default)]
struct Taken {
    batches: AtomicU64,
    bytes: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4317".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("collector ready on {}", listener.local_addr()?);
    let taken = Arc::new(Taken::default());
    let router = Router::new().fallback(take).with_state(Arc::clone(&taken));
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        () = tell(&taken) => Ok(()),
    }
}

/// Answers an empty message, which in OTLP says that all was taken.
async fn take(State(taken): State<Arc<Taken>>, request: Request) -> Response<Body> {
    let mut body = request.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
        taken.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    taken.batches.fetch_add(1, Ordering::Relaxed);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let empty = Full::from(&[0; 5][..]).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(empty));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn tell(taken: &Taken) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let batches = taken.batches.swap(0, Ordering::Relaxed);
        let bytes = taken.bytes.swap(0, Ordering::Relaxed);
        if 0 < batches {
            println!("{batches} batches, {bytes} bytes");
        }
    }
}
