//! What the kernel and the runtime say about this process.

use tokio::runtime::RuntimeMetrics;
use tokio::time::Instant;

use super::definition::Definition;
use super::handle::{Gauge, Total};
use super::{Metrics, Unit};

const WORKERS: Definition<Gauge, 0> =
    Gauge::define("tokio.workers", Unit::of("{thread}"), "Threads that run tasks.", []);
const TASKS: Definition<Gauge, 0> =
    Gauge::define("tokio.tasks.alive", Unit::of("{task}"), "Tasks that have not ended.", []);
const QUEUE: Definition<Gauge, 0> = Gauge::define(
    "tokio.global_queue.depth",
    Unit::of("{task}"),
    "Tasks that wait for any worker; many mean that there are too few cores.",
    [],
);
const BUSY: Definition<Total, 0> = Total::define(
    "tokio.worker.busy",
    Unit::SECONDS,
    "How long workers ran tasks, all added up.",
    [],
);
const UPTIME: Definition<Gauge, 0> =
    Gauge::define("process.uptime", Unit::SECONDS, "How long this process has run.", []);

impl Metrics {
    /// Adds what this process and its runtime use; call it once, inside of the runtime.
    pub fn watch_process(&self) {
        let runtime = tokio::runtime::Handle::current().metrics();
        let began = Instant::now();
        let (workers, tasks) = (self.get(&WORKERS, []), self.get(&TASKS, []));
        let (queue, busy, uptime) =
            (self.get(&QUEUE, []), self.get(&BUSY, []), self.get(&UPTIME, []));
        self.before_reading(move || {
            workers.set_count(runtime.num_workers());
            tasks.set_count(runtime.num_alive_tasks());
            queue.set_count(runtime.global_queue_depth());
            busy.set(seconds_busy(&runtime));
            uptime.set(began.elapsed().as_secs_f64());
        });
        #[cfg(target_os = "linux")]
        linux::watch(self);
    }
}

fn seconds_busy(runtime: &RuntimeMetrics) -> f64 {
    let busy = |worker| runtime.worker_total_busy_duration(worker).as_secs_f64();
    (0..runtime.num_workers()).map(busy).sum()
}

#[cfg(target_os = "linux")]
mod linux {
    use procfs::process::{LimitValue, Process};

    use super::{Definition, Gauge, Metrics, Total, Unit};

    const CPU: Definition<Total, 1> = Total::define(
        "process.cpu.time",
        Unit::SECONDS,
        "How long processors worked for this process.",
        ["cpu.mode"],
    );
    const MEMORY: Definition<Gauge, 0> =
        Gauge::define("process.memory.usage", Unit::BYTES, "Memory that is resident.", []);
    const THREADS: Definition<Gauge, 0> =
        Gauge::define("process.thread.count", Unit::of("{thread}"), "Threads of any sort.", []);
    const FILES: Definition<Gauge, 0> = Gauge::define(
        "process.unix.file_descriptor.count",
        Unit::of("{file_descriptor}"),
        "Files and connections that are open.",
        [],
    );
    const MOST_FILES: Definition<Gauge, 0> = Gauge::define(
        "process.unix.file_descriptor.limit",
        Unit::of("{file_descriptor}"),
        "How many may be open.",
        [],
    );

    /// What cannot be read stays as it was.
    pub(super) fn watch(metrics: &Metrics) {
        let (user, system) = (metrics.get(&CPU, ["user"]), metrics.get(&CPU, ["system"]));
        let (memory, threads) = (metrics.get(&MEMORY, []), metrics.get(&THREADS, []));
        let (files, most_files) = (metrics.get(&FILES, []), metrics.get(&MOST_FILES, []));
        metrics.before_reading(move || {
            let Ok(process) = Process::myself() else { return };
            if let Ok(stat) = process.stat() {
                user.set(seconds(stat.utime));
                system.set(seconds(stat.stime));
                memory.set_count(stat.rss.saturating_mul(procfs::page_size()));
                threads.set_count(stat.num_threads);
            }
            if let Ok(open) = process.fd_count() {
                files.set_count(open);
            }
            if let Ok(limits) = process.limits()
                && let LimitValue::Value(most) = limits.max_open_files.soft_limit
            {
                most_files.set_count(most);
            }
        });
    }

    #[expect(clippy::cast_precision_loss, reason = "they are fewer than 2⁵³")]
    fn seconds(ticks: u64) -> f64 {
        ticks as f64 / procfs::ticks_per_second() as f64
    }
}
