//! The store beside a model that is too simple to be wrong.
//!
//! The model knows only maps. After every random step both must say the same,
//! and at the end the store's own audit must find nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use tonic::Status;
use trellis_api::id::ReservationId;
use trellis_api::{Money, Sku, error};
use trellis_inventory::domain::{Adjustment, Import, Line, Lines, Reservation, Reserve};
use trellis_inventory::error::Error;
use trellis_inventory::expiry;
use trellis_inventory::store::Store;
use trellis_testkit::Database;
use uuid::Uuid;

const SKUS: [&str; 3] = ["A", "B", "C"];
const START: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const TTL: i64 = 100;

#[derive(Clone, Debug)]
enum Action {
    Reserve { id: usize, lines: BTreeMap<usize, i32> },
    Commit { id: usize },
    Release { id: usize },
    Restock { id: usize },
    Sweep,
    Wait { seconds: i64 },
    Adjust { request: u128, sku: usize, delta: i64 },
    Import { sku: usize, on_hand: i64 },
}

#[derive(Default)]
struct Model {
    now: i64,
    on_hand: [i64; 3],
    reserved: [i64; 3],
    reservations: BTreeMap<usize, Held>,
    requests: BTreeMap<u128, (usize, i64, String)>,
}

#[derive(Clone)]
struct Held {
    state: &'static str,
    lines: Option<BTreeMap<usize, i32>>,
    expires: i64,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let id = 0..6_usize;
    let lines = prop::collection::btree_map(0..3_usize, 1..6, 1..=3);
    let action = prop_oneof![
        5 => (id.clone(), lines).prop_map(|(id, lines)| Action::Reserve { id, lines }),
        3 => id.clone().prop_map(|id| Action::Commit { id }),
        2 => id.clone().prop_map(|id| Action::Release { id }),
        1 => id.prop_map(|id| Action::Restock { id }),
        1 => Just(Action::Sweep),
        1 => (1..TTL).prop_map(|seconds| Action::Wait { seconds }),
        1 => (1..4_u128, 0..3_usize, -6..6_i64).prop_filter("not 0", |(_, _, delta)| *delta != 0)
            .prop_map(|(request, sku, delta)| Action::Adjust { request, sku, delta }),
        1 => (0..3_usize, 0..12_i64).prop_map(|(sku, on_hand)| Action::Import { sku, on_hand }),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_sequence_of_calls_breaks_an_invariant(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agree(actions));
    }
}

async fn agree(actions: Vec<Action>) {
    let database = Database::chosen("inventory").await;
    let store = crate::kit::open(&database).await;
    let mut model = Model::default();
    for sku in 0..SKUS.len() {
        let first = Action::Import { sku, on_hand: 10 };
        assert_eq!(take(&*store, &first, 0).await, model.take(&first));
    }
    for (step, action) in actions.iter().enumerate() {
        let now = model.now;
        assert_eq!(take(&*store, action, now).await, model.take(action), "step {step}: {action:?}");
    }
    let skus = SKUS.iter().map(|sku| sku.parse().unwrap()).collect();
    let stocked = store.products(skus).await.unwrap();
    let available: Vec<i64> = stocked.iter().map(|stocked| stocked.available).collect();
    let expected: Vec<i64> = (0..3).map(|sku| model.on_hand[sku] - model.reserved[sku]).collect();
    assert_eq!(available, expected);
    for check in store.audit(at(model.now)).await.unwrap() {
        // The model sweeps when it likes, so a reservation may be overdue here.
        if check.invariant != "no reservation outlives its time" {
            assert_eq!(check.violations, [], "{}", check.invariant);
        }
    }
}

/// What the store says, in a word.
async fn take(store: &dyn Store, action: &Action, now: i64) -> String {
    let now = at(now);
    match action {
        Action::Reserve { id, lines } => {
            let verdicts = store.reserve_batch(vec![reserve(*id, lines)], now).await.unwrap();
            word(verdicts.into_iter().next().unwrap())
        }
        Action::Commit { id } => word(store.commit(name(*id), now).await),
        Action::Release { id } => word(store.release(name(*id), now).await),
        Action::Restock { id } => word(store.restock(name(*id), now).await),
        Action::Sweep => expiry::sweep(store, now).await.unwrap().to_string(),
        Action::Wait { .. } => "waited".to_owned(),
        Action::Adjust { request, sku, delta } => {
            let adjustment = Adjustment {
                request_id: Uuid::from_u128(*request),
                sku: SKUS[*sku].parse().unwrap(),
                delta: *delta,
            };
            match store.adjust_stock(adjustment, now).await {
                Ok(stock) => format!("{} of {}", stock.reserved, stock.on_hand),
                Err(error) => reason(error),
            }
        }
        Action::Import { sku, on_hand } => {
            let import = Import {
                sku: SKUS[*sku].parse().unwrap(),
                title: "A thing".parse().unwrap(),
                price: Money::new("GBP".parse().unwrap(), 100),
                on_hand: (*on_hand).try_into().unwrap(),
            };
            store.upsert_products(vec![import], now).await.map_or_else(reason, |_| "ok".to_owned())
        }
    }
}

impl Model {
    fn take(&mut self, action: &Action) -> String {
        match action {
            Action::Reserve { id, lines } => self.reserve(*id, lines),
            Action::Commit { id } => self.commit(*id),
            Action::Release { id } => self.release(*id),
            Action::Restock { id } => self.restock(*id),
            Action::Sweep => self.sweep(),
            Action::Wait { seconds } => {
                self.now += seconds;
                "waited".to_owned()
            }
            Action::Adjust { request, sku, delta } => self.adjust(*request, *sku, *delta),
            Action::Import { sku, on_hand } if *on_hand < self.reserved[*sku] => {
                "STOCK_RESERVED".to_owned()
            }
            Action::Import { sku, on_hand } => {
                self.on_hand[*sku] = *on_hand;
                "ok".to_owned()
            }
        }
    }

