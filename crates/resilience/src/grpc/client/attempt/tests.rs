//! An attempt that meets the first answer of the resolver.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use http::HeaderValue;
use tonic::body::Body;
use tower::{ServiceExt as _, util::ServiceFn};

use super::*;
use crate::core::outcome::Verdict;
use crate::grpc::client::{Client, Over, OverSending};
use crate::policy::{MethodPolicy, PolicyTable};

type Answer = fn(http::Request<Body>) -> Ready<Result<Response<Body>, Infallible>>;

/// The resolver answers right after the first choice was made without it.
#[derive(Debug)]
struct Late {
    peer: Over<ServiceFn<Answer>>,
    is_resolved: AtomicBool,
}

impl Peer for Late {
    type Body = Body;
    type Lease = ();
    type Sending = OverSending<ServiceFn<Answer>>;

    fn choose(&self, _: &Tried, _: Time) -> Option<()> {
        self.is_resolved.swap(true, Ordering::Relaxed).then_some(())
    }

    fn is_resolved(&self) -> bool {
        self.is_resolved.load(Ordering::Relaxed)
    }

    fn has_other(&self, _: &Tried) -> Option<bool> {
        None
    }

    fn note(&self, (): &(), _: &mut Tried) {}

    fn standing(&self, (): &()) -> Standing {
        Standing::Ready
    }

    fn changed(&self, _: Option<&()>) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }

    fn send(&self, lease: &(), request: Request) -> Self::Sending {
        self.peer.send(lease, request)
    }

    fn answered(&self, (): &mut (), _: Time) {}

    fn settle(&self, (): (), _: &Verdict, _: Time) {}

    fn snapshot(&self, _: Time) -> Option<serde_json::Value> {
        None
    }
}

fn answer(_: http::Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
    ready(Ok(response))
}

#[tokio::test]
async fn a_resolver_that_answers_during_the_choice_makes_no_failure_of_it() {
    let peer = Over::new(tower::service_fn(answer as Answer));
    let late = Late { peer, is_resolved: AtomicBool::new(false) };
    let policy = MethodPolicy::default().attempts(1).fail_fast();
    let client = Client::builder("late").policies(PolicyTable::new(policy)).to(late);
    let request = http::Request::post("/shop.Shop/Get").body(Body::empty()).unwrap();

    let answered = client.build().unwrap().oneshot(request).await;

    assert!(answered.is_ok(), "{:?}", answered.err());
}
