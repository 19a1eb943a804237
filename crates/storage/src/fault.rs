//! Crashes on order, so that tests can stop a database at an exact commit.
//!
//! A crash here is what the callers of a killed process see: the commit did or
//! did not reach the disk, no answer comes, and nothing answers afterwards. The
//! files can then be opened again, as a restarted process would.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::Error;

/// On which side of the commit the crash happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing of the transaction reaches the disk.
    BeforeCommit,
    /// All of it is on the disk, but no caller hears of it.
    AfterCommit,
}

/// Counts the commits of all databases opened with a clone of it, and crashes
/// them together at the chosen one.
///
/// The default counts and never crashes.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    plan: Option<(u64, When)>,
    commits: AtomicU64,
    crashed: AtomicBool,
    watchers: Mutex<Vec<Watcher>>,
}

type Watcher = Box<dyn Fn() + Send>;

impl Faults {
    /// Crashes at commit number `at`, where the first commit is 1.
    ///
    /// Only commits that insert, update or delete a row count; migrations do not.
    pub fn crash(at: u64, when: When) -> Self {
        Self { shared: Arc::new(Shared { plan: Some((at, when)), ..Shared::default() }) }
    }

    /// How many commits there were, with the one at which the crash happened.
    pub fn commits(&self) -> u64 {
        let commits = self.shared.commits.load(Ordering::Acquire);
        // Those that came after the crash were refused.
        self.shared.plan.map_or(commits, |(at, _)| commits.min(at))
    }

    pub fn crashed(&self) -> bool {
        self.shared.crashed.load(Ordering::Acquire)
    }

    /// Returns at the crash; never, where none is planned.
    pub async fn happened(&self) {
        if self.shared.plan.is_none() {
            return std::future::pending().await;
        }
        let (gone, told) = tokio::sync::watch::channel(());
        let gone = Mutex::new(Some(gone));
        self.watch(move || drop(gone.lock().unwrap_or_else(PoisonError::into_inner).take()));
        if !self.crashed() {
            // Nothing is ever sent: the crash drops the sender.
            let _ = told.clone().changed().await;
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.crashed() { Err(Error::Closed) } else { Ok(()) }
    }

    fn next(&self) -> Result<u64, Error> {
        self.check()?;
        Ok(self.shared.commits.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Counts a commit and makes it, or crashes instead or afterwards.
    pub(crate) fn commit(&self, commit: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let number = self.next()?;
        match self.shared.plan {
            Some((at, _)) if at < number => Err(Error::Closed),
            Some((at, when)) if at == number => {
                if when == When::AfterCommit {
                    commit()?;
                }
                self.strike();
                Err(Error::Closed)
            }
            _ => {
                commit()?;
                // Another database may have crashed meanwhile: then this commit
                // is on the disk, but its callers died with the process.
                self.check()
            }
        }
    }

    /// Whether a crash is planned. Without one, a server is not asked which commits count.
    pub(crate) fn are_planned(&self) -> bool {
        self.shared.plan.is_some()
    }

    /// As [`commit`](Self::commit), for a commit that has to be waited for.
    pub(crate) async fn commit_with(
        &self,
        commit: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let number = self.next()?;
        match self.shared.plan {
            Some((at, _)) if at < number => Err(Error::Closed),
            Some((at, when)) if at == number => {
                if when == When::AfterCommit {
                    commit.await?;
                }
                self.strike();
                Err(Error::Closed)
            }
            _ => {
                commit.await?;
                self.check()
            }
        }
    }

    /// Has `watcher` called at the moment of a crash.
    pub(crate) fn watch(&self, watcher: impl Fn() + Send + 'static) {
        if self.shared.plan.is_some() {
            let mut watchers = self.shared.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.push(Box::new(watcher));
        }
    }

    fn strike(&self) {
        self.shared.crashed.store(true, Ordering::Release);
        let mut watchers = self.shared.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers.drain(..) {
            watcher();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Shared")
            .field("plan", &self.plan)
            .field("commits", &self.commits)
            .field("crashed", &self.crashed)
            .finish_non_exhaustive()
    }
}
