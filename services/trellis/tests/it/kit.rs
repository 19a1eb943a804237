//! Starts shops for tests: real processes on free ports, each on a folder of its own.

mod bottleneck;
mod caller;
pub(crate) mod load;
mod process;
mod replicated;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use trellis_testkit::Database;

pub(crate) use bottleneck::Bottleneck;
pub(crate) use caller::{Customer, as_admin, purchase, request_id};
pub(crate) use process::Process;
pub(crate) use replicated::Replicated;

/// How the services are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    OneProcess,
    /// Several services behind one listener, and several beside the gateway.
    TwoProcesses,
    Fleet,
}

/// A running shop. It ends with the test, whatever happens.
pub(crate) struct Shop {
    pub(crate) processes: Vec<Process>,
    folder: TempDir,
}

/// The services that keep records.
pub(crate) const KEEPERS: [&str; 5] = ["user", "inventory", "payment", "order", "recommendation"];

const ADMIN_TOKEN: &str = "test-admin-token";

impl Shop {
    /// Starts a shop with the sample catalogue.
    pub(crate) fn start(topology: Topology) -> Self {
        Self::start_with(topology, |_| {})
    }

    /// Starts a shop; `set` can set more.
    pub(crate) fn start_with(topology: Topology, set: impl Fn(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut processes: Vec<Process> = Vec::new();
        let groups: &[&[&str]] = match topology {
            Topology::OneProcess => &[&[]],
            Topology::TwoProcesses => {
                &[&["inventory", "payment", "recommendation"], &["order", "user", "gateway"]]
            }
            // Each after all that it calls.
            Topology::Fleet => &[
                &["inventory"],
                &["payment"],
                &["recommendation"],
                &["order"],
                &["user"],
                &["gateway"],
            ],
        };
        for roles in groups {
            let mut command = Process::command(roles, folder.path());
            command.env("TRELLIS_ADMIN_TOKEN", ADMIN_TOKEN);
            for peer in &processes {
                for role in &peer.roles {
                    let variable = format!("TRELLIS_PEERS_{}", role.to_uppercase());
                    command.env(variable, format!("http://{}", peer.address));
                }
            }
            set(&mut command);
            processes.push(Process::start(command, roles, folder.path()));
        }
        Self { processes, folder }
    }

    /// The process that answers customers.
    pub(crate) fn gateway(&self) -> &Process {
        self.processes.last().unwrap()
    }

    /// The process that runs this role alone.
    pub(crate) fn process(&mut self, role: &str) -> &mut Process {
        let mut processes = self.processes.iter_mut();
        processes.find(|process| process.roles == [role]).expect("it is a fleet")
    }

    /// Where customers call.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.gateway().address)
    }

    /// Where the records are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a `trellis` command against this shop, to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        trellis(self.folder.path(), arguments).output().unwrap()
    }

    /// Stops every process in good order, those that call first.
    pub(crate) fn stop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let status = process.stop();
            assert!(status.success(), "{:?} ended with {status}: {}", process.roles, process.log());
        }
    }

    /// Reads every database, and fails on any violation. The shop must be stopped.
    pub(crate) fn assert_audit_is_clean(&self) {
        let audit = self.run(&["audit"]);
        let report = String::from_utf8_lossy(&audit.stdout);
        let errors = String::from_utf8_lossy(&audit.stderr);
        assert!(audit.status.success(), "{report}\n{errors}");
    }
}

/// A `trellis` command on a data directory.
pub(crate) fn trellis(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trellis"));
    command
        .current_dir(folder)
        .env("TRELLIS_DATA_DIR", data(folder))
        .env("TRELLIS_ADMIN_TOKEN", ADMIN_TOKEN)
        .args(arguments);
    if !keeps_files() {
        for role in KEEPERS {
            let variable = format!("TRELLIS_{}_DATABASE", role.to_uppercase());
            command.env(variable, database(folder, role));
        }
    }
    command
}

/// Where the service of a role keeps its records, in a shop on `folder`.
pub(crate) fn database(folder: &Path, role: &str) -> String {
    let folder = if keeps_files() { data(folder) } else { folder.to_owned() };
    Database::in_folder_now(&folder, role)
}

/// Whether this run keeps its records in files. A test that is about files says so by
/// asking, and is none of a run on Postgres.
pub(crate) fn keeps_files() -> bool {
    !Database::is_postgres_chosen()
}

/// Runs `command` through a shell script that ends in `exec "$@"`.
pub(crate) fn wrap(command: &mut Command, script: &str) {
    let mut wrapped = Command::new("sh");
    wrapped.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    *command = wrapped;
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
