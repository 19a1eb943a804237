//! How far a replay is: a bar on a terminal, a line in the log elsewhere.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{bar:40} {human_pos}/{human_len}  {per_sec}  {eta} left";
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// All clones are one.
#[derive(Clone, Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn start(total: usize) -> anyhow::Result<Self> {
        let style =
            ProgressStyle::with_template(TEMPLATE).context("the progress bar is malformed")?;
        Ok(Self(ProgressBar::new(total as u64).with_style(style)))
    }

    /// One more is done.
    pub(super) fn advance(&self) {
        self.0.inc(1);
    }

    /// Tells the log now and then when nobody sees the bar.
    pub(super) async fn log(&self) -> Infallible {
        let mut interval = tokio::time::interval(LOG_INTERVAL);
        interval.tick().await;
        loop {
            interval.tick().await;
            if self.0.is_hidden() {
                let (done, total) = (self.0.position(), self.0.length().unwrap_or_default());
                let seconds = self.0.elapsed().as_secs();
                tracing::info!(done, total, seconds, "replaying");
            }
        }
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
