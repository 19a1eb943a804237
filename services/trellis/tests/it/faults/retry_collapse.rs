//! A short overload of a service whose database cannot keep up.
//!
//! It does 20 calls a second, with room for 256 that wait. Customers come 8 times a
//! second, 40 times for ten seconds, and 8 times again. Whoever asks three times at
//! 750 ms each keeps it busy for ever with what nobody waits for any more; a gateway
//! of Trellis lets it come round.

use std::time::Duration;

use tonic::Request;
use trellis_api::inventory::v1 as inventory;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::shop::v1 as pb;
use trellis_chassis::transport;

use crate::kit::load::{Calls, Load, Phase};
use crate::kit::{Bottleneck, Shop, Topology};

const WORK: Duration = Duration::from_millis(50);
const ROOM: u32 = 256;
const ATTEMPT: Duration = Duration::from_millis(750);

const BEFORE: Phase = Phase { per_second: 8, lasts: Duration::from_secs(3) };
const OVERLOAD: Phase = Phase { per_second: 40, lasts: Duration::from_secs(10) };
const AFTER: Phase = Phase { per_second: 8, lasts: Duration::from_secs(15) };

/// From the end of the overload.
const RECOVERY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_recovers_from_a_short_overload_of_a_peer_within_five_seconds() {
    let mut shop = Shop::start(Topology::Fleet);
    let bottleneck = before_the_inventory(&mut shop).await;
    let gateway = shop.process("gateway");
    gateway.stop();
    gateway.restart_with(|command| {
        command.env("TRELLIS_PEERS_INVENTORY", &bottleneck.address);
    });
    let client = shop.client();

    let calls = Load::arrivals(&[BEFORE, OVERLOAD, AFTER], move || {
        let mut client = client.clone();
        async move {
            let mut request = Request::new(pb::ListProductsRequest::default());
            request.set_timeout(3 * ATTEMPT);
            client.list_products(request).await.map(drop)
        }
    })
    .await;

    println!("through a gateway: {}", figures(&calls));
    assert!(0.99 <= share_of_success(&calls, Duration::ZERO, BEFORE.lasts), "it was ill before");
    let late = share_of_success(&calls, end_of_overload() + RECOVERY, Duration::MAX);
    assert!(0.95 <= late, "{late}: {}", figures(&calls));
}

/// What makes it hard.
#[tokio::test(flavor = "multi_thread")]
async fn three_plain_attempts_do_not_recover_from_the_same_overload() {
    let mut shop = Shop::start(Topology::Fleet);
    let bottleneck = before_the_inventory(&mut shop).await;
    let client = InventoryServiceClient::new(transport::remote(&bottleneck.address).unwrap());

    let calls = Load::arrivals(&[BEFORE, OVERLOAD, AFTER], move || {
        let mut client = client.clone();
        async move {
            let mut last = Ok(());
            for _ in 0..3 {
                let mut request = Request::new(inventory::ListProductsRequest::default());
                request.set_timeout(ATTEMPT);
                last = client.list_products(request).await.map(drop);
                if last.is_ok() {
                    break;
                }
            }
            last
        }
    })
    .await;

    println!("with three plain attempts: {}", figures(&calls));
    assert!(0.99 <= share_of_success(&calls, Duration::ZERO, BEFORE.lasts), "it was ill before");
    let late = share_of_success(&calls, end_of_overload() + RECOVERY, Duration::MAX);
    assert!(late <= 0.05, "{late}: {}", figures(&calls));
}

async fn before_the_inventory(shop: &mut Shop) -> Bottleneck {
    let inventory = format!("http://{}", shop.process("inventory").address);
    Bottleneck::start(&inventory, WORK, ROOM).await
}

fn end_of_overload() -> Duration {
    BEFORE.lasts + OVERLOAD.lasts
}

/// Of the calls that began in this time.
fn share_of_success(calls: &Calls, from: Duration, to: Duration) -> f64 {
    calls.begun_between(from, to).success()
}

fn figures(calls: &Calls) -> String {
    let fall = end_of_overload();
    let failures = calls.failures();
    let last = failures.iter().map(|call| call.begin).max().unwrap_or_default();
    format!(
        "{:.0} % succeeded during the overload, {:.0} % from five seconds after it on; \
         the last failure began {:.1} s after it",
        100.0 * share_of_success(calls, BEFORE.lasts, fall),
        100.0 * share_of_success(calls, fall + RECOVERY, Duration::MAX),
        last.saturating_sub(fall).as_secs_f64(),
    )
}
