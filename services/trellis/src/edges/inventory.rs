//! Calls to the inventory service.

use trellis_resilience::policy::{Criticality, Hedge, MethodPolicy};

use super::{Line, audit, line, ms, seconds};

pub(super) fn from_gateway() -> Vec<Line> {
    let page = MethodPolicy::safe()
        .timeout(seconds(2))
        .attempt_timeout(ms(800))
        .hedge(Hedge::AfterP95 { at_least: ms(10) });
    let staff = MethodPolicy::with_key().timeout(seconds(5));
    let none = "none: the command says how far it came, and can be repeated";
    vec![
        line(
            "/trellis.inventory.v1.InventoryService/ListProducts",
            page.clone(),
            "none: the customer tries again",
        ),
        line(
            "/trellis.inventory.v1.InventoryService/BatchGetProducts",
            page,
            "the page as it was last read, marked `degraded: inventory`",
        ),
        line(
            "/trellis.inventory.v1.InventoryService/UpsertProducts",
            MethodPolicy::idempotent().timeout(seconds(30)).attempt_timeout(seconds(15)),
            none,
        ),
        line("/trellis.inventory.v1.InventoryService/AdjustStock", staff, none),
        audit("/trellis.inventory.v1.InventoryService/AuditReservations"),
    ]
}

pub(super) fn from_order() -> Vec<Line> {
    let read = MethodPolicy::safe().timeout(seconds(2)).attempt_timeout(ms(800));
    // The saga repeats its steps, for as long as it takes.
    let step = MethodPolicy::with_key().timeout(seconds(2)).attempts(1);
    let undo = step.clone().criticality(Criticality::CriticalPlus);
    let saga = "the saga goes on later; the customer sees `PENDING`";
    vec![
        line(
            "/trellis.inventory.v1.InventoryService/BatchGetProducts",
            read,
            "a cart without prices, marked `degraded: prices`; a checkout is `UNAVAILABLE` and nothing has begun",
        ),
        line("/trellis.inventory.v1.InventoryService/ReserveStock", step, saga),
        line("/trellis.inventory.v1.InventoryService/CommitReservation", undo.clone(), saga),
        line("/trellis.inventory.v1.InventoryService/ReleaseReservation", undo.clone(), saga),
        line("/trellis.inventory.v1.InventoryService/RestockReservation", undo, saga),
    ]
}
