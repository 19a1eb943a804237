//! Which lines are logged, changeable while the process runs.

use std::sync::Arc;

use anyhow::ensure;
use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};

/// The field of a span that the log does not show: what is said of it is said by lines.
const HIDDEN: &str = "trellis.log.hidden";

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

    /// Logs what `text`, a [`filter`], says from now on, and says so in the log; fails,
    /// and changes nothing, if it is not understood.
    pub fn set(&self, text: &str) -> anyhow::Result<()> {
        let after = filter(text)?;
        let before = self.0.load_full();
        let tell = || tracing::warn!(%before, %after, "what is logged was changed");
        // One of the two may leave this line out.
        let is_shown_before = before.would_enable(module_path!(), &Level::WARN);
        if is_shown_before {
            tell();
        }
        self.0.store(Arc::new(after.clone()));
        // Every place in the code remembers whether it is of interest.
        tracing::callsite::rebuild_interest_cache();
        if !is_shown_before {
            tell();
        }
        Ok(())
    }
}

/// Understands a filter: levels with commas in between, each for all crates, such as
/// `info`, or for one crate or module, such as `trellis_order=trace`.
///
/// The name of a crate needs a level, although [`Targets`] would do without: to it, a
/// level that is misspelt is a crate, and everything else is off.
pub fn filter(text: &str) -> anyhow::Result<Targets> {
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    for part in &parts {
        let is_level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        ensure!(
            is_level || part.contains('='),
            "`{text}` is no filter: `{part}` is neither off, error, warn, info, debug or trace, \
             nor like `trellis_order=trace`"
        );
    }
    let parsed = parts.join(",").parse();
    parsed.map_err(|error| anyhow::anyhow!("`{text}` is no filter: {error}"))
}

fn is_hidden(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().field(HIDDEN).is_some()
}

impl<S: Subscriber> Filter<S> for LogLevels {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        !is_hidden(metadata) && Filter::enabled(&**self.0.load(), metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_hidden(metadata) {
            return Interest::never();
        }
        Filter::<S>::callsite_enabled(&**self.0.load(), metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&**self.0.load())
    }
}
