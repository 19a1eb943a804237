//! A crash before and after every durable write of a purchase.
//!
//! Each case runs the whole shop on a copy of the same records, lets it crash at
//! one write, and goes on from what the crash left. The crash is that of
//! `trellis_storage::Faults`: from the chosen commit on, no database of the
//! process commits or answers again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tonic::Status;
use trellis_api::id::{Bucket, UserId};
use trellis_api::inventory::v1 as inventory;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::order::v1 as pb;
use trellis_api::order::v1::order_service_client::OrderServiceClient;
use trellis_api::shop::v1::order::State;
use trellis_api::shop::v1::{CheckoutItem, Order, Product};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Clock, Shutdown, SystemClock};
use trellis_gateway::audit;
use trellis_resilience::policy::PolicyTable;
use trellis_storage::{Faults, When};
use trellis_testkit::Database;
use trellis_trellis::compose::{self, Shop, World};
use trellis_trellis::config::Config;
use trellis_trellis::role::{Role, Roles};

use crate::kit::{KEEPERS, keeps_files, request_id};

#[test]
fn a_purchase_survives_a_crash_at_every_write() {
    every_crash(|purchase| Case { payment_token: "tok_ok", cancelled: false, ..purchase });
}

#[test]
fn a_declined_purchase_survives_a_crash_at_every_write() {
    every_crash(|purchase| Case { payment_token: "tok_declined", ..purchase });
}

#[test]
fn a_purchase_with_a_lost_answer_survives_a_crash_at_every_write() {
    every_crash(|purchase| Case { payment_token: "tok_unknown_once", ..purchase });
}

#[test]
fn a_refund_survives_a_crash_at_every_write() {
    every_crash(|purchase| Case { cancelled: true, ..purchase });
}

/// How long the delivery of what a crash has left may take.
const DELIVERY: Duration = Duration::from_secs(20);

/// What a customer does in a case.
#[derive(Clone)]
struct Case {
    user_id: String,
    request_id: String,
    cancel_id: String,
    payment_token: &'static str,
    cancelled: bool,
}

/// Runs a case with a crash at the first write, the second, and so on, until it
/// runs through without meeting one.
fn every_crash(of: impl Fn(Case) -> Case) {
    let stocked = stocked_shop();
    for when in [When::BeforeCommit, When::AfterCommit] {
        let mut crashes = 0;
        for at in 1.. {
            let user_id = UserId::new(SystemClock.now(), Bucket::random()).to_string();
            let case = of(Case {
                user_id,
                request_id: request_id(),
                cancel_id: request_id(),
                payment_token: "tok_ok",
                cancelled: false,
            });
            if !survives(&case, stocked.path(), &Faults::crash(at, when)) {
                break;
            }
            crashes += 1;
        }
        assert!(6 <= crashes, "a purchase has more durable writes than {crashes}");
    }
}

/// Whether the case met its crash. Fails when it did and left a trace.
fn survives(case: &Case, stocked: &Path, faults: &Faults) -> bool {
    let folder = copy(stocked);
    let before = in_a_shop(folder.path(), faults.clone(), async |shop| {
        tokio::select! {
            answer = act(shop, case) => answer,
            () = faults.happened() => Err(Status::unavailable("the shop crashed")),
        }
    });
    let crashed = faults.crashed();

    let clock = Arc::new(Later);
    in_a_shop_at(clock.clone(), folder.path(), Faults::default(), async |shop| {
        let after = act(shop, case).await;
        match (&before, &after) {
            (Ok(before), Ok(after)) => assert_eq!(before, after),
            // A definite no must stay the same no.
            (Err(before), after) if before.code() == tonic::Code::FailedPrecondition => {
                let after = after.as_ref().unwrap_err();
                assert_eq!((before.code(), before.details()), (after.code(), after.details()));
            }
            (Ok(before), Err(after)) => panic!("{before:?} became {after:?}"),
            (Err(_), _) => {}
        }
        let expected = match case {
            Case { cancelled: true, .. } => State::Refunded,
            Case { payment_token: "tok_declined", .. } => State::Cancelled,
            _ => State::Confirmed,
        };
        let orders = orders(shop, case).await;
        assert_eq!(orders.len(), 1, "{orders:?}");
        assert_eq!(orders[0].state(), expected);

        until_sound(shop, &*clock).await;
    });
    crashed
}

/// Fails unless the shop's records are sound at last: what a crash left undelivered is
/// delivered in the background.
async fn until_sound(shop: &Shop, clock: &dyn Clock) {
    let began = Instant::now();
    loop {
        let checks = audit::run(&shop.peers().unwrap(), clock.now()).await.unwrap();
        let broken: Vec<_> = checks.iter().filter(|check| !check.violations.is_empty()).collect();
        let waits = broken.iter().all(|check| check.invariant.ends_with("is undelivered"));
        if broken.is_empty() {
            return;
        }
        assert!(waits && began.elapsed() < DELIVERY, "{broken:?}");
    }
}