    fn reserve(&mut self, id: usize, lines: &BTreeMap<usize, i32>) -> String {
        if let Some(known) = self.reservations.get(&id) {
            let same = known.lines.as_ref().is_none_or(|first| first == lines);
            return match known.state {
                _ if !same => "IDEMPOTENCY_KEY_REUSED",
                "Held" if known.expires <= self.now => "RESERVATION_EXPIRED",
                "Rejected" => "OUT_OF_STOCK",
                "Released" => "RESERVATION_RELEASED",
                "Expired" => "RESERVATION_EXPIRED",
                state => state,
            }
            .to_owned();
        }
        let free = |sku: usize| self.on_hand[sku] - self.reserved[sku];
        let fits = lines.iter().all(|(&sku, &units)| i64::from(units) <= free(sku));
        let state = if fits { "Held" } else { "Rejected" };
        if fits {
            for (&sku, &units) in lines {
                self.reserved[sku] += i64::from(units);
            }
        }
        let held = Held { state, lines: Some(lines.clone()), expires: self.now + TTL };
        self.reservations.insert(id, held);
        if fits { "Held".to_owned() } else { "OUT_OF_STOCK".to_owned() }
    }

    fn commit(&mut self, id: usize) -> String {
        let Some(known) = self.reservations.get(&id).cloned() else {
            return "RESERVATION_NOT_FOUND".to_owned();
        };
        match known.state {
            "Held" if known.expires <= self.now => "RESERVATION_EXPIRED".to_owned(),
            "Held" => self.end(id, "Committed", -1, -1),
            "Rejected" => "RESERVATION_REJECTED".to_owned(),
            "Released" => "RESERVATION_RELEASED".to_owned(),
            "Expired" => "RESERVATION_EXPIRED".to_owned(),
            sold => sold.to_owned(),
        }
    }

    fn release(&mut self, id: usize) -> String {
        let Some(known) = self.reservations.get(&id).cloned() else {
            let tombstone = Held { state: "Released", lines: None, expires: i64::MAX };
            self.reservations.insert(id, tombstone);
            return "Released".to_owned();
        };
        match known.state {
            "Held" => self.end(id, "Released", 0, -1),
            "Committed" | "Restocked" => "RESERVATION_COMMITTED".to_owned(),
            ended => ended.to_owned(),
        }
    }

    fn restock(&mut self, id: usize) -> String {
        match self.reservations.get(&id).map(|known| known.state) {
            None => "RESERVATION_NOT_FOUND".to_owned(),
            Some("Committed") => self.end(id, "Restocked", 1, 0),
            Some("Restocked") => "Restocked".to_owned(),
            Some(_) => "RESERVATION_NOT_COMMITTED".to_owned(),
        }
    }

    fn sweep(&mut self) -> String {
        let due: Vec<usize> = self
            .reservations
            .iter()
            .filter(|(_, known)| known.state == "Held" && known.expires <= self.now)
            .map(|(&id, _)| id)
            .collect();
        for &id in &due {
            self.end(id, "Expired", 0, -1);
        }
        due.len().to_string()
    }

    fn adjust(&mut self, request: u128, sku: usize, delta: i64) -> String {
        if let Some((first_sku, first_delta, answer)) = self.requests.get(&request) {
            let same = (*first_sku, *first_delta) == (sku, delta);
            return if same { answer.clone() } else { "IDEMPOTENCY_KEY_REUSED".to_owned() };
        }
        let answer = if self.on_hand[sku] + delta < self.reserved[sku] {
            "INSUFFICIENT_STOCK".to_owned()
        } else {
            self.on_hand[sku] += delta;
            format!("{} of {}", self.reserved[sku], self.on_hand[sku])
        };
        self.requests.insert(request, (sku, delta, answer.clone()));
        answer
    }

    fn end(&mut self, id: usize, state: &'static str, on_hand: i64, reserved: i64) -> String {
        let known = self.reservations.get_mut(&id).unwrap();
        known.state = state;
        for (&sku, &units) in known.lines.iter().flatten() {
            self.on_hand[sku] += on_hand * i64::from(units);
            self.reserved[sku] += reserved * i64::from(units);
        }
        state.to_owned()
    }
}

fn word(answer: Result<Reservation, Error>) -> String {
    answer.map_or_else(reason, |reservation| format!("{:?}", reservation.state))
}

fn reason(error: Error) -> String {
    error::reason(&Status::from(error)).unwrap()
}

fn reserve(id: usize, lines: &BTreeMap<usize, i32>) -> Reserve {
    let lines = lines
        .iter()
        .map(|(&sku, &units)| Line {
            sku: SKUS[sku].parse::<Sku>().unwrap(),
            quantity: units.try_into().unwrap(),
        })
        .collect();
    let lines = Lines::new(lines).unwrap();
    Reserve { reservation_id: name(id), lines, ttl: Duration::seconds(TTL) }
}

fn name(id: usize) -> ReservationId {
    ReservationId::from_uuid(Uuid::from_u128(
        0x018f_6f3e_0000_7000_8000_0000_0000_0000 + id as u128,
    ))
}

fn at(now: i64) -> OffsetDateTime {
    START + Duration::seconds(now)
}
