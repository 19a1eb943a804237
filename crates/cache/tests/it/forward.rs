//! Whatever the order of reads and writes, and however late a read of the store comes back:
//! who reads after a write has been declared is never given what was before it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use trellis_testkit::Redis;

use crate::kit::{Process, SOFT, Store, sees};

#[derive(Clone, Debug)]
enum Step {
    /// The row gets its next version, and this process declares it.
    Write(usize),
    /// Somebody begins to read in this process.
    Read(usize),
    /// One of the reads of the store that are under way comes back.
    Answer(usize),
    /// Time goes by, so that what is kept turns stale.
    Wait,
    /// Redis forgets everything.
    Flush,
}

fn steps(processes: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..processes).prop_map(Step::Write),
        6 => (0..processes).prop_map(Step::Read),
        5 => (0..1_000_usize).prop_map(Step::Answer),
        1 => Just(Step::Wait),
        1 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Reads of the store that have seen a version and are on their way back.
#[derive(Clone, Default)]
struct Road {
    waiting: Arc<Mutex<VecDeque<oneshot::Sender<()>>>>,
    /// Told of each one that sets out.
    asked: Arc<Notify>,
    version: Arc<AtomicUsize>,
}

impl Road {
    async fn read(self) -> Result<Option<(u64, String)>, &'static str> {
        let version = self.version.load(Ordering::SeqCst) as u64;
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap().push_back(sender);
        self.asked.notify_one();
        receiver.await.map_err(|_| "lost")?;
        Ok(Some((version, format!("mug {version}"))))
    }

    fn answer(&self, which: usize) {
        let mut waiting = self.waiting.lock().unwrap();
        if !waiting.is_empty() {
            let index = which % waiting.len();
            let _ = waiting.remove(index).expect("it is there").send(());
        }
    }

    fn answer_all(&self) {
        for sender in self.waiting.lock().unwrap().drain(..) {
            // Whoever asked may have gone.
            let _ = sender.send(());
        }
    }
}

fn read(process: &Process, road: &Road, declared: u64, readers: &mut JoinSet<()>) {
    let (values, road) = (process.values.clone(), road.clone());
    readers.spawn(async move {
        let value = values.get(&"mug".to_owned(), || road.read()).await;
        // Who waited for longer than a second for the store has an error.
        if let Ok(value) = value {
            let value = value.expect("it is there");
            let version: u64 = value.rsplit_once(' ').unwrap().1.parse().unwrap();
            assert!(declared <= version, "{version} was given after {declared} was declared");
        }
    });
}

async fn play(processes: &[Process], server: Option<&Redis>, steps: Vec<Step>) {
    let road = Road { version: Arc::new(AtomicUsize::new(1)), ..Road::default() };
    let mut declared = vec![1; processes.len()];
    let mut readers = JoinSet::new();
    for step in steps {
        match step {
            Step::Write(index) => {
                let version = road.version.fetch_add(1, Ordering::SeqCst) as u64 + 1;
                processes[index].values.invalidate(vec![("mug".to_owned(), version)]).await;
                declared[index] = version;
            }
            Step::Read(index) => read(&processes[index], &road, declared[index], &mut readers),
            Step::Answer(which) => road.answer(which),
            Step::Wait => processes.iter().for_each(|it| it.clock.advance(SOFT.mul_f64(0.7))),
            Step::Flush => {
                if let Some(server) = server {
                    server.flush().await;
                }
            }
        }
        // Whoever can go on does.
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    // All come back.
    while !readers.is_empty() {
        road.answer_all();
        tokio::select! {
            Some(ended) = readers.join_next() => ended.unwrap(),
            () = road.asked.notified() => {}
        }
    }
}

fn check(cases: u32, processes: usize, play: impl Fn(Vec<Step>)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps(processes), |steps| {
            play(steps);
            Ok(())
        })
        .unwrap();
}

#[test]
fn in_one_process() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    check(300, 1, |steps| {
        runtime.block_on(async {
            let process = Process::alone(&Store::open());
            play(std::slice::from_ref(&process), None, steps).await;
        });
    });
}

#[test]
fn in_two_processes() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let Some(server) = runtime.block_on(Redis::start()) else { return };
    check(20, 2, |steps| {
        runtime.block_on(async {
            server.flush().await;
            let store = Store::open();
            let processes =
                [Process::over(&server, &store).await, Process::over(&server, &store).await];
            play(&processes, Some(&server), steps).await;
            // In the end both know the last of all.
            store.write("mug", 1_000);
            processes[0].write("mug", 1_000).await;
            for process in &processes {
                sees(process, "mug", 1_000).await;
            }
        });
    });
}
