//! How far a rebuild is: a bar on a terminal, a line in the log elsewhere.

use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

const TEMPLATE: &str = "{msg:10} {bar:40} {human_pos}/{human_len}  {per_sec}  {eta} left";
const LOG_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    stage: &'static str,
    next_line: Instant,
}

impl Progress {
    pub(super) fn start(stage: &'static str, total: u64) -> anyhow::Result<Self> {
        let style =
            ProgressStyle::with_template(TEMPLATE).context("the progress bar is malformed")?;
        let bar = ProgressBar::new(total).with_style(style).with_message(stage);
        Ok(Self { bar, stage, next_line: Instant::now() + LOG_INTERVAL })
    }

    /// So many are done.
    pub(super) fn reach(&mut self, done: u64) {
        self.bar.set_position(done);
        let now = Instant::now();
        if self.bar.is_hidden() && self.next_line <= now {
            let total = self.bar.length().unwrap_or_default();
            tracing::info!(done, total, "events {}", self.stage);
            self.next_line = now + LOG_INTERVAL;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