/// Buys, and gives it back if the case says so.
async fn act(shop: &Shop, case: &Case) -> Result<Order, Status> {
    let mut client = OrderServiceClient::new(shop.local(Role::Order).unwrap());
    let request = pb::CheckoutRequest {
        user_id: case.user_id.clone(),
        request_id: case.request_id.clone(),
        payment_token: case.payment_token.into(),
        items: vec![CheckoutItem { sku: "MUG".into(), quantity: 3 }],
    };
    let order = client.checkout(request).await?.into_inner().order.unwrap();
    if !case.cancelled {
        return Ok(order);
    }
    let request = pb::CancelOrderRequest {
        user_id: case.user_id.clone(),
        order_id: order.order_id,
        request_id: case.cancel_id.clone(),
    };
    Ok(client.cancel_order(request).await?.into_inner().order.unwrap())
}

async fn orders(shop: &Shop, case: &Case) -> Vec<Order> {
    let mut client = OrderServiceClient::new(shop.local(Role::Order).unwrap());
    let request = pb::ListOrdersRequest { user_id: case.user_id.clone(), ..Default::default() };
    client.list_orders(request).await.unwrap().into_inner().orders
}

/// Runs `act` in a shop of its own runtime, which then ends as a process does.
fn in_a_shop<T>(folder: &Path, faults: Faults, act: impl AsyncFnOnce(&Shop) -> T) -> T
where
    T: Answer,
{
    in_a_shop_at(Arc::new(SystemClock), folder, faults, act)
}

/// The time of a shop that is started after a crash. A file frees what a dead process
/// held; on a server that may be alive, so it is free when its leases have lapsed.
#[derive(Debug)]
struct Later;

impl Clock for Later {
    fn now(&self) -> OffsetDateTime {
        SystemClock.now() + if keeps_files() { Duration::ZERO } else { Duration::from_mins(1) }
    }
}

fn in_a_shop_at<T>(
    clock: Arc<dyn Clock>,
    folder: &Path,
    faults: Faults,
    act: impl AsyncFnOnce(&Shop) -> T,
) -> T
where
    T: Answer,
{
    let runtime = Runtime::new().unwrap();
    let answer = runtime.block_on(async {
        let storage = trellis_storage::Options { faults, ..Default::default() };
        let roads = Roads::new();
        let front = roads.front("test", PolicyTable::default());
        let world = World { clock, roads, front, storage };
        let mut config = Config { data_dir: folder.into(), ..Config::default() };
        config.sample_catalogue = false;
        let database = |role| Database::in_folder_now(folder, role).parse().ok();
        config.user.database = database("user");
        config.inventory.database = database("inventory");
        config.payment.database = database("payment");
        config.order.database = database("order");
        config.recommendation.database = database("recommendation");
        // The decoy password is hashed at each start.
        config.user.password_memory_kib = 64;
        let shutdown = Shutdown::default();
        let roles = Roles::new([]);
        match compose::start(&roles, &config, &world, &shutdown).await {
            Ok(shop) => act(&shop).await,
            Err(error) => T::not_started(&error),
        }
    });
    runtime.shutdown_background();
    answer
}

/// What a shop that crashed while it started has to say.
trait Answer {
    fn not_started(error: &anyhow::Error) -> Self;
}

impl Answer for Result<Order, Status> {
    fn not_started(error: &anyhow::Error) -> Self {
        Err(Status::unavailable(format!("{error:#}")))
    }
}

impl Answer for () {
    fn not_started(error: &anyhow::Error) -> Self {
        panic!("the shop does not start: {error:#}")
    }
}

/// Records with mugs on the shelf and nothing sold.
fn stocked_shop() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    in_a_shop(folder.path(), Faults::default(), async |shop| {
        let mut client = InventoryServiceClient::new(shop.local(Role::Inventory).unwrap());
        let price =
            trellis_api::r#type::v1::Money { currency_code: "GBP".into(), minor_units: 250 };
        let product = Product {
            sku: "MUG".into(),
            title: "A mug".into(),
            price: Some(price),
            update_time: None,
        };
        let import = inventory::ProductImport { product: Some(product), on_hand: 1_000 };
        let request = inventory::UpsertProductsRequest { products: vec![import] };
        client.upsert_products(request).await.unwrap();
    });
    copy(folder.path())
}

/// Copies records that may still be in the hands of a shop that ends.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    Database::copy_now(from, to.path(), &KEEPERS);
    // The processor of the sandbox plays a company outside, which keeps a file.
    Database::copy_file_now(from, to.path(), "payment-sandbox");
    to
}
