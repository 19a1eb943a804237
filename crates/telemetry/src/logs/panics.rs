//! Panics are lines of the log: with the ids of the call that panicked, and without
//! waiting for standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::thread;

use tracing::Level;

use super::LogLevels;

/// Logs every panic of this process, whoever catches it. Where `levels` leave that out,
/// they go to standard error as before.
pub(crate) fn log(levels: LogLevels) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if !levels.shows(module_path!(), Level::ERROR) {
            return before(panicked);
        }
        let backtrace = Backtrace::capture();
        let is_wanted = backtrace.status() == BacktraceStatus::Captured;
        // What it says is a field, since the message goes to the collector with the span.
        tracing::error!(
            said = panicked.payload_as_str(),
            at = panicked.location().map(tracing::field::display),
            thread = thread::current().name(),
            backtrace = is_wanted.then(|| tracing::field::display(&backtrace)),
            "panicked"
        );
    }));
}
