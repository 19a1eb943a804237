//! Taking money.

use futures::future::join_all;
use tonic::Code;
use trellis_api::error::metadata;
use trellis_api::payment::v1::payment::State;
use trellis_payment::EntryKind;

use crate::kit::{World, assert_declined, assert_failed, assert_refused, assert_unknown};

#[tokio::test]
async fn a_capture_stands_in_the_ledger_once_however_often_it_is_asked_for() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();

    let answers = join_all((0..16).map(|_| service.capture(id))).await;

    for answer in answers {
        assert_eq!(answer.unwrap().state(), State::Captured);
    }
    let books = service.store.books().await.unwrap();
    assert_eq!(books.entries, 1);
    assert_eq!((books.sums[0].captured, books.sums[0].balance), (1_250, 0));
    assert_eq!(service.tally(id).await.captures, 1);
    service.assert_sound().await;
}

#[tokio::test]
async fn only_what_is_authorized_can_be_captured() {
    let world = World::new().await;
    let service = world.start().await;
    let never_came = world.new_id();
    let unknown = world.new_id();
    let declined = world.new_id();
    let voided = world.new_id();
    service.authorize(unknown, "tok_unknown_once").await.unwrap_err();
    service.authorize(declined, "tok_declined").await.unwrap_err();
    service.void(voided).await.unwrap();

    assert_failed(service.capture(never_came).await, Code::NotFound, "PAYMENT_NOT_FOUND");
    assert_refused(service.capture(unknown).await, "PAYMENT_NOT_AUTHORIZED");
    assert_declined(service.capture(declined).await, "card_declined");
    assert_refused(service.capture(voided).await, "PAYMENT_VOIDED");
}

#[tokio::test]
async fn a_capture_that_is_refused_for_good_stays_refused_and_can_be_voided() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_capture_fails").await.unwrap();

    for _ in 0..2 {
        let status = assert_refused(service.capture(id).await, "CAPTURE_FAILED");
        assert_eq!(metadata(&status, "code").as_deref(), Some("authorization_expired"));
    }

    assert_eq!(service.void(id).await.unwrap().state(), State::Voided);
    assert_eq!(service.tally(id).await.captures, 0);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_lost_answer_to_a_capture_is_found_out_by_asking_again() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_capture_unknown_once").await.unwrap();

    assert_unknown(service.capture(id).await);
    assert_eq!(service.state(id).await, State::Authorized);
    let payment = service.capture(id).await.unwrap();

    assert_eq!(payment.state(), State::Captured);
    assert_eq!(service.tally(id).await.captures, 1);
    service.assert_sound().await;
}

#[tokio::test]
async fn a_capture_moves_money_from_one_account_to_another() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.capture(id).await.unwrap();
    service.stop().await;

    let sql = "SELECT kind, account, minor_units FROM ledger_entries
               NATURAL JOIN ledger_postings ORDER BY minor_units DESC";
    let postings = world.database.query(sql).await.unwrap();

    let row = |account: &str, minor_units: &str| {
        [EntryKind::Capture.as_str(), account, minor_units].map(|text| Some(text.to_owned()))
    };
    let expected = [row("processor_receivable", "1250"), row("sales_revenue", "-1250")];
    assert_eq!(postings, expected);
}

#[tokio::test]
async fn the_ledger_is_only_ever_added_to() {
    let world = World::new().await;
    let service = world.start().await;
    let id = world.new_id();
    service.authorize(id, "tok_ok").await.unwrap();
    service.capture(id).await.unwrap();
    service.stop().await;

    let (again, once) = if world.database.url().starts_with("sqlite:") {
        let again = "INSERT INTO ledger_entries (payment_id, kind, create_time)
                     SELECT payment_id, kind, 0 FROM ledger_entries";
        (again, "ledger_entries.payment_id, ledger_entries.kind")
    } else {
        ("INSERT INTO ledger_entries SELECT * FROM ledger_entries", "ledger_entries_once")
    };
    let only_added_to = "the ledger is only ever added to";
    for (statement, why) in [
        ("UPDATE ledger_postings SET minor_units = minor_units * 2", only_added_to),
        ("DELETE FROM ledger_postings", only_added_to),
        ("UPDATE ledger_entries SET kind = 'refund'", only_added_to),
        ("DELETE FROM ledger_entries", only_added_to),
        (again, once),
    ] {
        let refusal = world.database.query(statement).await.unwrap_err();
        assert!(refusal.contains(why), "{statement}: {refusal}");
    }
}
