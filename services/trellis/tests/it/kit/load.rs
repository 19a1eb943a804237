//! Callers that go on calling while something happens to the shop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

/// A load on a shop, which goes on until it is ended.
pub(crate) struct Load {
    callers: JoinSet<Vec<Call>>,
    stop: watch::Sender<bool>,
    start: Instant,
}

/// A part of a load whose calls come at their own pace, whatever becomes of those
/// before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) per_second: u32,
    pub(crate) lasts: Duration,
}

/// One call of a load.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// When it began and ended, counted from the start of the load.
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    /// What went wrong.
    pub(crate) failure: Option<String>,
}

/// All calls of a load.
#[derive(Debug)]
pub(crate) struct Calls(pub(crate) Vec<Call>);

impl Load {
    /// Begins `callers` loops of `call`, with `pause` between two calls of one.
    pub(crate) fn start<F>(
        callers: usize,
        pause: Duration,
        call: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let (start, call) = (Instant::now(), Arc::new(call));
        let mut set = JoinSet::new();
        for _ in 0..callers {
            let (call, mut stopped) = (Arc::clone(&call), stopped.clone());
            set.spawn(async move {
                let mut calls = Vec::new();
                while !*stopped.borrow() {
                    calls.push(Call::make(start, call()).await);
                    // Ends early when the load does.
                    let _ = tokio::time::timeout(pause, stopped.changed()).await;
                }
                calls
            });
        }
        Self { callers: set, stop, start }
    }

    /// Makes calls at an even pace, phase after phase, and waits for the last.
    pub(crate) async fn arrivals<F>(phases: &[Phase], call: impl Fn() -> F) -> Calls
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let start = Instant::now();
        let (mut next, mut end, mut set) = (start, start, JoinSet::new());
        for phase in phases {
            end += phase.lasts;
            while next < end {
                tokio::time::sleep_until(next).await;
                set.spawn(Call::make(start, call()));
                next += Duration::from_secs(1) / phase.per_second;
            }
        }
        Calls::of(set.join_all().await)
    }

    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Ends it, after the calls that are out.
    pub(crate) async fn end(self) -> Calls {
        self.stop.send_replace(true);
        Calls::of(self.callers.join_all().await.into_iter().flatten().collect())
    }
}

impl Call {
    async fn make(start: Instant, call: impl Future<Output = Result<(), Status>>) -> Self {
        let begin = start.elapsed();
        let failure = call.await.err();
        let failure = failure.map(|status| format!("{:?} {}", status.code(), status.message()));
        Self { begin, end: start.elapsed(), failure }
    }

    fn took(&self) -> Duration {
        self.end.saturating_sub(self.begin)
    }
}

impl Calls {
    fn of(mut calls: Vec<Call>) -> Self {
        calls.sort_by_key(|call| call.end);
        Self(calls)
    }

    /// Those that began in this time of the load.
    pub(crate) fn begun_between(&self, from: Duration, to: Duration) -> Self {
        let within = self.0.iter().filter(|call| from <= call.begin && call.begin < to);
        Self(within.cloned().collect())
    }

    /// Those that ended in this time of the load.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Call> {
        self.0.iter().filter(move |call| from <= call.end && call.end < to)
    }

    /// What 99 of 100 calls stay below, in each half second of this time.
    pub(crate) fn p99_of_slices(&self, from: Duration, to: Duration) -> Vec<Duration> {
        const SLICE: Duration = Duration::from_millis(500);
        let starts = std::iter::successors(Some(from), |start| Some(*start + SLICE));
        let slices = starts.take_while(|start| *start + SLICE <= to);
        slices.filter_map(|start| self.begun_between(start, start + SLICE).p99()).collect()
    }

    fn p99(&self) -> Option<Duration> {
        let mut took: Vec<Duration> = self.0.iter().map(Call::took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied()
    }

    pub(crate) fn failures(&self) -> Vec<&Call> {
        self.0.iter().filter(|call| call.failure.is_some()).collect()
    }

    /// The share of calls that went well, between 0 and 1.
    pub(crate) fn success(&self) -> f64 {
        assert!(!self.0.is_empty(), "nobody called");
        1.0 - share(self.failures().len(), self.0.len())
    }
}

/// So that a moment in which the machine was busy elsewhere does not decide.
pub(crate) fn median(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut durations: Vec<Duration> = durations.collect();
    durations.sort_unstable();
    durations[durations.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 calls")]
pub(crate) fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}
