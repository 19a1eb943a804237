//! Processes that end with this one.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Runs a program until its standard input ends, as it does when whoever started it is
/// gone, however that came. Then the program is told to end, and its folder is removed.
/// QUIT is the quick way to end for a Postgres; Redis listens to TERM alone, as a shell
/// starts programs so that they ignore QUIT if they have no use for it. One that was stopped
/// hears nothing before it goes on.
const KEEPER: &str = r#"
folder=$1
shift
"$@" </dev/null &
child=$!
read -r answer
kill -QUIT "$child" 2>/dev/null
kill -TERM "$child" 2>/dev/null
kill -CONT "$child" 2>/dev/null
wait "$child" 2>/dev/null
[ "$answer" = keep ] || rm -rf "$folder"
"#;

/// Who runs servers: some refuse to be run by root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// `name`'s if this is root, who may become anybody; `None` for whoever this is.
    pub(crate) fn unprivileged(name: &str) -> Option<Self> {
        let me = fs::metadata("/proc/self").expect("Linux has a /proc").uid();
        (me == 0).then(|| Self::of(name).or_else(|| Self::of("nobody")).expect("nobody exists"))
    }

    fn of(name: &str) -> Option<Self> {
        let accounts = fs::read_to_string("/etc/passwd").ok()?;
        let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let account = fields.into_iter().find(|fields| fields[0] == name)?;
        Some(Self { user: account[2].parse().ok()?, group: account[3].parse().ok()? })
    }
}

/// A folder that belongs to `account`.
pub(crate) fn folder(account: Option<Account>) -> TempDir {
    let folder = tempfile::Builder::new().prefix("trellis-server-").tempdir().expect("a folder");
    if let Some(Account { user, group }) = account {
        chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
    }
    folder
}

/// `program`, run by `account`.
pub(crate) fn command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    if let Some(Account { user, group }) = account {
        // This drops the other groups of root, too.
        command.uid(user).gid(group);
    }
    command
}

/// Starts `arguments`, which end with the returned process' standard input, and the
/// folder with them.
pub(crate) fn keep(
    folder: &Path,
    account: Option<Account>,
    log: &Path,
    arguments: &[&str],
) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
    command(Path::new("/bin/sh"), account)
        .args(["-c", KEEPER, "keeper"])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .current_dir(folder)
        .spawn()
        .expect("sh runs")
}

/// Sends a signal, such as `KILL` or `STOP`, to a process, if it is still there.
pub(crate) fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).output();
    sent.expect("kill runs");
}

/// Ends a keeper whose program is dead, without its folder.
pub(crate) fn leave_files(mut keeper: Child) {
    keeper.stdin.take().expect("it is piped").write_all(b"keep\n").expect("it listens");
    keeper.wait().expect("it ends");
}

/// Ends a keeper with its program and its folder.
pub(crate) fn end(mut keeper: Child) {
    drop(keeper.stdin.take());
    let _ = keeper.wait();
}

/// One that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are texts")
}
