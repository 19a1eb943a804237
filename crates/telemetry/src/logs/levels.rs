//! Which lines are logged, changeable while the process runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};

/// The levels at which the crates of this process log.
///
/// Clones share them. Reading them takes no lock, since every span and every line
/// does it.
#[derive(Clone, Debug)]
pub struct LogLevels(Arc<ArcSwap<Targets>>);

impl LogLevels {
    pub(crate) fn new(targets: Targets) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(targets)))
    }

    /// What is logged, such as `trellis_order=trace,info`.
    pub fn get(&self) -> String {
        self.0.load().to_string()
    }

    /// Whether a line of `target` is logged.
    pub(crate) fn shows(&self, target: &str, level: Level) -> bool {
        self.0.load().would_enable(target, &level)
    }

    /// Logs what `filter` says from now on; fails, and changes nothing, if it is
    /// not understood.
    pub fn set(&self, filter: &str) -> anyhow::Result<()> {
        let targets: Targets = filter
            .parse()
            .map_err(|error| anyhow::anyhow!("`{filter}` is no filter for logs: {error}"))?;
        self.0.store(Arc::new(targets));
        // Every place in the code remembers whether it is of interest.
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }
}

impl<S: Subscriber> Filter<S> for LogLevels {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Filter::enabled(&**self.0.load(), metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        Filter::<S>::callsite_enabled(&**self.0.load(), metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&**self.0.load())
    }
}
