//! NATS servers with JetStream.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::process::text;
use crate::program;
use crate::server::Server;

/// A server of one's own, which can be killed, started again, and robbed of its memory.
pub struct Nats(Server);

impl Nats {
    /// Starts one; `None` where there is no NATS.
    pub async fn start() -> Option<Self> {
        let program = program::find("nats-server", "nats-server")?;
        let server = Self(Server::new(program));
        server.resume().await;
        Some(server)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.0.port())
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and the same files.
    pub async fn resume(&self) {
        let (port, store, pid) = (self.0.port().to_string(), self.store(), self.0.pid_file());
        let arguments =
            ["-a", "127.0.0.1", "-p", &port, "-js", "-sd", text(&store), "-P", text(&pid)];
        self.0.run(&arguments, async || self.answers().await).await;
    }

    /// Kills the server, as a crash would. Its files stay.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// Stops the server in its tracks, until [`go_on`](Self::go_on).
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Undoes [`stop`](Self::stop).
    pub fn go_on(&self) {
        self.0.go_on();
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
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.0.port())).await else {
            return false;
        };
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).await.is_ok() && greeting == *b"INFO "
    }

    fn store(&self) -> PathBuf {
        self.0.folder().join("store")
    }

    fn saved(&self) -> PathBuf {
        self.0.folder().join("saved")
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("port", &self.0.port()).finish_non_exhaustive()
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
