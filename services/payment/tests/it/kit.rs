//! A payment service in a temporary directory, which can be stopped and started.

use std::sync::Arc;
use std::time::Duration;

use time::macros::datetime;
use tonic::{Code, Status};
use trellis_api::error::{metadata, reason, retry_after};
use trellis_api::id::{Bucket, PaymentId};
use trellis_api::payment::v1 as pb;
use trellis_api::payment::v1::payment::State;
use trellis_api::payment::v1::payment_service_client::PaymentServiceClient;
use trellis_api::r#type::v1::{AuditCheck, Money};
use trellis_chassis::{Clock as _, ManualClock, Shutdown, Transport, transport};
use trellis_payment::processor::{Sandbox, Tally};
use trellis_payment::{Cashier, Needs, Processor, Settings, Store, reconcile};
use trellis_storage::{Faults, Options};
use trellis_testkit::Database;

/// What outlives the service: its database, the sandbox's file and the clock.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) clock: ManualClock,
}

/// The service while it runs.
pub(crate) struct Service {
    pub(crate) client: PaymentServiceClient<Transport>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sandbox: Sandbox,
    cashier: Cashier,
    shutdown: Shutdown,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Database::chosen("payment").await)
    }

    pub(crate) fn on(database: Database) -> Self {
        Self { database, clock: ManualClock::new(datetime!(2026-11-22 10:00 UTC)) }
    }

    /// Starts with a sandbox that never crashes.
    pub(crate) async fn start(&self) -> Service {
        self.start_with(&Faults::default(), &Faults::default()).await
    }

    pub(crate) async fn start_with(&self, store: &Faults, sandbox: &Faults) -> Service {
        let sandbox = self.sandbox(sandbox);
        let processor: Arc<dyn Processor> = Arc::new(sandbox.clone());
        self.start_over(store, sandbox, processor).await
    }

    /// Starts with another processor than the sandbox.
    pub(crate) async fn start_over(
        &self,
        store: &Faults,
        sandbox: Sandbox,
        processor: Arc<dyn Processor>,
    ) -> Service {
        let store = self.store(store).await;
        let clock = Arc::new(self.clock.clone());
        let shutdown = Shutdown::default();
        // The tests reconcile by hand, so that they know when.
        let settings = Settings { reconcile_interval_seconds: 86_400, ..Settings::default() };
        let needs = Needs {
            store: Arc::clone(&store),
            processor: Arc::clone(&processor),
            clock: clock.clone(),
        };
        let routes = trellis_payment::start(&settings, needs, &shutdown).await.unwrap();
        let client = PaymentServiceClient::new(transport::local(routes));
        let cashier = Cashier::new(Arc::clone(&store), processor, clock);
        Service { client, store, sandbox, cashier, shutdown }
    }

    pub(crate) fn sandbox(&self, faults: &Faults) -> Sandbox {
        let path = self.database.folder().join("sandbox.sqlite");
        Sandbox::open(&path, &options(faults), Arc::new(self.clock.clone())).unwrap()
    }

    pub(crate) async fn store(&self, faults: &Faults) -> Arc<dyn Store> {
        let url = self.database.url().parse().unwrap();
        trellis_payment::store::open(&url, &options(faults)).await.unwrap()
    }

    pub(crate) fn new_id(&self) -> PaymentId {
        PaymentId::new(self.clock.now(), Bucket::random())
    }
}

fn options(faults: &Faults) -> Options {
    Options { readers: 2, faults: faults.clone(), ..Options::default() }
}

impl Service {
    pub(crate) async fn authorize(
        &self,
        id: PaymentId,
        token: &str,
    ) -> Result<pb::Payment, Status> {
        self.authorize_amount(id, token, 1_250).await
    }

    pub(crate) async fn authorize_amount(
        &self,
        id: PaymentId,
        token: &str,
        minor_units: i64,
    ) -> Result<pb::Payment, Status> {
        let request = pb::AuthorizePaymentRequest {
            payment_id: id.to_string(),
            amount: Some(pounds(minor_units)),
            payment_token: token.to_owned(),
        };
        let response = self.client.clone().authorize_payment(request).await?;
        Ok(response.into_inner().payment.unwrap())
    }

