//! Redis servers.

use std::fmt;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::text;
use crate::program;
use crate::server::Server;

/// A server of one's own, in memory alone, which can be killed, started again, stopped in
/// its tracks, and robbed of its memory.
pub struct Redis {
    server: Server,
    password: Option<&'static str>,
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
        let server = Self { server: Server::new(program), password };
        server.resume().await;
        Some(server)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        let login = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{}", self.server.port())
    }

    /// Starts it again after [`kill`](Self::kill), on the same port. It remembers nothing.
    pub async fn resume(&self) {
        let (port, pid) = (self.server.port().to_string(), self.server.pid_file());
        let mut arguments = vec!["--bind", "127.0.0.1", "--port", &port, "--pidfile", text(&pid)];
        arguments.extend(["--save", "", "--appendonly", "no"]);
        arguments.extend(self.password.iter().flat_map(|password| ["--requirepass", password]));
        self.server.run(&arguments, async || self.answers().await).await;
    }

    /// Kills the server, as a crash would, and all that it knew is gone.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Stops the server in its tracks, until [`go_on`](Self::go_on). Connections stand, and
    /// new ones are accepted by the kernel, but nobody answers.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Undoes [`stop`](Self::stop).
    pub fn go_on(&self) {
        self.server.go_on();
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
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.port())).await.ok()?;
        if let Some(password) = self.password {
            stream.write_all(format!("AUTH {password}\r\n").as_bytes()).await.ok()?;
            read_line(&mut stream).await.filter(|reply| reply.starts_with("+OK"))?;
        }
        stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        read_line(&mut stream).await
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("port", &self.server.port()).finish_non_exhaustive()
    }
}

async fn read_line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(line).ok()
}
