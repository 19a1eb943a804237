//! Redis servers.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process::{self, free_port, text};
use crate::program;

/// How long a server may take to answer, on a machine that is busy with other tests.
const START: Duration = Duration::from_mins(1);

/// A server of one's own, in memory alone, which can be killed, started again, stopped in
/// its tracks, and robbed of its memory.
pub struct Redis {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    password: Option<&'static str>,
    keeper: Mutex<Option<Child>>,
}

impl Redis {
    /// Starts one; `None` where there is no Redis.
    pub async fn start() -> Option<Self> {
        Self::begin(None).await
    }

    /// Starts one that wants a password.
    pub async fn start_with_password(password: &'static str) -> Option<Self> {
        Self::begin(Some(password)).await
    }

    async fn begin(password: Option<&'static str>) -> Option<Self> {
        let program = program::find("redis-server", "redis-server")?;
        // From here on the keeper removes it.
        let folder = process::folder(None).keep();
        let keeper = Mutex::new(None);
        let server = Self { program, folder, port: free_port(), password, keeper };
        server.resume().await;
        Some(server)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        let login = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{}", self.port)
    }

    /// Starts it again after [`kill`](Self::kill), on the same port. It remembers nothing.
    pub async fn resume(&self) {
        let (port, pid) = (self.port.to_string(), self.pid_file());
        let mut arguments = vec![text(&self.program), "--bind", "127.0.0.1", "--port", &port];
        arguments.extend(["--save", "", "--appendonly", "no", "--pidfile", text(&pid)]);
        arguments.extend(self.password.iter().flat_map(|password| ["--requirepass", password]));
        let keeper = process::keep(&self.folder, None, &self.log(), &arguments);
        *self.keeper.lock().expect("no test panics in here") = Some(keeper);
        let ready = async {
            while !self.answers().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(START, ready).await.is_err() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            panic!("Redis does not answer: {log}");
        }
    }

    /// Kills the server, as a crash would, and all that it knew is gone.
    pub fn kill(&self) {
        process::signal("KILL", self.pid());
        if let Some(keeper) = self.keeper.lock().expect("no test panics in here").take() {
            process::leave_files(keeper);
        }
    }

    /// Stops the server in its tracks, until [`go_on`](Self::go_on). Connections stand, and
    /// new ones are accepted by the kernel, but nobody answers.
    pub fn stop(&self) {
        process::signal("STOP", self.pid());
    }

    /// Undoes [`stop`](Self::stop).
    pub fn go_on(&self) {
        process::signal("CONT", self.pid());
    }

    /// Has it forget everything.
    pub async fn flush(&self) {
        let reply = self.tell("FLUSHALL").await.expect("it answers");
        assert!(reply.starts_with("+OK"), "{reply}");
    }

    async fn answers(&self) -> bool {
        self.tell("PING").await.is_some_and(|reply| reply.starts_with("+PONG"))
    }

    /// The first line of what it says to a command that is a word.
    async fn tell(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        if let Some(password) = self.password {
            stream.write_all(format!("AUTH {password}\r\n").as_bytes()).await.ok()?;
            read_line(&mut stream).await.filter(|reply| reply.starts_with("+OK"))?;
        }
        stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        read_line(&mut stream).await
    }

    fn pid(&self) -> u32 {
        let text = fs::read_to_string(self.pid_file()).expect("it runs");
        text.trim().parse().expect("it is the id")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().map(Option::take);
        if let Ok(Some(keeper)) = keeper {
            // One that was stopped could not be told to end.
            self.go_on();
            process::end(keeper);
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("port", &self.port).finish_non_exhaustive()
    }
}

async fn read_line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(line).ok()
}