    pub(crate) async fn capture(&self, id: PaymentId) -> Result<pb::Payment, Status> {
        let request = pb::CapturePaymentRequest { payment_id: id.to_string() };
        let response = self.client.clone().capture_payment(request).await?;
        Ok(response.into_inner().payment.unwrap())
    }

    pub(crate) async fn void(&self, id: PaymentId) -> Result<pb::Payment, Status> {
        let request = pb::VoidPaymentRequest { payment_id: id.to_string() };
        let response = self.client.clone().void_payment(request).await?;
        Ok(response.into_inner().payment.unwrap())
    }

    pub(crate) async fn refund(&self, id: PaymentId) -> Result<pb::Payment, Status> {
        let request = pb::RefundPaymentRequest { payment_id: id.to_string() };
        let response = self.client.clone().refund_payment(request).await?;
        Ok(response.into_inner().payment.unwrap())
    }

    pub(crate) async fn get(&self, id: PaymentId) -> Result<pb::Payment, Status> {
        let request = pb::GetPaymentRequest { payment_id: id.to_string() };
        let response = self.client.clone().get_payment(request).await?;
        Ok(response.into_inner().payment.unwrap())
    }

    pub(crate) async fn state(&self, id: PaymentId) -> State {
        self.get(id).await.unwrap().state()
    }

    /// The checks, and all payments.
    pub(crate) async fn audit(&self) -> (Vec<AuditCheck>, Vec<pb::Payment>) {
        let request = pb::AuditPaymentsRequest {};
        let mut parts = self.client.clone().audit_payments(request).await.unwrap().into_inner();
        let mut checks = Vec::new();
        let mut payments = Vec::new();
        while let Some(part) = parts.message().await.unwrap() {
            checks.extend(part.checks);
            payments.extend(part.payments);
        }
        (checks, payments)
    }

    /// Fails when the service's own audit finds something.
    pub(crate) async fn assert_sound(&self) {
        let (checks, _) = self.audit().await;
        assert_eq!(checks.len(), 4);
        for check in checks {
            assert_eq!(check.violations, [], "{}", check.invariant);
        }
    }

    /// What the processor says that it did for a payment.
    pub(crate) async fn tally(&self, id: PaymentId) -> Tally {
        let tallies = self.sandbox.audit().await.unwrap();
        let nothing = Tally { payment: id, authorizations: 0, captures: 0, refunds: 0 };
        tallies.into_iter().find(|tally| tally.payment == id).unwrap_or(nothing)
    }

    /// Looks once at what is due, and returns how many payments that settled.
    pub(crate) async fn reconcile(&self) -> usize {
        reconcile::pass(&self.cashier).await.unwrap()
    }

    /// Looks once at what is due, even if the service is down.
    pub(crate) async fn try_reconcile(&self) {
        let _ = reconcile::pass(&self.cashier).await;
    }

    /// Ends, and gives the files free.
    pub(crate) async fn stop(self) {
        let Self { shutdown, .. } = self;
        shutdown.request();
        shutdown.finish(Duration::from_secs(10)).await.unwrap();
    }
}

pub(crate) fn pounds(minor_units: i64) -> Money {
    Money { currency_code: "GBP".to_owned(), minor_units }
}

/// Asserts the code and the reason of a failure.
pub(crate) fn assert_failed<T: std::fmt::Debug>(
    answer: Result<T, Status>,
    code: Code,
    why: &str,
) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (code, Some(why)), "{status:?}");
    status
}

pub(crate) fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, why: &str) -> Status {
    assert_failed(answer, Code::FailedPrecondition, why)
}

pub(crate) fn assert_declined<T: std::fmt::Debug>(answer: Result<T, Status>, decline_code: &str) {
    let status = assert_refused(answer, "PAYMENT_DECLINED");
    assert_eq!(metadata(&status, "decline_code").as_deref(), Some(decline_code));
}

pub(crate) fn assert_unknown<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = assert_failed(answer, Code::Unavailable, "PAYMENT_OUTCOME_UNKNOWN");
    assert_eq!(retry_after(&status), Some(Duration::from_secs(1)));
}
