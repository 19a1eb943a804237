//! The store's contract, asked of each adapter.

use std::sync::Arc;

use time::{Duration, OffsetDateTime, macros::datetime};
use trellis_api::Money;
use trellis_api::id::{Bucket, PaymentId};
use trellis_payment::store::{self, Due, GRACE};
use trellis_payment::{
    Change, Code, Error, Intent, Payment, Reference, Refusal, State, Store, Trace,
};
use trellis_storage::Options;
use trellis_testkit::Database;

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

fn new_id() -> PaymentId {
    PaymentId::new(NOW, Bucket::random())
}

fn intent(payment: PaymentId, minor_units: i64, token: &str) -> Intent {
    let amount = Money::new("GBP".parse().unwrap(), minor_units);
    Intent { payment, amount, token: token.parse().unwrap() }
}

fn reference() -> Reference {
    Reference::new("pi_1")
}

async fn the_first_intent_counts(store: Arc<dyn Store>) {
    let id = new_id();
    let first = store.begin(intent(id, 5, "a"), NOW).await.unwrap();
    let again = store.begin(intent(id, 5, "a"), NOW + Duration::HOUR).await.unwrap();

    assert_eq!((first.state, first.create_time), (again.state, again.create_time));
    for other in [intent(id, 6, "a"), intent(id, 5, "b")] {
        assert!(
            matches!(store.begin(other, NOW).await, Err(Error::IdReused(reused)) if reused == id)
        );
    }
    store.change(id, Change::Declined(Code::new("no")), NOW).await.unwrap();
    assert!(matches!(store.begin(intent(id, 5, "b"), NOW).await, Err(Error::IdReused(_))));
    assert!(matches!(store.get(new_id()).await, Err(Error::NotFound(_))));
}

async fn every_state_comes_back_as_it_was_stored(store: Arc<dyn Store>) {
    let reached = async |changes: &[Change]| -> Payment {
        let id = new_id();
        let mut last = store.begin(intent(id, 5, "a"), NOW).await.unwrap();
        for change in changes {
            last = store.change(id, change.clone(), NOW + Duration::SECOND).await.unwrap();
        }
        let stored = store.get(id).await.unwrap();
        assert_eq!(stored.state, last.state);
        assert_eq!(stored.amount, last.amount);
        assert_eq!((stored.create_time, stored.update_time), (last.create_time, last.update_time));
        stored
    };
    let authorized = Change::Authorized(reference());
    let captured = Change::Captured(reference());
    let code = Code::new("expired");

    reached(&[]).await;
    reached(std::slice::from_ref(&authorized)).await;
    reached(&[Change::Declined(code.clone())]).await;
    reached(&[Change::Void]).await;
    reached(&[Change::Void, Change::Voided(None)]).await;
    let voiding = reached(&[authorized.clone(), Change::Void]).await;
    assert_eq!(voiding.state, State::Voiding { trace: Trace::Reference(reference()) });
    reached(&[authorized.clone(), Change::Void, Change::Voided(Some(reference()))]).await;
    let refused = reached(&[authorized.clone(), Change::CaptureRefused(code.clone())]).await;
    assert_eq!(refused.to_capture().unwrap_err(), Refusal::CaptureRefused { code });
    reached(&[authorized.clone(), captured.clone()]).await;
    let refunded = reached(&[authorized, captured, Change::Refunded]).await;
    assert_eq!(refunded.state, State::Refunded { reference: reference() });

    let books = store.books().await.unwrap();
    assert_eq!((books.payments, books.entries, books.captured), (10, 3, 2));
    assert_eq!((books.repeated.len(), books.unbalanced.len(), books.unrecorded.len()), (0, 0, 0));
    let sums = books.sums[0];
    assert_eq!((sums.authorized, sums.pending, sums.voided, sums.kept), (45, 25, 10, 5));
    assert_eq!((sums.captured, sums.refunded, sums.balance), (10, 5, 0));
}

async fn a_void_is_recorded_for_whatever_there_is(store: Arc<dyn Store>) {
    let (unknown, begun, captured) = (new_id(), new_id(), new_id());
    for id in [begun, captured] {
        store.begin(intent(id, 5, "a"), NOW).await.unwrap();
    }
    store.change(captured, Change::Authorized(reference()), NOW).await.unwrap();
    store.change(captured, Change::Captured(reference()), NOW).await.unwrap();

    let tombstone = store.void(unknown, NOW).await.unwrap();
    assert_eq!((tombstone.state, tombstone.amount), (State::Voided { reference: None }, None));
    let late = store.begin(intent(unknown, 5, "a"), NOW).await.unwrap();
    assert_eq!(late.state, State::Voided { reference: None });
    let voiding = store.void(begun, NOW).await.unwrap();
    assert!(matches!(voiding.state, State::Voiding { trace: Trace::Token(_) }));
    let refused = store.void(captured, NOW).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Captured))));
}

