//! What is left of a panic.

use std::any::Any;

/// The caller learns nothing of it, so the log has to.
pub(super) fn log(panic: &(dyn Any + Send), place: &'static str) {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(place, panic = said.unwrap_or("something that is no text"), "handler failed");
}
