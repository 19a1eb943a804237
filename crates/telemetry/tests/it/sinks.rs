//! Where the log goes, as it is: blocked, slow, full, gone.

use std::io::{self, BufRead as _, BufReader, PipeReader};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tracing::{Dispatch, dispatcher, info};
use trellis_telemetry::{Format, Settings, Telemetry, build_queued};

use crate::kit::{Log, PATIENCE};

/// Two seconds are promised; the rest is for a machine that is busy.
const STOP: Duration = Duration::from_secs(5);

/// More than queues and a pipe hold.
const MANY: u64 = 20_000;

fn process(sink: impl io::Write + Send + 'static) -> (Dispatch, Telemetry) {
    build_queued("order", &Settings::default(), Format::Json, sink).expect("telemetry")
}

fn say(dispatch: &Dispatch, numbers: impl Iterator<Item = u64>) {
    dispatcher::with_default(dispatch, || {
        for number in numbers {
            info!(target: "trellis_test", number, "said");
        }
    });
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).expect(line)
}

/// Reads until the sink is closed.
fn read(reader: PipeReader) -> Vec<Value> {
    BufReader::new(reader).lines().map(|line| parse(&line.expect("a line"))).collect()
}

fn numbers(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter_map(|line| line["number"].as_u64()).collect()
}

/// How many lines were lost, as the log tells it.
fn told(lines: &[Value]) -> u64 {
    let about = lines.iter().filter(|line| line["message"] == "log lines were lost");
    about.map(|line| line["lost"].as_u64().expect("a count")).sum()
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_up_neither_who_logs_nor_the_stop() {
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, telemetry) = process(writer);

    // It would never return if it waited.
    say(&dispatch, 0..MANY);

    assert!((1..MANY).contains(&telemetry.lost_lines()), "{}", telemetry.lost_lines());
    let begin = Instant::now();
    telemetry.stop().await;
    assert!(begin.elapsed() < STOP, "{:?}", begin.elapsed());
    drop(reader);
}

#[test]
fn what_is_not_read_is_given_up_in_time_if_the_process_ends_early() {
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, telemetry) = process(writer);
    say(&dispatch, 0..MANY);

    let begin = Instant::now();
    drop(telemetry);

    assert!(begin.elapsed() < STOP, "{:?}", begin.elapsed());
    drop(reader);
}

#[tokio::test]
async fn every_line_is_in_the_log_or_counted_in_it_as_lost() {
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, telemetry) = process(writer);

    say(&dispatch, 0..MANY);
    let lost = telemetry.lost_lines();
    // There is room again from here on.
    let reading = thread::spawn(|| read(reader));
    telemetry.stop().await;
    drop(dispatch);

    let lines = reading.join().unwrap();
    assert_eq!(told(&lines), lost);
    let numbers = numbers(&lines);
    assert_eq!(numbers.len() as u64 + lost, MANY);
    assert!(numbers.is_sorted());
    let line = lines.iter().find(|line| line["lost"] == lost).unwrap();
    assert_eq!(line["level"], "WARN");
}

#[tokio::test]
async fn all_that_was_logged_is_written_after_the_stop_in_the_order_of_each_thread() {
    const THREADS: u64 = 4;
    const EACH: u64 = 200;
    let log = Log::default();
    let (dispatch, telemetry) = process(log.clone());

    thread::scope(|scope| {
        for thread in 0..THREADS {
            let dispatch = &dispatch;
            scope.spawn(move || say(dispatch, (0..EACH).map(|number| thread * EACH + number)));
        }
    });
    assert_eq!(telemetry.lost_lines(), 0);
    telemetry.stop().await;

    let numbers = numbers(&log.lines());
    for thread in 0..THREADS {
        let range = thread * EACH..(thread + 1) * EACH;
        let own: Vec<_> = numbers.iter().copied().filter(|number| range.contains(number)).collect();
        assert_eq!(own, range.collect::<Vec<_>>());
    }
    assert_eq!(numbers.len() as u64, THREADS * EACH);
}

