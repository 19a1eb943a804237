//! A look-up of one row by its key, with what it counts and tells of itself, on one
//! thread.
//!
//! `Off`: no traces are exported; `Unsampled`: a collector is named, but the trace is
//! not sampled; `Sampled`: it is, and the queue behind is full most of the time, since
//! no collector would keep up; `Statements`: with a span of the statement too.

use std::io;

use divan::{Bencher, counter::ItemsCount};
use opentelemetry_sdk::trace::Sampler;
use tracing::{Instrument as _, instrument::WithSubscriber as _};
use trellis_storage::{Error, Migration, Options, Sqlite};
use trellis_telemetry::{Export, Format, Settings};

const ROWS: Migration = Migration {
    name: "rows",
    sql: "
        CREATE TABLE entries (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
        INSERT INTO entries (id, text) VALUES (1, 'something to keep')
    ",
};

/// Look-ups in one measured round.
const ROUND: usize = 64;

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Off,
    Unsampled,
    Sampled,
    Statements,
}

const MODES: [Mode; 4] = [Mode::Off, Mode::Unsampled, Mode::Sampled, Mode::Statements];

#[divan::bench(args = MODES, sample_count = 2000)]
fn look_up(bencher: Bencher<'_, '_>, mode: Mode) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let _context = runtime.enter();
    let path = folder.path().join("bench.db");
    let sqlite = Sqlite::open(&path, &[ROWS], &Options::default()).expect("the folder is new");
    let (dispatch, telemetry) =
        trellis_telemetry::build("bench", &settings(mode), Format::Json, io::sink)
            .expect("telemetry");
    let call = || tracing::info_span!(target: "trellis_bench", "call", otel.kind = "server");
    let call = tracing::dispatcher::with_default(&dispatch, call);
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        let round = async {
            for _ in 0..ROUND {
                one(&sqlite).await.expect("the row is there");
            }
        };
        runtime.block_on(round.instrument(call.clone()).with_subscriber(dispatch.clone()));
    });
    drop(call);
    runtime.block_on(telemetry.stop());
}

async fn one(sqlite: &Sqlite) -> Result<String, Error> {
    let look_up = sqlite.look_up(|tx| {
        let mut query = tx.prepare_cached("SELECT text FROM entries WHERE id = ?1")?;
        Ok::<_, Error>(query.query_row([1], |row| row.get(0))?)
    });
    look_up.await
}

fn settings(mode: Mode) -> Settings {
    let sampler = match mode {
        Mode::Off => return Settings::default(),
        Mode::Unsampled => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
        Mode::Sampled | Mode::Statements => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
    };
    let spans = matches!(mode, Mode::Statements).then(|| "trace".parse().expect("a filter"));
    // Nobody listens there: what is measured is this side of the queue.
    let export = Some(Export { sampler, ..Export::to("http://127.0.0.1:9") });
    Settings { spans, export, ..Settings::default() }
}
