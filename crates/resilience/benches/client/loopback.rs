//! Over a connection to a server that has a thread of its own.

use std::net::SocketAddr;

use divan::Bencher;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use trellis_resilience::grpc::client::Client;
use trellis_resilience::net::fleet::Fleet;
use trellis_resilience::policy::{MethodPolicy, PolicyTable};

use super::grpc::{Answer, PATH, call};
use super::{THREADS, local};

thread_local! {
    static LOCAL: Runtime = local();
}

#[divan::bench(threads = THREADS, sample_count = 50, sample_size = 100)]
fn bare_channel(bencher: Bencher<'_, '_>) {
    let (server, address) = serve();
    #[expect(clippy::disallowed_methods, reason = "it is what this is compared with")]
    let channel = {
        let _runtime = server.enter();
        let uri = format!("http://{address}");
        tonic::transport::Endpoint::from_shared(uri).expect("it is one").connect_lazy()
    };
    server.block_on(call(channel.clone()));
    bencher.bench(|| LOCAL.with(|local| local.block_on(call(channel.clone()))));
}

#[divan::bench(threads = THREADS, sample_count = 50, sample_size = 100)]
fn trellis(bencher: Bencher<'_, '_>) {
    let (server, address) = serve();
    let fleet = Fleet::builder("stock").addresses([address]).build().expect("it is good");
    let policies = PolicyTable::default().method(PATH, MethodPolicy::safe());
    let stack =
        Client::builder("stock").policies(policies).fleet(fleet).build().expect("it is good");
    // As the channel, whose connection belongs to the runtime that it is made in.
    server.block_on(call(stack.clone()));
    bencher.bench(|| LOCAL.with(|local| local.block_on(call(stack.clone()))));
}

fn serve() -> (Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("it can be made");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    runtime.handle().clone().spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let handle = service_fn(|request: Request<hyper::body::Incoming>| async {
                request.into_body().collect().await?;
                Ok::<_, hyper::Error>(Response::new(Answer::Message))
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), handle);
            connections.spawn(connection);
        }
    });
    (runtime, address)
}
