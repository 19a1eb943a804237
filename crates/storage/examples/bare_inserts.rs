//! What SQLite alone does on this disk: durable inserts of one row, each in a
//! transaction of its own, from one writer, one after another.
//!
//! It is the yardstick of `BENCHMARKS.md`, so nothing of this crate is in it.
//! Prints rows a second.
//!
//! ```text
//! cargo run --release -p trellis-storage --example bare_inserts -- [FOLDER] [SECONDS]
//! ```

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

/// About as long as a small row of a shop.
const PAYLOAD: [u8; 100] = [b'x'; 100];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().map_or(Ok(5.0), |text| text.parse())?;

    let folder = tempfile::tempdir_in(parent)?;
    let connection = Connection::open(folder.path().join("bare.db"))?;
    connection.execute_batch(
        "
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        CREATE TABLE entries (id INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
        ",
    )?;
    let mut insert = connection.prepare("INSERT INTO entries (payload) VALUES (?1)")?;

    let (begin, time) = (Instant::now(), Duration::try_from_secs_f64(seconds)?);
    let mut rows = 0_u32;
    while begin.elapsed() < time {
        insert.execute([PAYLOAD])?;
        rows += 1;
    }
    writeln!(std::io::stdout(), "{:.1}", f64::from(rows) / begin.elapsed().as_secs_f64())?;
    Ok(())
}
