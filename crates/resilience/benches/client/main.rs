//! What the client costs, with one thread and with two that share it: over a service
//! that answers at once, against that service and against four layers of another crate;
//! and over loopback, against the channel of tonic.
//!
//! `cargo bench -p trellis-resilience --bench client`

mod grpc;
mod layers;
mod loopback;

use std::cell::Cell;
use std::hint::spin_loop;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::thread::yield_now;

use divan::AllocProfiler;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const THREADS: [usize; 2] = [1, 2];

/// So many that threads which start together are together for nearly all of a sample.
const SAMPLE: u32 = 10_000;

fn main() {
    divan::main();
}

/// Polls a call of a service that answers at once, in a runtime.
///
/// It waits only for the other thread, which may hold a lock of the service. It does so
/// without going to sleep, which is what costs such a service least.
fn finish<F: Future>(call: F) -> F::Output {
    enter();
    let mut call = pin!(call);
    let mut polls = 0;
    loop {
        if let Poll::Ready(output) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        polls += 1;
        if polls % 100 == 0 { yield_now() } else { spin_loop() }
    }
}

/// Puts this thread into a runtime, where calls are, for as long as it lives.
fn enter() {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(local);
    thread_local! {
        static ENTERED: Cell<bool> = const { Cell::new(false) };
    }
    if !ENTERED.replace(true) {
        std::mem::forget(RUNTIME.enter());
    }
}

fn local() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made")
}
