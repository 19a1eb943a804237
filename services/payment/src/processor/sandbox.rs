//! A processor that moves no money, for tests, demonstrations and benchmarks.
//!
//! It stands for another company: it has a database of its own, knows nothing of
//! the shop's, and does not trust the shop to call once. What a payment token
//! makes it do is in `sandbox/card.rs`. Each operation is one durable write.

mod books;
mod card;

use std::path::Path;
use std::sync::Arc;

use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_chassis::Clock;
use trellis_resilience::outcome::FailureKind;
use trellis_storage::{Migration, Options, Sqlite};
use uuid::Uuid;

use self::books::{Account, Seen};
use super::{Authorization, Capture, Charge, Error, Processor, Refund, Release, Tally};
use crate::domain::{Code, Reference};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_authorizations",
    sql: include_str!("../../migrations/sandbox/0001_authorizations.sql"),
}];

/// The processor in this process.
#[derive(Clone, Debug)]
pub struct Sandbox {
    database: Sqlite,
    clock: Arc<dyn Clock>,
}

impl Sandbox {
    /// Opens its books, and makes them when there are none. Blocks.
    pub fn open(
        path: &Path,
        options: &Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, trellis_storage::Error> {
        Ok(Self { database: Sqlite::open(path, MIGRATIONS, options)?, clock })
    }

    /// What it did for every payment, in the order of their ids, to be held
    /// against what the shop believes.
    pub async fn audit(&self) -> Result<Vec<Tally>, Error> {
        self.database.read(|db| books::tallies(db, None)).await
    }
}

#[async_trait::async_trait]
impl Processor for Sandbox {
    async fn authorize(&self, charge: &Charge) -> Result<Authorization, Error> {
        let now = self.clock.now();
        let key = super::key(charge.payment, "authorize");
        let token = charge.token.expose().to_owned();
        let asked = charge.clone();
        let (account, seen) =
            self.database.write(move |tx| books::authorize(tx, key, &asked, now)).await?;
        if seen == Seen::FirstTime {
            card::answer_authorization(&token).await?;
        }
        Ok(account.authorization())
    }

    async fn capture(
        &self,
        key: Uuid,
        reference: &Reference,
        amount: Money,
    ) -> Result<Capture, Error> {
        let reference = reference.clone();
        let (account, seen) = self
            .database
            .write(move |tx| {
                let account = books::find(tx, &reference)?;
                account.check(amount)?;
                if account.capture_refusal().is_some() {
                    return Ok((account, Seen::Before));
                }
                let seen = books::capture(tx, &account, key)?;
                Ok::<_, Error>((account, seen))
            })
            .await?;
        if let Some(code) = account.capture_refusal() {
            return Ok(Capture::Refused(Code::new(code)));
        }
        if seen == Seen::FirstTime {
            card::answer_capture(&account.token)?;
        }
        Ok(Capture::Captured)
    }

    async fn void(&self, _key: Uuid, reference: &Reference) -> Result<Release, Error> {
        let now = self.clock.now();
        let reference = reference.clone();
        self.database
            .write(move |tx| {
                let account = books::find(tx, &reference)?;
                if 0 < account.captures {
                    return Ok(Release::Captured);
                }
                books::void(tx, &account, now)?;
                Ok(Release::Released)
            })
            .await
    }

    async fn refund(
        &self,
        key: Uuid,
        reference: &Reference,
        amount: Money,
    ) -> Result<Refund, Error> {
        let reference = reference.clone();
        self.database
            .write(move |tx| {
                let account = books::find(tx, &reference)?;
                account.check(amount)?;
                if account.captures == 0 {
                    return Ok(Refund::Refused(Code::new("not_captured")));
                }
                books::refund(tx, &account, key)?;
                Ok(Refund::Refunded)
            })
            .await
    }

    async fn find(
        &self,
        payment: PaymentId,
        _charge: Option<&Charge>,
    ) -> Result<Option<Authorization>, Error> {
        let account = self.database.read(move |db| books::latest(db, payment)).await?;
        Ok(account.map(|account: Account| account.authorization()))
    }

    async fn tally(&self, payments: &[PaymentId]) -> Result<Option<Vec<Tally>>, Error> {
        let payments = payments.to_vec();
        self.database.read(move |db| books::tallies(db, Some(&payments))).await.map(Some)
    }
}

// Whether a failed write took effect is not known, to the sandbox either.
impl From<trellis_storage::Error> for Error {
    fn from(error: trellis_storage::Error) -> Self {
        Self::failed(FailureKind::Server, error)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        trellis_storage::Error::from(error).into()
    }
}
