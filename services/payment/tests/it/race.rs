//! Two processes, each with connections of its own, that change one payment at once.
//! A SQLite file has one process only, so this is about Postgres.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::Barrier;
use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_api::payment::v1::payment::State as StateMessage;
use trellis_payment::processor::{
    self, Authorization, Capture, Charge, Refund, Release, Sandbox, Tally,
};
use trellis_payment::store::Books;
use trellis_payment::{Change, Error, Intent, Payment, Processor, Reference, State, Store};
use trellis_storage::Faults;
use trellis_testkit::Database;
use uuid::Uuid;

use crate::kit::{Service, World};

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const AT_ONCE: usize = 32;

async fn world() -> Option<World> {
    Database::postgres().await.map(World::on)
}

async fn stores(world: &World) -> [Arc<dyn Store>; 2] {
    [world.store(&Faults::default()).await, world.store(&Faults::default()).await]
}

fn intent(payment: PaymentId, token: &str) -> Intent {
    let amount = Money::new("GBP".parse().unwrap(), 1_250);
    Intent { payment, amount, token: token.parse().unwrap() }
}

fn reference() -> Reference {
    Reference::new("pi_1")
}

fn assert_balanced(books: &Books) {
    assert_eq!((&books.repeated[..], &books.unbalanced[..]), (&[][..], &[][..]));
    assert_eq!(books.unrecorded, []);
    let sums = books.sums[0];
    assert_eq!(sums.balance, 0);
    assert_eq!(sums.authorized, sums.captured + sums.voided + sums.pending);
    assert_eq!(sums.captured, sums.refunded + sums.kept);
}

#[tokio::test]
async fn however_many_change_a_payment_at_once_its_money_moves_once() {
    let Some(world) = world().await else { return };
    let stores = stores(&world).await;
    let rounds = 4;
    for _ in 0..rounds {
        let id = world.new_id();
        stores[0].begin(intent(id, "a"), NOW).await.unwrap();
        stores[1].change(id, Change::Authorized(reference()), NOW).await.unwrap();
        let changes = (0..AT_ONCE).map(|number| -> BoxFuture<'_, Result<Payment, Error>> {
            let store = &stores[number % 2];
            match number / 2 % 4 {
                0 | 1 => store.change(id, Change::Captured(reference()), NOW),
                2 => store.void(id, NOW),
                _ => store.change(id, Change::Refunded, NOW),
            }
        });

        for answer in join_all(changes).await {
            assert!(matches!(answer, Ok(_) | Err(Error::Refused(_))), "{answer:?}");
        }
    }

    let books = stores[0].books().await.unwrap();
    assert_balanced(&books);
    assert_eq!((books.captured, books.sums[0].captured), (rounds, rounds * 1_250));
}

#[tokio::test]
async fn of_all_that_come_first_one_is_the_first() {
    let Some(world) = world().await else { return };
    let stores = stores(&world).await;
    for _ in 0..4 {
        let id = world.new_id();
        let first_calls = (0..AT_ONCE).map(|number| -> BoxFuture<'_, Result<Payment, Error>> {
            let store = &stores[number % 2];
            match number / 2 % 4 {
                0 => store.begin(intent(id, "a"), NOW),
                1 => store.begin(intent(id, "b"), NOW),
                _ => store.void(id, NOW),
            }
        });

        let answers = join_all(first_calls).await;

        let is_reused = |answer: &Result<Payment, Error>| match answer {
            Ok(_) => false,
            Err(Error::IdReused(reused)) if *reused == id => true,
            Err(error) => panic!("{error:?}"),
        };
        let reused = answers.iter().filter(|answer| is_reused(answer)).count();
        let expected = match stores[0].get(id).await.unwrap().state {
            // A tombstone stands for whatever was asked.
            State::Voided { .. } => 0,
            _ => AT_ONCE / 4,
        };
        assert_eq!(reused, expected);
    }
    assert_eq!(stores[1].books().await.unwrap().payments, 4);
}

