//! kill -9, again and again, while customers buy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use trellis_api::id::OrderId;
use trellis_testkit::Database;

use crate::kit::{Shop, Topology, database, keeps_files, trellis};

const KILLS: usize = 20;
/// On a server each costs the lease of whoever died.
const KILLS_ON_A_SERVER: usize = 8;
/// The most orders that are acknowledged between two kills.
const SPREAD: usize = 12;

#[test]
fn a_shop_that_is_killed_again_and_again_keeps_every_acknowledged_order() {
    survives(Topology::OneProcess, 1);
}

#[test]
fn a_fleet_whose_processes_are_killed_keeps_every_acknowledged_order() {
    survives(Topology::Fleet, 2);
}

/// Replays purchases, kills a process at random moments, and compares what was
/// acknowledged with what is there in the end.
///
/// The moments are counted in acknowledged orders, which a pipe tells, and
/// followed by a random number of further ones in flight.
fn survives(topology: Topology, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut shop = Shop::start(topology);
    let csv = shop.folder().join("retail.csv");
    let kills = if keeps_files() { KILLS } else { KILLS_ON_A_SERVER };
    std::fs::write(&csv, invoices(kills * SPREAD + 200)).unwrap();
    let endpoint = shop.endpoint();
    let imported = shop.run(&["import", path(&csv), "--endpoint", &endpoint]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    let pipe = shop.folder().join("acknowledged");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let arguments = [
        "replay",
        path(&csv),
        "--concurrency",
        "16",
        "--acknowledged",
        path(&pipe),
        "--endpoint",
        &endpoint,
        // On a server what a dead process held waits for its lease to lapse, and whoever
        // takes it over may be killed as well.
        "--patience",
        if keeps_files() { "60" } else { "300" },
    ];
    let mut replay = trellis(shop.folder(), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(File::open(&pipe).unwrap()).lines();
    let mut acknowledged = BTreeMap::new();
    let mut note = |line: String| {
        let (order_id, state) = line.split_once(' ').unwrap();
        acknowledged.insert(order_id.to_owned(), state.to_owned());
    };

    for _ in 0..kills {
        for _ in 0..random.random_range(1..=SPREAD) {
            note(lines.next().expect("the replay goes on until all kills are done").unwrap());
        }
        let victim = random.random_range(0..shop.processes.len());
        shop.processes[victim].kill();
        shop.processes[victim].restart();
    }
    lines.for_each(|line| note(line.unwrap()));
    let ended = replay.wait().unwrap();
    let mut report = String::new();
    std::io::Read::read_to_string(&mut replay.stdout.take().unwrap(), &mut report).unwrap();
    assert!(ended.success(), "{report}");

    shop.stop();
    shop.assert_audit_is_clean();
    let kept = shop.orders();
    for (order_id, state) in acknowledged {
        assert!(
            kept.contains(&order_id.parse().unwrap()),
            "{order_id} was acknowledged as {state} and is lost"
        );
    }
}

/// A data set of small purchases by fifty customers.
fn invoices(count: usize) -> String {
    let mut csv = String::from(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n",
    );
    for number in 0..count {
        for line in 0..=number % 3 {
            writeln!(
                csv,
                "{},{},BLUE MUG {},{},2010-12-01 08:{:02}:00,2.55,{}.0,United Kingdom",
                500_000 + number,
                20_000 + (number * 7 + line) % 40,
                (number * 7 + line) % 40,
                1 + number % 4,
                number % 60,
                10_000 + number % 50,
            )
            .unwrap();
        }
    }
    csv
}

impl Shop {
    /// The ids of all orders, as the database has them.
    fn orders(&self) -> BTreeSet<OrderId> {
        let url = database(self.folder(), "order");
        let rows = Database::query_now(&url, "SELECT order_id FROM orders").unwrap();
        // A file has ids as customers see them, a server the number in them.
        let id = |text: &str| match text.parse() {
            Ok(uuid) => OrderId::from_uuid(uuid),
            Err(_) => text.parse().unwrap(),
        };
        rows.iter().map(|row| id(row[0].as_deref().unwrap())).collect()
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
