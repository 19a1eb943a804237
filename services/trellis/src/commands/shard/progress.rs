//! How far a move is: a bar on a terminal, lines in the log elsewhere.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use trellis_storage::shards::mover::Progress;

const TEMPLATE: &str = "{prefix} {bar:40} {human_pos}/{human_len} buckets  {msg}";
const LOG_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn start(service: &'static str, buckets: usize) -> anyhow::Result<Self> {
        let style =
            ProgressStyle::with_template(TEMPLATE).context("the progress bar is malformed")?;
        let bar = ProgressBar::new(buckets as u64).with_style(style).with_prefix(service);
        bar.set_message("announcing");
        Ok(Self(bar))
    }

    /// Tells the log now and then when nobody sees the bar.
    pub(super) async fn log(&self) -> Infallible {
        let mut interval = tokio::time::interval(LOG_INTERVAL);
        interval.tick().await;
        loop {
            interval.tick().await;
            if self.0.is_hidden() {
                let (done, total) = (self.0.position(), self.0.length().unwrap_or_default());
                tracing::info!(done, total, step = self.0.message(), "moving buckets");
            }
        }
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn settles(&self, wait: Duration) {
        self.0.set_message(format!("waiting {} s for readers", wait.as_secs()));
    }

    fn copied(&self, _: u64) {
        self.0.set_message("copying");
        self.0.tick();
    }

    fn switched(&self, buckets: usize, frozen: Duration) {
        self.0.inc(buckets as u64);
        self.0.set_message(format!("writers waited {} ms", frozen.as_millis()));
    }
}
