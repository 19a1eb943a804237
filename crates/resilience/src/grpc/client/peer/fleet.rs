//! The instances of a target, of which every attempt goes to one.

use futures::future::{BoxFuture, FutureExt as _};
use http::Response;
use hyper::body::Incoming;

use super::{Peer, Request, Standing};
use crate::core::clock::Time;
use crate::core::outcome::Verdict;
use crate::net::SendError;
use crate::net::balance::Tried;
use crate::net::endpoint::State;
use crate::net::fleet::{Fleet, Picked};

impl Peer for Fleet {
    type Body = Incoming;
    type Lease = Picked;
    type Sending = BoxFuture<'static, Result<Response<Incoming>, SendError>>;

    fn choose(&self, tried: &Tried, now: Time) -> Option<Picked> {
        self.pick(tried, now).ok()
    }

    fn is_resolved(&self) -> bool {
        Self::is_resolved(self)
    }

    fn has_other(&self, tried: &Tried) -> Option<bool> {
        Some(Self::has_other(self, tried))
    }

    fn note(&self, picked: &Picked, tried: &mut Tried) {
        tried.insert(picked.id());
    }

    fn standing(&self, picked: &Picked) -> Standing {
        let endpoint = picked.endpoint();
        match endpoint.state() {
            State::Ready => Standing::Ready,
            _ if endpoint.is_available() => Standing::Hopeful,
            _ => Standing::Unreachable,
        }
    }

    fn changed(&self, picked: Option<&Picked>) -> BoxFuture<'static, ()> {
        let fleet = self.clone();
        match picked {
            None => async move { fleet.known().await }.boxed(),
            Some(picked) if picked.endpoint().is_available() => {
                let endpoint = picked.endpoint().clone();
                // How that ends is seen by who asks for its standing.
                async move { endpoint.available().map(drop).await }.boxed()
            }
            Some(_) => async move { fleet.available().await }.boxed(),
        }
    }

    fn send(
        &self,
        picked: &Picked,
        request: Request,
    ) -> BoxFuture<'static, Result<Response<Incoming>, SendError>> {
        let endpoint = picked.endpoint().clone();
        let Request { head, body } = request;
        async move { endpoint.send(http::Request::from_parts(head, body)).await }.boxed()
    }

    fn answered(&self, picked: &mut Picked, now: Time) {
        picked.answered(now);
    }

    fn settle(&self, picked: Picked, verdict: &Verdict, now: Time) {
        picked.settle(verdict, now);
    }

    fn snapshot(&self, now: Time) -> Option<serde_json::Value> {
        serde_json::to_value(Self::snapshot(self, now)).ok()
    }

    fn publish(&self) {
        Self::publish(self);
    }
}
