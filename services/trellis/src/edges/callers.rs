//! Calls that come from no service: of relays, of customers, of staff.

use trellis_chassis::transport::Edge;
use trellis_resilience::policy::{Criticality, MethodPolicy, PolicyTable};

use super::{Line, line, seconds};

/// How events are handed over: the relay itself repeats what failed, in order.
pub(super) fn deliveries() -> Vec<Line> {
    let deliver = MethodPolicy::idempotent()
        .timeout(seconds(5))
        .attempts(1)
        .criticality(Criticality::SheddablePlus)
        .fail_fast();
    vec![line(
        "/trellis.event.v1.ConsumerService/DeliverEvents",
        deliver,
        "the events stay in the outbox, and are handed over later",
    )]
}

/// How the staff looks at events that could not be applied, at a service that hears any.
pub(super) fn dead_letters() -> [Line; 2] {
    let list = MethodPolicy::safe().timeout(seconds(5));
    let replay = MethodPolicy::idempotent().timeout(seconds(5));
    let none = "none: the command fails, and can be repeated";
    [
        line("/trellis.event.v1.ConsumerService/ListDeadLetters", list, none),
        line("/trellis.event.v1.ConsumerService/ReplayDeadLetters", replay, none),
    ]
}

/// The public calls that are not as urgent as most, or more so, or streams.
pub(super) fn public() -> Vec<(&'static str, MethodPolicy)> {
    let as_urgent = |criticality| MethodPolicy::default().criticality(criticality);
    let buying = as_urgent(Criticality::CriticalPlus);
    let background = as_urgent(Criticality::SheddablePlus);
    vec![
        ("/trellis.shop.v1.ShopService/Checkout", buying.clone()),
        ("/trellis.shop.v1.ShopService/CancelOrder", buying),
        ("/trellis.shop.v1.ShopService/WatchOrder", MethodPolicy::server_stream()),
        ("/trellis.shop.v1.ShopService/ListRecommendations", as_urgent(Criticality::Sheddable)),
        ("/trellis.shop.v1.AdminService/ImportProducts", background.clone()),
        ("/trellis.shop.v1.AdminService/Audit", background),
    ]
}

/// How a customer calls a shop: once, with the time that the request names. Whoever
/// measures a shop wants to see its failures.
pub fn customers() -> Edge {
    Edge::new("customer.gateway", unrepeated())
}

/// How a command of the staff calls a shop.
pub fn staff() -> Edge {
    Edge::new("staff.gateway", unrepeated())
}

fn unrepeated() -> PolicyTable {
    let once = MethodPolicy::default().attempts(1).fail_fast();
    PolicyTable::new(MethodPolicy { timeout: None, ..once })
}
