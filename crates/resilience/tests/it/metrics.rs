//! Each metric of the table in the README is counted by something real, and nothing is
//! counted that is not in the table.

mod client;
mod fleet;
mod server;

use std::collections::BTreeSet;
use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tower::ServiceExt as _;
use trellis_resilience::Environment;
use trellis_resilience::chaos::{Effect, Rule};
use trellis_resilience::core::limit;
use trellis_resilience::exec::{Executor, Operation};
use trellis_resilience::grpc::client::Client;
use trellis_resilience::grpc::server::ServerLayer;
use trellis_resilience::net::fleet::Fleet;
use trellis_resilience::observe::{Counter, Gauge, Histogram, Label, Metrics, Recorder};
use trellis_resilience::registry::Registry;

use crate::behaviours::{has_test, links, read};
use crate::peer::{Peer, call, ok, request};

/// A registry whose metrics are kept in the recorder.
fn watched() -> (Registry, Recorder) {
    let recorder = Recorder::default();
    let environment = Environment { metrics: Arc::new(recorder.clone()), ..Environment::tokio() };
    (Registry::new(environment), recorder)
}

/// What was asked for: the sort of a metric, its name, and the names of its labels.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<BTreeSet<Named>>>);

type Named = (String, String, String);

impl Names {
    fn note(&self, sort: &str, name: &str, labels: &[Label]) {
        let labels: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
        let named = (sort.to_owned(), name.to_owned(), labels.join(", "));
        self.0.lock().unwrap().insert(named);
    }
}

impl Metrics for Names {
    fn counter(&self, name: &'static str, labels: &[Label]) -> Counter {
        self.note("counter", name, labels);
        Counter::default()
    }

    fn gauge(&self, name: &'static str, labels: &[Label]) -> Gauge {
        self.note("gauge", name, labels);
        Gauge::default()
    }

    fn histogram(&self, name: &'static str, labels: &[Label]) -> Histogram {
        self.note("histogram", name, labels);
        Histogram::default()
    }
}

/// A row of the table, and the name and the file of its test.
type Row<'a> = (Named, Vec<(&'a str, &'a str)>);

fn rows(readme: &str) -> Vec<Row<'_>> {
    let row = |line| {
        let cells: Vec<&str> = str::split(line, " | ").collect();
        let [name, sort, labels, _, tests] = cells[..] else { return None };
        let name = name.strip_prefix("| `resilience_")?.strip_suffix('`')?;
        let named = (sort.to_owned(), format!("resilience_{name}"), labels.replace('`', ""));
        Some((named, links(tests)))
    };
    readme.lines().filter_map(row).collect()
}

#[tokio::test(start_paused = true)]
async fn the_table_has_each_metric_with_its_labels_and_no_other() {
    let names = Names::default();
    let environment = Environment { metrics: Arc::new(names.clone()), ..Environment::tokio() };
    let registry = Registry::new(environment.clone());
    registry.set_chaos(vec![Rule::new(Effect::Reset).target("nobody")]).unwrap();
    let client = Client::builder("peer").registry(&registry).over(Peer::at_once(|_| ok()));
    call(&client.build().unwrap()).await.unwrap();
    let nobody: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let _fleet =
        Fleet::builder("fleet").addresses([nobody]).environment(environment).build().unwrap();
    let _server = ServerLayer::builder("server").registry(&registry).build().unwrap();
    let executor = Executor::builder("disk").limiter(limit::Settings::default());
    let executor = executor.registry(&registry).build().unwrap();
    let read_row = Operation::safe("read");
    executor.run(&read_row, |_| ready(Ok::<_, std::io::Error>(()))).await.unwrap();

    let table: BTreeSet<_> = rows(&read("README.md")).into_iter().map(|(named, _)| named).collect();

    assert_eq!(*names.0.lock().unwrap(), table);
}

#[test]
fn each_metric_has_a_test_and_each_test_exists() {
    let readme = read("README.md");
    let rows = rows(&readme);

    let untested: Vec<_> = rows.iter().filter(|(_, tests)| tests.is_empty()).collect();
    assert!(untested.is_empty(), "{untested:?}");
    for ((_, name, _), tests) in &rows {
        let mark = format!("/// Metric `{name}`.");
        for (test, file) in tests {
            assert!(has_test(&read(file), test, &mark), "{name} has no test {test}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_registry_shows_them_with_gauges_that_are_up_to_date() {
    let (registry, recorder) = watched();
    let _kept = registry.keep("metrics", "all", recorder);
    let client = Client::builder("peer").registry(&registry);
    let client = client.over(Peer::new(async |_| pending().await)).build().unwrap();
    let mut calling = JoinSet::new();
    calling.spawn(client.oneshot(request(b"hello")));
    tokio::task::yield_now().await;

    let shown = registry.snapshot()["metrics"]["all"].take();

    let gauge = &shown["gauges"]["resilience_target_inflight"];
    assert_eq!(*gauge, serde_json::json!([{"labels": {"target": "peer"}, "value": 1.0}]));
    let attempts = &shown["counters"]["resilience_attempts_total"][0];
    assert_eq!(attempts["value"], 1);
}
