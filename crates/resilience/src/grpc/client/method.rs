//! What a client knows of each method.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use super::deadline;
use super::meter::MethodMeter;
use crate::core::latency::Latency;
use crate::grpc::timeout;
use crate::observe::Metrics;
use crate::policy::{Hedge, Idempotency, Kind, MethodPolicy, PolicyTable};

/// The methods of a client. Those that its policies do not name share one entry, so
/// that a caller cannot make it grow.
#[derive(Debug)]
pub(super) struct Methods {
    /// By length and then by name: it takes a few comparisons of numbers to find one.
    named: Box<[Method]>,
    other: Method,
}

/// One method.
pub(super) struct Method {
    path: &'static str,
    pub(super) policy: MethodPolicy,
    pub(super) latency: Latency,
    pub(super) meter: MethodMeter,
    /// The time that an attempt has if nothing but the policy limits it, as it is
    /// written into the request.
    usual: Option<(Duration, HeaderValue)>,
}

/// Which method. A number, so that a call needs no reference to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Index(usize);

/// The name of what is not named, in metrics.
const OTHER: &str = "other";

impl Methods {
    pub(super) fn new(
        policies: &PolicyTable,
        metrics: &Arc<dyn Metrics>,
        target: &Arc<str>,
    ) -> Self {
        let method = |(path, policy): (&'static str, &MethodPolicy)| {
            Method::new(path, policy.clone(), MethodMeter::new(metrics, target, path))
        };
        let mut named: Box<[Method]> = policies.methods().map(method).collect();
        named.sort_unstable_by_key(|method| (method.path.len(), method.path));
        Self { named, other: method((OTHER, policies.default_policy())) }
    }

    pub(super) fn find(&self, path: &str) -> Index {
        let wanted = (path.len(), path);
        let found = self.named.binary_search_by(|method| {
            let (length, name) = wanted;
            method.path.len().cmp(&length).then_with(|| method.path.cmp(name))
        });
        Index(found.unwrap_or(self.named.len()))
    }

    pub(super) fn get(&self, index: Index) -> &Method {
        self.named.get(index.0).unwrap_or(&self.other)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Method> {
        self.named.iter().chain([&self.other])
    }
}

impl Method {
    fn new(path: &'static str, policy: MethodPolicy, meter: MethodMeter) -> Self {
        let may_repeat = policy.is_repeatable() && policy.attempts > 1;
        let usual = deadline::of_attempt(&policy, policy.timeout, may_repeat)
            .map(|usual| (usual, written(usual)));
        Self { path, policy, latency: Latency::default(), meter, usual }
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// Whether more than one attempt can ever come of a call.
    pub(super) fn is_replayed(&self) -> bool {
        self.sends_one_message() && (self.policy.attempts > 1 || self.is_hedged())
    }

    pub(super) fn sends_one_message(&self) -> bool {
        matches!(self.policy.kind, Kind::Unary | Kind::ServerStream)
    }

    pub(super) fn is_hedged(&self) -> bool {
        let Self { policy, .. } = self;
        policy.hedge != Hedge::Never
            && policy.idempotency == Idempotency::Safe
            && policy.kind == Kind::Unary
    }

    /// Whether the end of its calls can be far from their beginning.
    pub(super) fn answers_in_a_stream(&self) -> bool {
        matches!(self.policy.kind, Kind::ServerStream | Kind::Bidirectional)
    }

    /// Tells the peer how much time an attempt has.
    pub(super) fn write_timeout(&self, headers: &mut http::HeaderMap, left: Duration) {
        match &self.usual {
            Some((usual, value)) if *usual == left => {
                headers.insert(timeout::HEADER, value.clone());
            }
            _ => timeout::write(headers, left),
        }
    }
}

/// Its bytes are never freed, so that calls that copy it do not have to count who uses
/// them, all in the same place. There is one copy of each of the few that there are.
fn written(timeout: Duration) -> HeaderValue {
    static WRITTEN: Mutex<BTreeSet<&'static [u8]>> = Mutex::new(BTreeSet::new());
    let mut headers = http::HeaderMap::new();
    timeout::write(&mut headers, timeout);
    let value = headers[timeout::HEADER].as_bytes();
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = written.get(value).copied();
    let kept = known.unwrap_or_else(|| Box::leak(value.into()));
    written.insert(kept);
    HeaderValue::from_maybe_shared(Bytes::from_static(kept)).expect("it was one before")
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method")
            .field("path", &self.path)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::NoMetrics;

    #[test]
    fn a_method_is_found_by_its_path_and_the_unknown_share_one() {
        let slow = MethodPolicy::safe().timeout(Duration::from_secs(7));
        let policies = PolicyTable::new(MethodPolicy::default())
            .method("/shop.Stock/Get", MethodPolicy::safe())
            .method("/shop.Stock/Put", MethodPolicy::with_key())
            .method("/shop.Stock/Reserve", slow);
        let metrics: Arc<dyn Metrics> = Arc::new(NoMetrics);
        let methods = Methods::new(&policies, &metrics, &Arc::from("stock"));
        let found = |path| methods.get(methods.find(path)).path();

        for path in ["/shop.Stock/Get", "/shop.Stock/Put", "/shop.Stock/Reserve"] {
            assert_eq!(found(path), path);
        }
        for path in ["", "/", "/shop.Stock/Gut", "/shop.Stock/Gets", "/shop.Stock/Zet"] {
            assert_eq!(found(path), OTHER);
        }
        assert_eq!(methods.all().count(), 4);
    }

    #[test]
    fn the_usual_time_is_written_as_any_other() {
        let policies = PolicyTable::new(MethodPolicy::default().timeout(Duration::from_secs(3)));
        let metrics: Arc<dyn Metrics> = Arc::new(NoMetrics);
        let methods = Methods::new(&policies, &metrics, &Arc::from("stock"));
        let method = methods.get(methods.find("/any"));
        let written = |left| {
            let mut headers = http::HeaderMap::new();
            method.write_timeout(&mut headers, left);
            timeout::read(&headers).unwrap().unwrap()
        };

        for left in [Duration::from_secs(3), Duration::from_millis(2999)] {
            assert_eq!(written(left), left);
        }
    }
}
