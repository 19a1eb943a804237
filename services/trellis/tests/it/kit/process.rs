//! One `trellis` process.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A process that answers calls. Dropping it kills it.
pub(crate) struct Process {
    pub(crate) roles: Vec<&'static str>,
    /// Where it answers; kept when it is started again.
    pub(crate) address: String,
    pub(crate) admin: String,
    command: Command,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// The command for a process on free ports.
    pub(crate) fn command(roles: &[&str], folder: &Path) -> Command {
        let mut command = super::trellis(folder, roles);
        command
            .env("TRELLIS_LISTEN", "127.0.0.1:0")
            .env("TRELLIS_ADMIN_LISTEN", "127.0.0.1:0")
            .env("TRELLIS_LEAVE_SECONDS", "0")
            // Hashing at full cost would be most of what the tests do.
            .env("TRELLIS_USER_PASSWORD_MEMORY_KIB", "64")
            .env("TRELLIS_USER_PASSWORD_ITERATIONS", "1");
        command
    }

    /// Runs it, and waits until it says that it is ready.
    pub(crate) fn start(mut command: Command, roles: &[&'static str], folder: &Path) -> Self {
        let name = if roles.is_empty() { "trellis".to_owned() } else { roles.join("-") };
        let log = folder.join(format!("{name}.log"));
        let (child, address, admin) = spawn(&mut command, &log);
        command.env("TRELLIS_LISTEN", &address).env("TRELLIS_ADMIN_LISTEN", &admin);
        Self { roles: roles.to_vec(), address, admin, command, child, log }
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Runs it again where it was.
    pub(crate) fn restart(&mut self) {
        (self.child, _, _) = spawn(&mut self.command, &self.log);
    }

    /// Runs it again as `set` changes it.
    pub(crate) fn restart_with(&mut self, set: impl FnOnce(&mut Command)) {
        set(&mut self.command);
        self.restart();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }

    /// Makes a black hole of it: it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks or commands the breakers and the chaos in it.
    pub(crate) async fn debug(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.ask(method, &format!("/debug/resilience{path}"), body).await;
        serde_json::from_slice(&answer).unwrap()
    }

    /// What it has counted, as Prometheus reads it.
    pub(crate) async fn metrics(&self) -> String {
        String::from_utf8(self.ask("GET", "/metrics", "").await.into()).unwrap()
    }

    /// Asks its admin port.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Bytes {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.admin))
            .body(Full::new(Bytes::from(body.to_owned())));
        let response = client.request(request.unwrap()).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{status}: {answer:?}");
        answer
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the process and reads its addresses from what it says when it is ready.
fn spawn(command: &mut Command, log: &Path) -> (Child, String, String) {
    let log_file = File::options().append(true).create(true).open(log).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(log_file).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut address, mut admin) = (None, None);
    while address.is_none() || admin.is_none() {
        let Some(Ok(line)) = lines.next() else {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("the process ended before it was ready: {log}");
        };
        for word in line.split([' ', ',']) {
            let (place, url) = match word.strip_prefix("http://") {
                Some(rest) => (rest, true),
                None => (word, false),
            };
            match place.strip_suffix("/readyz") {
                Some(place) => admin = Some(place.to_owned()),
                None if place.starts_with("127.0.0.1:") && (url || line.starts_with("ready")) => {
                    address.get_or_insert_with(|| place.to_owned());
                }
                None => {}
            }
        }
    }
    // The rest of what it says must be read, or a full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address.unwrap(), admin.unwrap())
}
