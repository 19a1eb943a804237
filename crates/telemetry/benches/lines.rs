//! What a line of JSON costs whoever logs it, by the way that it takes to its sink.
//!
//! `Sink`: it is formatted, and that is all; `Direct`: it is written at once;
//! `Queued`: as a process does it; `Exported`: the same, and as a record for a collector
//! that is away, so that the queue is full most of the time; `Appender`: by
//! `tracing_appender`, for comparison.
//! `ready` writes to `/dev/null`, `stuck` to a pipe that nobody reads, so that most
//! lines are lost, and `alone` logs a line after a pause, so that the thread that
//! writes has to be woken. Figures are for a line.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use tracing::Dispatch;
use trellis_telemetry::{ExportLogs, Format, Settings, build, build_queued};

fn main() {
    divan::main();
}

const WAYS: [Way; 5] = [Way::Sink, Way::Direct, Way::Queued, Way::Exported, Way::Appender];
/// A blocked pipe would block the direct way for ever.
const PATIENT: [Way; 3] = [Way::Sink, Way::Queued, Way::Appender];

#[derive(Clone, Copy, Debug)]
enum Way {
    Sink,
    Direct,
    Queued,
    Exported,
    Appender,
}

/// Calls `body` with a subscriber whose lines go to `sink` by `way`.
fn by(way: Way, sink: impl Write + Send + 'static, body: impl FnOnce(&Dispatch)) {
    let (settings, json) = (Settings::default(), Format::Json);
    match way {
        Way::Sink => body(&build("bench", &settings, json, io::sink).expect("telemetry").0),
        Way::Direct => {
            body(&build("bench", &settings, json, Mutex::new(sink)).expect("telemetry").0);
        }
        Way::Queued => {
            let (dispatch, telemetry) =
                build_queued("bench", &settings, json, sink).expect("telemetry");
            body(&dispatch);
            // Waiting for what nobody reads is not what is measured.
            std::mem::forget(telemetry);
        }
        Way::Exported => {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let _context = runtime.enter();
            let logs = Some(ExportLogs::to("http://127.0.0.1:9"));
            let settings = Settings { logs, ..settings };
            let (dispatch, telemetry) =
                build_queued("bench", &settings, json, sink).expect("telemetry");
            body(&dispatch);
            runtime.block_on(telemetry.stop());
        }
        Way::Appender => {
            let (writer, guard) = tracing_appender::non_blocking(sink);
            body(&build("bench", &settings, json, writer).expect("telemetry").0);
            std::mem::forget(guard);
        }
    }
}

fn line() {
    tracing::info!(target: "trellis_bench", code = "OK", duration_ms = 1.4, "served");
}

const BLOCK: usize = 100;

fn block(dispatch: &Dispatch) {
    tracing::dispatcher::with_default(dispatch, || (0..BLOCK).for_each(|_| line()));
}

fn null() -> File {
    File::options().write(true).open("/dev/null").expect("there is a /dev/null")
}

#[divan::bench(args = WAYS, threads = [1, 2], sample_size = 10)]
fn ready(bencher: Bencher<'_, '_>, way: Way) {
    by(way, null(), |dispatch| {
        bencher.counter(ItemsCount::new(BLOCK)).bench(|| block(dispatch));
    });
}

#[divan::bench(args = PATIENT, threads = [1, 2], sample_size = 10)]
fn stuck(bencher: Bencher<'_, '_>, way: Way) {
    let (reader, writer) = io::pipe().expect("a pipe");
    by(way, writer, |dispatch| {
        // So that it is full.
        (0..BLOCK).for_each(|_| block(dispatch));
        bencher.counter(ItemsCount::new(BLOCK)).bench(|| block(dispatch));
    });
    drop(reader);
}

#[divan::bench(args = WAYS, sample_size = 1, sample_count = 500)]
fn alone(bencher: Bencher<'_, '_>, way: Way) {
    by(way, null(), |dispatch| {
        tracing::dispatcher::with_default(dispatch, || {
            let pause = || std::thread::sleep(Duration::from_millis(1));
            bencher.with_inputs(pause).bench_local_values(|()| line());
        });
    });
}