#[tokio::test]
async fn two_services_that_are_asked_for_everything_at_once_stay_sound() {
    let Some(world) = world().await else { return };
    let sandbox = world.sandbox(&Faults::default());
    let services = two_services(&world, &sandbox, Arc::new(sandbox.clone())).await;
    for _ in 0..4 {
        let id = world.new_id();
        services[0].authorize(id, "tok_ok").await.unwrap();

        let calls = (0..AT_ONCE).map(async |number| {
            let service = &services[number % 2];
            match number / 2 % 4 {
                0 => service.authorize(id, "tok_ok").await,
                1 => service.capture(id).await,
                2 => service.void(id).await,
                _ => service.refund(id).await,
            }
        });
        for answer in join_all(calls).await {
            let refused = tonic::Code::FailedPrecondition;
            assert!(
                answer.as_ref().err().is_none_or(|status| status.code() == refused),
                "{answer:?}"
            );
        }

        let tally = services[1].tally(id).await;
        let expected = match services[1].state(id).await {
            StateMessage::Voided => (1, 0, 0),
            StateMessage::Captured => (1, 1, 0),
            StateMessage::Refunded => (1, 1, 1),
            state => panic!("{state:?} is not the end of it"),
        };
        assert_eq!((tally.authorizations, tally.captures, tally.refunds), expected);
    }
    services[0].assert_sound().await;
    assert_balanced(&services[1].store.books().await.unwrap());
}

#[tokio::test]
async fn two_reconcilers_that_pick_the_same_payment_settle_it_once_and_count_one_look() {
    let Some(world) = world().await else { return };
    let sandbox = world.sandbox(&Faults::default());
    let meeting = Meeting { sandbox: sandbox.clone(), both: Barrier::new(2) };
    let services = two_services(&world, &sandbox, Arc::new(meeting)).await;
    let store = &services[0].store;
    let both_look = async || {
        world.clock.advance(Duration::from_secs(31));
        let looks = futures::join!(services[0].reconcile(), services[1].reconcile());
        let now = trellis_chassis::Clock::now(&world.clock);
        (looks, store.due(now + Duration::from_hours(24), 10).await.unwrap())
    };

    let unknown = world.new_id();
    services[0].authorize(unknown, "tok_unknown_once").await.unwrap_err();
    assert_eq!(both_look().await, ((1, 1), vec![]));
    assert_eq!(services[0].state(unknown).await, StateMessage::Authorized);

    let voided = world.new_id();
    services[0].void(voided).await.unwrap();
    let Intent { payment, amount, token } = intent(voided, "tok_ok");
    sandbox.authorize(&Charge { payment, amount, token }).await.unwrap();
    assert_eq!(both_look().await, ((1, 1), vec![]));
    assert_eq!(services[0].state(voided).await, StateMessage::Voided);

    let unheard_of = world.new_id();
    store
        .begin(intent(unheard_of, "tok_ok"), trellis_chassis::Clock::now(&world.clock))
        .await
        .unwrap();
    let (looks, due) = both_look().await;
    assert_eq!((looks, due.len()), ((0, 0), 1));
    assert_eq!((due[0].payment, due[0].attempts), (unheard_of, 1));
    services[1].assert_sound().await;
}

/// Two processes over one database and one processor.
async fn two_services(
    world: &World,
    sandbox: &Sandbox,
    processor: Arc<dyn Processor>,
) -> [Service; 2] {
    let healthy = Faults::default();
    [
        world.start_over(&healthy, sandbox.clone(), Arc::clone(&processor)).await,
        world.start_over(&healthy, sandbox.clone(), processor).await,
    ]
}

/// A line to the sandbox on which looks and voids wait until two have come.
struct Meeting {
    sandbox: Sandbox,
    both: Barrier,
}

#[async_trait::async_trait]
impl Processor for Meeting {
    async fn authorize(&self, charge: &Charge) -> Result<Authorization, processor::Error> {
        self.sandbox.authorize(charge).await
    }

    async fn capture(
        &self,
        key: Uuid,
        of: &Reference,
        amount: Money,
    ) -> Result<Capture, processor::Error> {
        self.sandbox.capture(key, of, amount).await
    }

    async fn void(&self, key: Uuid, of: &Reference) -> Result<Release, processor::Error> {
        self.both.wait().await;
        self.sandbox.void(key, of).await
    }

    async fn refund(
        &self,
        key: Uuid,
        of: &Reference,
        amount: Money,
    ) -> Result<Refund, processor::Error> {
        self.sandbox.refund(key, of, amount).await
    }

    async fn find(
        &self,
        payment: PaymentId,
        charge: Option<&Charge>,
    ) -> Result<Option<Authorization>, processor::Error> {
        self.both.wait().await;
        self.sandbox.find(payment, charge).await
    }

    async fn tally(&self, payments: &[PaymentId]) -> Result<Option<Vec<Tally>>, processor::Error> {
        self.sandbox.tally(payments).await
    }
}
