//! A server of a test's own, as far as all kinds of servers are alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::process::{self, free_port, text};

/// How long a server may take to answer, on a machine that is busy with other tests.
const START: Duration = Duration::from_mins(1);

/// A process with a port, a folder, and a file with its id, which can be killed, started
/// again, and stopped in its tracks.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    keeper: Mutex<Option<Child>>,
}

impl Server {
    /// One that does not run yet.
    pub(crate) fn new(program: PathBuf) -> Self {
        // From here on the keeper removes it.
        let folder = process::folder(None).keep();
        Self { program, folder, port: free_port(), keeper: Mutex::new(None) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the program writes its id.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// Runs the program, and waits until it `answers`.
    pub(crate) async fn run(&self, arguments: &[&str], answers: impl AsyncFn() -> bool) {
        let mut all = vec![text(&self.program)];
        all.extend(arguments);
        let log = self.folder.join("log");
        *self.keeper() = Some(process::keep(&self.folder, None, &log, &all));
        let ready = async {
            while !answers().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(START, ready).await.is_err() {
            let log = fs::read_to_string(log).unwrap_or_default();
            panic!("{} does not answer: {log}", self.program.display());
        }
    }

    /// Kills the server, as a crash would. Its files stay.
    pub(crate) fn kill(&self) {
        process::signal("KILL", self.pid());
        if let Some(keeper) = self.keeper().take() {
            process::leave_files(keeper);
        }
    }

    /// Stops the server in its tracks.
    pub(crate) fn stop(&self) {
        process::signal("STOP", self.pid());
    }

    /// Undoes [`stop`](Self::stop).
    pub(crate) fn go_on(&self) {
        process::signal("CONT", self.pid());
    }

    fn pid(&self) -> u32 {
        let text = fs::read_to_string(self.pid_file()).expect("it runs");
        text.trim().parse().expect("it is the id")
    }

    fn keeper(&self) -> MutexGuard<'_, Option<Child>> {
        self.keeper.lock().expect("no test panics in here")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().map(Option::take);
        if let Ok(Some(keeper)) = keeper {
            process::end(keeper);
        }
    }
}
