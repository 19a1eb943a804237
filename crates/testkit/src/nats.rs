//! NATS servers with JetStream.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process::{self, free_port, text};
use crate::program;

/// How long a server may take to answer, on a machine that is busy with other tests.
const START: Duration = Duration::from_mins(1);

/// A server of one's own, which can be killed, started again, and robbed of its memory.
pub struct Nats {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    keeper: Mutex<Option<Child>>,
}

impl Nats {
    /// Starts one; `None` where there is no NATS.
    pub async fn start() -> Option<Self> {
        let program = program::find("nats-server", "nats-server")?;
        // From here on the keeper removes it.
        let folder = process::folder(None).keep();
        let server = Self { program, folder, port: free_port(), keeper: Mutex::new(None) };
        server.resume().await;
        Some(server)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and the same files.
    pub async fn resume(&self) {
        let (port, store, pid) = (self.port.to_string(), self.store(), self.pid_file());
        let mut arguments = vec![text(&self.program), "-a", "127.0.0.1", "-p", &port];
        arguments.extend(["-js", "-sd", text(&store), "-P", text(&pid)]);
        let keeper = process::keep(&self.folder, None, &self.log(), &arguments);
        *self.keeper.lock().expect("no test panics in here") = Some(keeper);
        let ready = async {
            while !self.answers().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(START, ready).await.is_err() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            panic!("NATS does not answer: {log}");
        }
    }

    /// Kills the server, as a crash would. Its files stay.
    pub fn kill(&self) {
        process::signal("KILL", self.pid());
        if let Some(keeper) = self.keeper.lock().expect("no test panics in here").take() {
            process::leave_files(keeper);
        }
    }

    /// Stops the server in its tracks, until [`go_on`](Self::go_on).
    pub fn stop(&self) {
        process::signal("STOP", self.pid());
    }

    /// Undoes [`stop`](Self::stop).
    pub fn go_on(&self) {
        process::signal("CONT", self.pid());
    }

    /// Kills it, and starts one that remembers nothing.
    pub async fn wipe(&self) {
        self.kill();
        fs::remove_dir_all(self.store()).expect("it can be removed");
        self.resume().await;
    }

    /// Keeps a copy of its files, for [`go_back`](Self::go_back). Restarts it.
    pub async fn save(&self) {
        self.kill();
        copy(&self.store(), &self.saved());
        self.resume().await;
    }

    /// Kills it, and starts one that remembers what was [saved](Self::save).
    pub async fn go_back(&self) {
        self.kill();
        fs::remove_dir_all(self.store()).expect("it can be removed");
        copy(&self.saved(), &self.store());
        self.resume().await;
    }

    /// A server greets whoever connects.
    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).await.is_ok() && greeting == *b"INFO "
    }

    fn pid(&self) -> u32 {
        let text = fs::read_to_string(self.pid_file()).expect("it runs");
        text.trim().parse().expect("it is the id")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn saved(&self) -> PathBuf {
        self.folder.join("saved")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().map(Option::take);
        if let Ok(Some(keeper)) = keeper {
            process::end(keeper);
        }
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("port", &self.port).finish_non_exhaustive()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("it can be copied");
        }
    }
}
