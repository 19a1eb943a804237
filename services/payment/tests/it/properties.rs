//! Whatever is called in whatever order, with crashes in between.

use std::time::Duration;

use proptest::prelude::*;
use tonic::Code;
use trellis_api::id::PaymentId;
use trellis_api::payment::v1::payment::State;
use trellis_storage::{Faults, When};

use crate::kit::{Service, World};

const TOKENS: [&str; 6] = [
    "tok_ok",
    "tok_unknown_once",
    "tok_unknown_once_declined",
    "tok_capture_unknown_once",
    "tok_capture_fails",
    "tok_declined",
];

#[derive(Clone, Debug)]
enum Call {
    Authorize(usize),
    Capture(usize),
    Void(usize),
    Refund(usize),
    Reconcile,
    /// Stop, and crash at a coming commit.
    Restart(u64, bool),
}

fn any_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Call::Authorize),
        4 => (0..3_usize).prop_map(Call::Capture),
        2 => (0..3_usize).prop_map(Call::Void),
        1 => (0..3_usize).prop_map(Call::Refund),
        1 => Just(Call::Reconcile),
        2 => (1..6_u64, any::<bool>()).prop_map(|(at, after)| Call::Restart(at, after)),
    ]
}

struct Life {
    world: World,
    payments: Vec<(PaymentId, &'static str)>,
    faults: Faults,
    service: Option<Service>,
}

impl Life {
    async fn begin(tokens: Vec<&'static str>) -> Self {
        let world = World::new().await;
        let payments = tokens.into_iter().map(|token| (world.new_id(), token)).collect();
        let service = Some(world.start().await);
        Self { world, payments, faults: Faults::default(), service }
    }

    async fn restart(&mut self, faults: Faults) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
        self.service = Some(self.world.start_with(&faults, &faults).await);
        self.faults = faults;
    }

    fn service(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    /// Makes a call, which may fail in any way.
    async fn call(&mut self, call: Call) {
        let service = self.service();
        match call {
            Call::Authorize(which) => {
                let (id, token) = self.payments[which];
                let _ = service.authorize(id, token).await;
            }
            Call::Capture(which) => drop(service.capture(self.payments[which].0).await),
            Call::Void(which) => drop(service.void(self.payments[which].0).await),
            Call::Refund(which) => drop(service.refund(self.payments[which].0).await),
            Call::Reconcile => {
                self.world.clock.advance(Duration::from_secs(31));
                service.try_reconcile().await;
            }
            Call::Restart(at, after) => {
                let when = if after { When::AfterCommit } else { When::BeforeCommit };
                self.restart(Faults::crash(at, when)).await;
            }
        }
        if self.faults.crashed() {
            self.restart(Faults::default()).await;
        }
    }

    async fn check(&self) -> Result<(), TestCaseError> {
        let service = self.service();
        service.assert_sound().await;
        for (id, _) in &self.payments {
            let tally = service.tally(*id).await;
            prop_assert!(tally.authorizations <= 1, "{tally:?}");
            prop_assert!(tally.captures <= 1, "{tally:?}");
            prop_assert!(tally.refunds <= tally.captures, "{tally:?}");
        }
        Ok(())
    }

    /// Has every caller repeat itself until it knows.
    async fn settle(&mut self) -> Result<(), TestCaseError> {
        self.restart(Faults::default()).await;
        let service = self.service();
        for (id, _) in &self.payments {
            let mut answer = service.void(*id).await;
            if answer.as_ref().is_err_and(|status| status.code() == Code::Unavailable) {
                // The test tokens lose one answer at most.
                answer = service.void(*id).await;
            }
            let payment = service.get(*id).await.unwrap();
            let expected = match payment.state() {
                State::Voided | State::Declined => 0,
                State::Captured | State::Refunded => 1,
                state => return Err(TestCaseError::fail(format!("{state:?} is not definite"))),
            };
            prop_assert_eq!(answer.is_err(), expected == 1);
            prop_assert_eq!(service.tally(*id).await.captures, expected);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_calls_and_crashes_takes_money_twice(
        tokens in prop::collection::vec(prop::sample::select(&TOKENS[..]), 3),
        calls in prop::collection::vec(any_call(), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut life = Life::begin(tokens).await;
            for call in calls {
                life.call(call).await;
            }
            life.check().await?;
            life.settle().await?;
            life.check().await
        })?;
    }
}
