//! Idempotency records.

mod records;

use time::{Duration, OffsetDateTime};
use trellis_storage::idempotency::{self, Answer, Claim, Fingerprint};
use uuid::Uuid;

use records::{Records, open};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const KEY: Uuid = Uuid::from_u128(7);

async fn the_first_claim_is_new_and_a_repetition_attaches_to_it(records: Records) {
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
    assert_eq!(
        records.claim("pay", "ten euros").await,
        Claim::InFlight { subject: "order_1".to_owned() }
    );
}

async fn a_finished_request_gets_its_first_answer_for_ever(records: Records) {
    records.claim("pay", "ten euros").await;
    records.finish(0, b"paid").await;
    records.finish(10, b"aborted").await;

    let answer = Answer { code: 0, body: b"paid".to_vec() };
    assert_eq!(records.claim("pay", "ten euros").await, Claim::Finished(answer));
}

async fn a_key_is_not_good_for_another_request(records: Records) {
    records.claim("pay", "ten euros").await;
    assert_eq!(records.claim("pay", "a thousand euros").await, Claim::Mismatch);
    records.finish(0, b"paid").await;
    assert_eq!(records.claim("pay", "a thousand euros").await, Claim::Mismatch);
}

async fn scopes_do_not_meet(records: Records) {
    records.claim("pay", "ten euros").await;
    assert_eq!(records.claim("refund", "ten euros").await, Claim::New);
}

async fn a_look_claims_nothing(records: Records) {
    assert_eq!(records.find().await, None);
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
    assert!(matches!(records.find().await, Some(Claim::InFlight { .. })));
}

async fn a_claim_goes_with_the_work_that_failed(records: Records) {
    let failed = records.claim_and_fail().await;
    failed.unwrap_err();
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
}

async fn only_old_records_are_purged(records: Records) {
    records.claim("pay", "ten euros").await;
    assert_eq!(records.purge(NOW).await, 0);
    assert_eq!(records.purge(NOW + Duration::SECOND).await, 1);
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
}

async fn a_purge_is_bounded(records: Records) {
    let limit = idempotency::PURGE_LIMIT;
    records.fill(limit + 1).await;

    assert_eq!(records.purge(NOW + Duration::SECOND).await, limit);
    assert_eq!(records.purge(NOW + Duration::SECOND).await, 1);
}

#[test]
fn a_fingerprint_tells_where_its_parts_end() {
    assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    assert_eq!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"ab", b"c"]));
}

trellis_testkit::on_each_database! {
    open:
    the_first_claim_is_new_and_a_repetition_attaches_to_it,
    a_finished_request_gets_its_first_answer_for_ever,
    a_key_is_not_good_for_another_request,
    scopes_do_not_meet,
    a_look_claims_nothing,
    a_claim_goes_with_the_work_that_failed,
    only_old_records_are_purged,
    a_purge_is_bounded,
}