async fn what_is_unsettled_falls_due_and_can_be_put_off(store: Arc<dyn Store>) {
    let (first, second, settled, tombstone) = (new_id(), new_id(), new_id(), new_id());
    store.begin(intent(first, 5, "a"), NOW).await.unwrap();
    store.begin(intent(settled, 5, "a"), NOW).await.unwrap();
    store.change(settled, Change::Authorized(reference()), NOW).await.unwrap();
    store.begin(intent(second, 5, "a"), NOW + Duration::SECOND).await.unwrap();
    store.void(tombstone, NOW + Duration::seconds(2)).await.unwrap();
    store.void(tombstone, NOW + Duration::seconds(9)).await.unwrap();
    let due = async |at: OffsetDateTime| store.due(at, 10).await.unwrap();
    let fresh = |payment, since: Duration| Due { payment, attempts: 0, since: NOW + GRACE + since };
    let (first, second) = (fresh(first, Duration::ZERO), fresh(second, Duration::SECOND));
    let (settled, tombstone) =
        (fresh(settled, Duration::ZERO), fresh(tombstone, Duration::seconds(2)));

    assert_eq!(due(NOW + GRACE - Duration::SECOND).await, []);
    let later = NOW + GRACE + Duration::seconds(2);
    assert_eq!(due(later).await, [first, second, tombstone]);
    assert_eq!(store.due(later, 1).await.unwrap(), [first]);

    store.postpone(first, Some(later + Duration::HOUR), 1).await.unwrap();
    store.postpone(tombstone, None, 1).await.unwrap();
    store.postpone(settled, Some(NOW), 1).await.unwrap();
    store.postpone(second, Some(later), 0).await.unwrap();
    let second = Due { since: later, ..second };
    assert_eq!(due(later).await, [second]);
    let put_off = Due { attempts: 1, since: later + Duration::HOUR, ..first };
    assert_eq!(due(later + Duration::HOUR).await, [second, put_off]);
}

async fn of_several_looks_at_one_payment_the_first_puts_it_off(store: Arc<dyn Store>) {
    let id = new_id();
    store.begin(intent(id, 5, "a"), NOW).await.unwrap();
    let due = async || store.due(NOW + Duration::DAY, 10).await.unwrap()[0];
    let picked = due().await;

    store.postpone(picked, Some(NOW + Duration::HOUR), 1).await.unwrap();
    store.postpone(picked, Some(NOW + Duration::MINUTE), 1).await.unwrap();
    store.postpone(picked, None, 1).await.unwrap();
    let once = Due { attempts: 1, since: NOW + Duration::HOUR, ..picked };
    assert_eq!(due().await, once);

    // Whoever looked at what it was says nothing of what it has become.
    store.void(id, NOW + Duration::SECOND).await.unwrap();
    store.postpone(once, None, 1).await.unwrap();
    let changed = Due { attempts: 0, since: NOW + Duration::SECOND + GRACE, ..picked };
    assert_eq!(due().await, changed);
}

async fn pages_hold_every_payment_once_and_in_order(store: Arc<dyn Store>) {
    let mut ids: Vec<PaymentId> = (0..7).map(|_| new_id()).collect();
    for id in &ids {
        store.begin(intent(*id, 5, "a"), NOW).await.unwrap();
    }
    ids.sort();

    let mut listed = Vec::new();
    loop {
        let page = store.page(listed.last().copied(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|payment| payment.id));
    }
    assert_eq!(listed, ids);
}

async fn open(database: &Database) -> Arc<dyn Store> {
    store::open(&database.url().parse().unwrap(), &Options::default()).await.unwrap()
}

trellis_testkit::on_each_database! {
    open:
    the_first_intent_counts,
    every_state_comes_back_as_it_was_stored,
    a_void_is_recorded_for_whatever_there_is,
    what_is_unsettled_falls_due_and_can_be_put_off,
    of_several_looks_at_one_payment_the_first_puts_it_off,
    pages_hold_every_payment_once_and_in_order,
}
