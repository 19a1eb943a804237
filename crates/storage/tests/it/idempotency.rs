//! Idempotency records.

use time::{Duration, OffsetDateTime};
use trellis_storage::{
    Error, Options, Sqlite,
    idempotency::{self, Answer, Claim, Fingerprint, MIGRATION},
};
use uuid::Uuid;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const KEY: Uuid = Uuid::from_u128(7);

#[tokio::test]
async fn the_first_claim_is_new_and_a_repetition_attaches_to_it() {
    let records = Records::open();
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
    assert_eq!(
        records.claim("pay", "ten euros").await,
        Claim::InFlight { subject: "order_1".to_owned() }
    );
}

#[tokio::test]
async fn a_finished_request_gets_its_first_answer_for_ever() {
    let records = Records::open();
    records.claim("pay", "ten euros").await;
    records.finish(0, b"paid").await;
    records.finish(10, b"aborted").await;

    let answer = Answer { code: 0, body: b"paid".to_vec() };
    assert_eq!(records.claim("pay", "ten euros").await, Claim::Finished(answer));
}

#[tokio::test]
async fn a_key_is_not_good_for_another_request() {
    let records = Records::open();
    records.claim("pay", "ten euros").await;
    assert_eq!(records.claim("pay", "a thousand euros").await, Claim::Mismatch);
    records.finish(0, b"paid").await;
    assert_eq!(records.claim("pay", "a thousand euros").await, Claim::Mismatch);
}

#[tokio::test]
async fn scopes_do_not_meet() {
    let records = Records::open();
    records.claim("pay", "ten euros").await;
    assert_eq!(records.claim("refund", "ten euros").await, Claim::New);
}

#[tokio::test]
async fn a_look_claims_nothing() {
    let records = Records::open();
    assert_eq!(records.find().await, None);
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
    assert!(matches!(records.find().await, Some(Claim::InFlight { .. })));
}

#[tokio::test]
async fn a_claim_goes_with_the_work_that_failed() {
    let records = Records::open();
    let failed = records
        .0
        .write(|tx| {
            idempotency::claim(tx, "pay", KEY, &Fingerprint::of(&[b"ten euros"]), "", NOW)?;
            Err::<(), _>(Error::Overloaded)
        })
        .await;
    failed.unwrap_err();
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
}

#[tokio::test]
async fn only_old_records_are_purged() {
    let records = Records::open();
    records.claim("pay", "ten euros").await;
    assert_eq!(records.purge(NOW).await, 0);
    assert_eq!(records.purge(NOW + Duration::SECOND).await, 1);
    assert_eq!(records.claim("pay", "ten euros").await, Claim::New);
}

#[tokio::test]
async fn a_purge_is_bounded() {
    let records = Records::open();
    let limit = idempotency::PURGE_LIMIT;
    let fill = records.0.write(move |tx| {
        for key in 0..=u128::from(limit) {
            let fingerprint = Fingerprint::of(&[b"any"]);
            idempotency::claim(tx, "pay", Uuid::from_u128(key), &fingerprint, "", NOW)?;
        }
        Ok::<_, Error>(())
    });
    fill.await.unwrap();

    assert_eq!(records.purge(NOW + Duration::SECOND).await, limit);
    assert_eq!(records.purge(NOW + Duration::SECOND).await, 1);
}

#[test]
fn a_fingerprint_tells_where_its_parts_end() {
    assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    assert_eq!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"ab", b"c"]));
}

struct Records(Sqlite, #[expect(dead_code, reason = "keeps the folder")] tempfile::TempDir);

impl Records {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        Self(Sqlite::open(&path, &[MIGRATION], &Options::default()).unwrap(), folder)
    }

    async fn claim(&self, scope: &'static str, request: &str) -> Claim {
        let fingerprint = Fingerprint::of(&[request.as_bytes()]);
        let claim = self
            .0
            .write(move |tx| idempotency::claim(tx, scope, KEY, &fingerprint, "order_1", NOW));
        claim.await.unwrap()
    }

    async fn find(&self) -> Option<Claim> {
        let fingerprint = Fingerprint::of(&[b"ten euros"]);
        self.0.read(move |tx| idempotency::find(tx, "pay", KEY, &fingerprint)).await.unwrap()
    }

    async fn finish(&self, code: i32, body: &[u8]) {
        let answer = Answer { code, body: body.to_vec() };
        self.0.write(move |tx| idempotency::finish(tx, "pay", KEY, &answer)).await.unwrap();
    }

    async fn purge(&self, before: OffsetDateTime) -> u64 {
        self.0.write(move |tx| idempotency::purge(tx, before)).await.unwrap()
    }
}
