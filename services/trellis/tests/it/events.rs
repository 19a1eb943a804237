//! The commands about events, against a real broker that forgets.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use tokio::time::{sleep, timeout};
use trellis_testkit::{Database, Nats};

use crate::kit::{Shop, Topology, database, purchase, trellis};

/// A shop that has told its broker of three orders, and has ended.
struct Scene {
    nats: Nats,
    shop: Shop,
}

impl Scene {
    /// `None` where there is no NATS.
    async fn new() -> Option<Self> {
        let nats = Nats::start().await?;
        let with_broker = |command: &mut Command| _ = command.env("TRELLIS_NATS", nats.url());
        let mut shop = Shop::start_with(Topology::OneProcess, with_broker);
        let customer = shop.customer().await;
        for _ in 0..3 {
            customer.checkout(purchase("MUG-350ML-BLUE", 1)).await.unwrap();
        }
        until(async || messages(&nats).await == Some(3)).await;
        shop.stop();
        Some(Self { nats, shop })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = trellis(self.shop.folder(), arguments);
        command.env("TRELLIS_NATS", self.nats.url());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// How many events of orders are not published.
    fn waiting(&self) -> usize {
        let url = database(self.shop.folder(), "order");
        let waiting = "SELECT event_id FROM outbox WHERE published_time IS NULL";
        Database::query_now(&url, waiting).unwrap().len()
    }
}

/// How many are in the stream.
async fn messages(nats: &Nats) -> Option<u64> {
    let client = async_nats::connect(nats.url()).await.unwrap();
    let stream = jetstream::new(client).get_stream("events").await.ok()?;
    Some(stream.cached_info().state.messages)
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), wait).await.expect("it comes to this");
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_wiped_is_filled_again_by_a_command() {
    let Some(scene) = Scene::new().await else { return };
    let well = scene.run(&["events", "status"]);
    assert!(well.status.success() && said(&well).contains(" there"), "{}", said(&well));
    scene.nats.wipe().await;
    let lost = scene.run(&["events", "status", "order"]);
    assert_eq!(lost.status.code(), Some(1), "{}", said(&lost));
    assert!(said(&lost).contains("the broker has no stream"), "{}", said(&lost));
    assert_eq!(messages(&scene.nats).await, None, "who only looks makes no stream");

    let rebuilt = scene.run(&["events", "rebuild"]);

    assert!(rebuilt.status.success(), "{}", said(&rebuilt));
    assert!(said(&rebuilt).contains("all are in the stream"), "{}", said(&rebuilt));
    assert_eq!(messages(&scene.nats).await, Some(3));
    assert_eq!(scene.waiting(), 0);
    assert!(scene.run(&["events", "status"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_seen_and_only_what_is_asked_for_is_sent_again() {
    let Some(scene) = Scene::new().await else { return };
    let client = async_nats::connect(scene.nats.url()).await.unwrap();
    let stream = jetstream::new(client).get_stream("events").await.unwrap();
    stream.purge().await.unwrap();
    let seen = scene.run(&["events", "status"]);
    assert!(said(&seen).contains("purged") && !seen.status.success(), "{}", said(&seen));

    let nothing = scene.run(&["events", "rebuild", "order", "--since", "0s"]);
    assert!(said(&nothing).contains("nothing to send again"), "{}", said(&nothing));
    let other = scene.run(&["events", "rebuild", "user"]);
    assert!(said(&other).contains("nothing to send again"), "{}", said(&other));
    assert_eq!(messages(&scene.nats).await, Some(0));
    let rebuilt = scene.run(&["events", "rebuild", "order", "--since", "1h"]);

    assert!(rebuilt.status.success(), "{}", said(&rebuilt));
    assert_eq!(messages(&scene.nats).await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_leaves_all_as_it_was() {
    let Some(scene) = Scene::new().await else { return };
    scene.nats.kill();

    let refused = scene.run(&["events", "rebuild"]);

    assert!(!refused.status.success());
    assert!(said(&refused).contains("nothing was changed"), "{}", said(&refused));
    assert_eq!(scene.waiting(), 0);
    let seen = scene.run(&["events", "status"]);
    assert!(seen.status.success() && said(&seen).contains("cannot be asked"), "{}", said(&seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_events_are_made_due_for_the_shop() {
    let Some(scene) = Scene::new().await else { return };

    let due = trellis(scene.shop.folder(), &["events", "rebuild"]).output().unwrap();

    assert!(due.status.success() && said(&due).contains("TRELLIS_NATS is not set"), "{due:?}");
    assert_eq!(scene.waiting(), 3);
    let again = scene.run(&["events", "rebuild"]);
    assert!(said(&again).contains("nothing to send again"), "{}", said(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ctrl_c_what_is_due_is_still_due() {
    let Some(scene) = Scene::new().await else { return };
    // The stream is full, so nothing is published.
    let client = jetstream::new(async_nats::connect(scene.nats.url()).await.unwrap());
    let stream = client.get_stream("events").await.unwrap();
    let full = Config { max_messages: 3, ..stream.cached_info().config.clone() };
    client.update_stream(full).await.unwrap();

    let mut command = scene.command(&["events", "rebuild", "order"]);
    let rebuild = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(async || scene.waiting() == 3).await;
    let sent = Command::new("kill").args(["-INT", &rebuild.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let ended = rebuild.wait_with_output().unwrap();

    assert_eq!(ended.status.code(), Some(130), "{}", said(&ended));
    assert!(said(&ended).contains("3 are not published yet"), "{}", said(&ended));
    assert_eq!(scene.waiting(), 3);
}

#[test]
fn the_help_of_a_rebuild_says_when_and_how_to_use_it() {
    let folder = tempfile::tempdir().unwrap();
    let help = trellis(folder.path(), &["events", "rebuild", "--help"]).output().unwrap();

    let help = said(&help);
    for word in
        ["When to use it", "Ctrl-C", "--since", "no event takes effect twice", "stop the shop"]
    {
        assert!(help.contains(word), "{word} is not in {help}");
    }
}
