//! What may be done with each call between services, and to the payment processor
//! outside: every edge in one place.
//!
//! A call that waits for a customer has little time and may be repeated; one that a
//! saga or a relay repeats anyway is tried once, since retries multiply. What is
//! repeated is safe to repeat: it changes nothing, or carries a key. The same table
//! stands in `docs/resilience.md`, and a test holds the two together.

mod callers;
mod inventory;
mod order;
mod payment;
mod recommendation;
mod user;

use std::time::Duration;

use trellis_chassis::transport::Edge;
use trellis_payment::processor::Calls;
use trellis_resilience::exec::Operation;
use trellis_resilience::policy::{MethodPolicy, PolicyTable};

use crate::role::Role;

pub use callers::{customers, staff};

/// A call that someone makes, and what is done when it fails for good.
#[derive(Clone, Debug)]
pub struct Line {
    /// The path of the call.
    pub path: &'static str,
    /// What may be done with it.
    pub policy: MethodPolicy,
    /// What whoever calls does instead.
    pub fallback: &'static str,
}

/// How the service of `from` calls that of `to`; `None` if it never does.
pub fn between(from: Role, to: Role) -> Option<Edge> {
    lines(from, to).map(|(name, lines)| edge(name, lines))
}

/// How events are handed to the service of `to`; `None` if it hears none.
pub fn events(to: Role) -> Option<Edge> {
    let name = match to {
        Role::Order => "events.order",
        Role::Recommendation => "events.recommendation",
        _ => return None,
    };
    Some(edge(name, callers::deliveries()))
}

/// How the payment service calls the processor, each time for up to `timeout`.
pub fn processor(timeout: Duration) -> Calls {
    payment::to_processor(timeout)
}

/// The calls to the processor, in reading order, with what is done when they fail.
pub fn processor_lines(timeout: Duration) -> [(Operation, &'static str); 6] {
    payment::without_processor(processor(timeout))
}

/// Every edge between services with its calls, in reading order.
pub fn all() -> Vec<(&'static str, Vec<Line>)> {
    let pairs = [Role::Gateway, Role::Order]
        .into_iter()
        .flat_map(|from| Role::ALL.into_iter().filter_map(move |to| lines(from, to)));
    let events = ["events.order", "events.recommendation"];
    pairs.chain(events.map(|name| (name, callers::deliveries()))).collect()
}

/// What a door knows of the calls that come in: how critical they are if their callers
/// do not say it, and which are streams.
pub fn arrivals() -> PolicyTable {
    let between = all().into_iter().flat_map(|(_, lines)| lines);
    let between = between.map(|line| (line.path, line.policy));
    between
        .chain(callers::public())
        .fold(PolicyTable::default(), |table, (path, policy)| table.method(path, policy))
}

fn lines(from: Role, to: Role) -> Option<(&'static str, Vec<Line>)> {
    Some(match (from, to) {
        (Role::Gateway, Role::User) => ("gateway.user", user::from_gateway()),
        (Role::Gateway, Role::Inventory) => ("gateway.inventory", inventory::from_gateway()),
        (Role::Gateway, Role::Payment) => ("gateway.payment", payment::from_gateway()),
        (Role::Gateway, Role::Order) => ("gateway.order", order::from_gateway()),
        (Role::Gateway, Role::Recommendation) => {
            ("gateway.recommendation", recommendation::from_gateway())
        }
        (Role::Order, Role::Inventory) => ("order.inventory", inventory::from_order()),
        (Role::Order, Role::Payment) => ("order.payment", payment::from_order()),
        _ => return None,
    })
}

fn edge(name: &'static str, lines: Vec<Line>) -> Edge {
    let table = lines
        .into_iter()
        .fold(PolicyTable::default(), |table, line| table.method(line.path, line.policy));
    Edge::new(name, table)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn line(path: &'static str, policy: MethodPolicy, fallback: &'static str) -> Line {
    Line { path, policy, fallback }
}

/// An audit reads everything, and nobody waits for it but an operator.
fn audit(path: &'static str) -> Line {
    use trellis_resilience::policy::Criticality;

    let policy = MethodPolicy::server_stream().criticality(Criticality::Sheddable);
    line(path, policy, "the audit fails and says so")
}
