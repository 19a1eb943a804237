//! Four layers of tower-resilience 0.14: retries around a breaker, around a limit of
//! time, around a bulkhead. They are what the client is made of that this crate has as
//! well, with the same settings.
//!
//! Its retries need requests that can be cloned, which those of HTTP cannot, so the
//! service below takes another kind and has a bare figure of its own; what counts is the
//! difference. What these layers do not do: read a deadline from the request and write
//! one into it, hear of the end of a response that comes after its head, know the codes
//! of gRPC, hold back when the peer does, or know the latency of a method. Nor
//! does anything leave the window of their breaker.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use divan::Bencher;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_retry::{RetryBudgetBuilder, RetryLayer};
use tower_resilience_timelimiter::TimeLimiterLayer;

use super::grpc::{MESSAGE, PATH};
use super::{SAMPLE, THREADS, finish};

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn bare(bencher: Bencher<'_, '_>) {
    bencher.bench(|| answer(Instantaneous));
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn tower_resilience(bencher: Bencher<'_, '_>) {
    let stack = stack();
    bencher.bench(|| answer(stack.clone()));
}

fn stack() -> impl Service<Question, Response = Bytes> + Clone + Sync {
    let bulkhead = BulkheadLayer::builder()
        .max_concurrent_calls(256)
        .reject_when_full()
        .build()
        .expect("good");
    let timer = TimeLimiterLayer::builder().timeout_duration(Duration::from_secs(1)).build();
    let breaker = CircuitBreakerLayer::builder()
        .sliding_window_size(100)
        .minimum_number_of_calls(20)
        .permitted_calls_in_half_open(3)
        .build()
        .expect("good");
    let budget = RetryBudgetBuilder::new()
        .token_bucket()
        .tokens_per_second(1.0)
        .max_tokens(10)
        .build()
        .expect("good");
    let retry = RetryLayer::builder().max_attempts(3).budget(budget).build();
    retry.layer(breaker.layer(timer.layer(bulkhead.layer(Instantaneous))))
}

fn answer<S: Service<Question, Response = Bytes>>(mut service: S) {
    let question = Question { path: PATH, message: Bytes::from_static(MESSAGE) };
    let call = async {
        let service = service.ready().await.unwrap_or_else(|_| unreachable!());
        service.call(black_box(question)).await.is_ok()
    };
    assert!(finish(call));
}

#[derive(Clone)]
struct Question {
    path: &'static str,
    message: Bytes,
}

/// Answers at once with the message.
#[derive(Clone, Copy)]
struct Instantaneous;

impl Service<Question> for Instantaneous {
    type Response = Bytes;
    type Error = Infallible;
    type Future = Ready<Result<Bytes, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: Question) -> Self::Future {
        black_box(question.path);
        ready(Ok(question.message))
    }
}
