//! The orders whose fate the shop has told a customer. Tests that crash the shop
//! look for each of them afterwards.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

/// A file with a line `order_id STATE` for each answer. Earlier lines are kept, and
/// of several about one order the last is right.
#[derive(Debug)]
pub(super) struct Acknowledged(Option<Mutex<File>>);

impl Acknowledged {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(Some(Mutex::new(file))))
    }

    pub(super) fn nowhere() -> Self {
        Self(None)
    }

    /// Writes a whole line at once, so that a replay that is killed leaves no half of one.
    pub(super) fn note(&self, order_id: &str, state: &str) -> anyhow::Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        let line = format!("{order_id} {state}\n");
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).context("cannot write the file of acknowledged orders")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_replay_keeps_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders");

        Acknowledged::open(&path).unwrap().note("order_1", "CONFIRMED").unwrap();
        Acknowledged::open(&path).unwrap().note("order_1", "REFUNDED").unwrap();
        Acknowledged::nowhere().note("order_2", "CONFIRMED").unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "order_1 CONFIRMED\norder_1 REFUNDED\n");
    }
}