#[test]
fn what_was_logged_is_written_if_the_thread_that_has_the_telemetry_panics() {
    let log = Log::default();
    let sink = log.clone();

    let panicked = thread::spawn(move || {
        let (dispatch, _telemetry) = process(sink);
        say(&dispatch, 0..1);
        panic!("on purpose");
    });

    panicked.join().unwrap_err();
    assert_eq!(log.line("said")["number"], 0);
}

#[test]
fn a_line_is_written_at_once_while_the_process_runs() {
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, _telemetry) = process(writer);
    let mut lines = BufReader::new(reader).lines();

    for number in 0..10 {
        say(&dispatch, number..=number);
        assert_eq!(parse(&lines.next().unwrap().unwrap())["number"], number);
    }
}

#[tokio::test]
async fn lines_go_on_after_the_stop() {
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, telemetry) = process(writer);
    telemetry.stop().await;

    say(&dispatch, 0..3);
    drop(dispatch);

    assert_eq!(numbers(&read(reader)), [0, 1, 2]);
}

#[tokio::test]
async fn a_line_that_is_larger_than_the_queue_is_lost() {
    let log = Log::default();
    let (dispatch, telemetry) = process(log.clone());

    dispatcher::with_default(&dispatch, || {
        let text = "x".repeat(2 * 1024 * 1024);
        info!(target: "trellis_test", text, "large");
    });
    say(&dispatch, 0..1);
    assert_eq!(telemetry.lost_lines(), 1);
    telemetry.stop().await;

    let lines = log.lines();
    assert_eq!((told(&lines), numbers(&lines)), (1, vec![0]));
}

/// What a full disk still takes of a line.
const TORN: usize = 10;

/// A disk that is full in the middle of a line, and later has room again.
#[derive(Clone, Default)]
struct Disk {
    log: Arc<Mutex<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
}

impl io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.log.lock().expect("the disk is whole");
        if !self.is_full.load(Relaxed) {
            log.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        if log.last() == Some(&b'\n') {
            log.extend_from_slice(&bytes[..TORN]);
            return Ok(TORN);
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it is not so");
        thread::yield_now();
    }
}

#[tokio::test]
async fn lines_that_cannot_be_written_are_counted_and_spoil_no_other() {
    let disk = Disk::default();
    let (dispatch, telemetry) = process(disk.clone());

    say(&dispatch, 0..1);
    wait_until(|| disk.log.lock().unwrap().ends_with(b"\n"));
    disk.is_full.store(true, Relaxed);
    say(&dispatch, 1..4);
    wait_until(|| telemetry.lost_lines() == 3);
    disk.is_full.store(false, Relaxed);
    say(&dispatch, 4..6);
    telemetry.stop().await;

    let text = String::from_utf8(disk.log.lock().unwrap().clone()).unwrap();
    let (torn, whole): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.len() == TORN);
    let whole: Vec<_> = whole.into_iter().map(parse).collect();
    assert_eq!(torn.len(), 1);
    assert_eq!((told(&whole), numbers(&whole)), (3, vec![0, 4, 5]));
}

/// Takes a few bytes, or none for now.
struct Slow {
    log: Log,
    turn: u8,
}

impl io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn = (self.turn + 1) % 50;
        match self.turn {
            1 => Err(io::ErrorKind::WouldBlock.into()),
            2 => Err(io::ErrorKind::Interrupted.into()),
            _ => self.log.write(&bytes[..bytes.len().min(7)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_takes_little_at_a_time_gets_every_line() {
    let log = Log::default();
    let (dispatch, telemetry) = process(Slow { log: log.clone(), turn: 0 });

    say(&dispatch, 0..10);
    telemetry.stop().await;

    assert_eq!(numbers(&log.lines()), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_has_gone_costs_lines_and_nothing_else() {
    let (reader, writer) = io::pipe().unwrap();
    let (dispatch, telemetry) = process(writer);
    drop(reader);

    say(&dispatch, 0..10);

    wait_until(|| telemetry.lost_lines() == 10);
}
