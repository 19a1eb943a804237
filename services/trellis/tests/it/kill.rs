//! kill -9, again and again, while customers buy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::kit::{Shop, Topology, trellis};

const KILLS: usize = 20;
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
    std::fs::write(&csv, invoices(KILLS * SPREAD + 200)).unwrap();
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

    for _ in 0..KILLS {
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
    let kept = orders(&shop.folder().join("data/order.db"));
    for (order_id, state) in acknowledged {
        assert!(kept.contains_key(&order_id), "{order_id} was acknowledged as {state} and is lost");
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

/// Every order with its state, as the database has it.
fn orders(database: &Path) -> BTreeMap<String, String> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut query = connection.prepare("SELECT order_id, state FROM orders").unwrap();
    let rows =
        query.query_map([], |row| Ok((row.get(0)?, row.get::<_, rusqlite::types::Value>(1)?)));
    rows.unwrap()
        .map(Result::unwrap)
        .map(|(id, state): (String, _)| (id, format!("{state:?}")))
        .collect()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
