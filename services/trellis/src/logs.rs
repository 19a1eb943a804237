//! Logs: for people on a terminal, JSON otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends the logs of this process to standard error; `filter` is that of
/// `TRELLIS_LOG`, such as `debug` or `trellis_order=trace,info`.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter: Targets =
        filter.parse().map_err(|error| anyhow::anyhow!("TRELLIS_LOG `{filter}`: {error}"))?;
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = if std::io::stderr().is_terminal() {
        logs.with_target(false).boxed()
    } else {
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    tracing_subscriber::registry().with(logs.with_filter(filter)).init();
    Ok(())
}
