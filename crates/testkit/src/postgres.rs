//! Postgres servers.

mod replica;

use std::fmt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _, ValueRef as _};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::process::{self, Account, free_port, text};
use crate::program;

/// How long a server may take to answer, on a machine that is busy with other tests.
const START: Duration = Duration::from_mins(1);

/// What differs from a server in production is only what a crash of the whole machine
/// would need.
const SETTINGS: [&str; 8] = [
    "fsync=off",
    "full_page_writes=off",
    "wal_level=logical",
    "max_connections=400",
    "shared_buffers=64MB",
    "max_wal_size=256MB",
    "listen_addresses=127.0.0.1",
    "logging_collector=off",
];

/// A server of one's own, which can be killed and started again.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    account: Option<Account>,
    port: u16,
    keeper: Mutex<Option<Child>>,
}

/// The server that the tests of this process share; `None` where there is no Postgres.
pub async fn shared() -> Option<&'static Postgres> {
    static SHARED: OnceCell<Option<Postgres>> = OnceCell::const_new();
    SHARED.get_or_init(Postgres::start).await.as_ref()
}

impl Postgres {
    /// Starts one; `None` where there is no Postgres.
    pub async fn start() -> Option<Self> {
        let programs = program::find("postgres", "postgresql")?;
        let programs = programs.canonicalize().expect("it was found").parent()?.to_owned();
        let account = Account::unprivileged("postgres");
        // From here on the keeper removes it.
        let folder = process::folder(account).keep();
        let data = folder.join("data");
        let mut initdb = process::command(&programs.join("initdb"), account);
        // In an order of letters that is not that of bytes, as on most servers.
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]);
        initdb.args(["--locale=C", "--locale-provider=icu", "--icu-locale=en", "-D"]).arg(&data);
        let made = initdb.current_dir(&folder).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let server = Self::new(programs, folder, account);
        server.resume().await;
        Some(server)
    }

    fn new(programs: PathBuf, folder: PathBuf, account: Option<Account>) -> Self {
        Self { programs, folder, account, port: free_port(), keeper: Mutex::new(None) }
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and the same files.
    pub async fn resume(&self) {
        let program = self.programs.join("postgres");
        let (data, port) = (self.folder.join("data"), self.port.to_string());
        let sockets = format!("unix_socket_directories={}", self.folder.display());
        let mut arguments = vec![text(&program), "-D", text(&data), "-p", &port, "-c", &sockets];
        arguments.extend(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        let keeper = process::keep(&self.folder, self.account, &self.log(), &arguments);
        *self.keeper.lock().expect("no test panics in here") = Some(keeper);
        let ready = async {
            while options(&self.url("postgres")).connect().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(START, ready).await.is_err() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            panic!("Postgres does not answer: {log}");
        }
    }

    /// Kills the server with all its sessions, as a crash would. Its files stay.
    pub fn kill(&self) {
        self.family().into_iter().for_each(|pid| process::signal("KILL", pid));
        if let Some(keeper) = self.keeper.lock().expect("no test panics in here").take() {
            process::leave_files(keeper);
        }
    }

    /// Stops the server and its sessions in their tracks, until [`go_on`](Self::go_on).
    pub fn stop(&self) {
        self.family().into_iter().for_each(|pid| process::signal("STOP", pid));
    }

    /// Undoes [`stop`](Self::stop).
    pub fn go_on(&self) {
        self.family().into_iter().for_each(|pid| process::signal("CONT", pid));
    }

    /// Makes a new and empty database, and answers its URL.
    pub async fn database(&self) -> String {
        self.named(&format!("test_{}", Uuid::new_v4().simple())).await
    }

    /// The database of a name, which is made if it is not there; answers its URL.
    pub async fn named(&self, name: &str) -> String {
        let mut connection = connect(&self.url("postgres")).await;
        let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await
            .expect("databases have a list");
        if found.is_none() {
            let create = format!("CREATE DATABASE \"{name}\" TEMPLATE template0");
            let made = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await;
            made.expect("a database can be made");
        }
        self.url(name)
    }

    /// Copies a database, from which everybody is cut off.
    pub(crate) async fn copy(&self, from: &str, to: &str) {
        let mut connection = connect(&self.url("postgres")).await;
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(from)
            .execute(&mut connection)
            .await
            .expect("sessions can be ended");
        let copy = format!("CREATE DATABASE \"{to}\" TEMPLATE \"{from}\"");
        let copied = sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut connection).await;
        copied.expect("a database can be copied");
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Of the process that all its sessions hang on.
    fn pid(&self) -> u32 {
        let file = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("it runs");
        text.lines().next().and_then(|pid| pid.parse().ok()).expect("its first line is the id")
    }

    /// The server's process and those of its sessions.
    fn family(&self) -> Vec<u32> {
        let parent = self.pid();
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(children).expect("it runs");
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(parent).chain(children).collect()
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().map(Option::take);
        if let Ok(Some(keeper)) = keeper {
            process::end(keeper);
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Runs SQL in the database at `url`, beside everybody.
pub async fn execute(url: &str, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connect(url).await).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs one statement in the database at `url`, beside everybody.
pub(crate) async fn query(url: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let mut connection = connect(url).await;
    // Without parameters, a server answers with texts.
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
    let rows = rows.map_err(|error| error.to_string())?;
    Ok(rows.iter().map(|row| (0..row.len()).map(|column| cell(row, column)).collect()).collect())
}

fn cell(row: &PgRow, column: usize) -> Option<String> {
    let value = row.try_get_raw(column).expect("it has so many columns");
    (!value.is_null()).then(|| value.as_str().expect("it is a text").to_owned())
}

/// All rows of all tables.
pub(crate) async fn contents(url: &str) -> Vec<u8> {
    let mut connection = connect(url).await;
    let tables = "SELECT format('COPY %I TO STDOUT (FORMAT binary)', tablename)
                    FROM pg_tables
                   WHERE schemaname = 'public'";
    let copies: Vec<String> =
        sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("there are tables");
    let mut contents = Vec::new();
    for copy in copies {
        let mut rows = connection.copy_out_raw(&copy).await.expect("a table can be read");
        while let Some(bytes) = rows.try_next().await.expect("a table can be read") {
            contents.extend(bytes);
        }
    }
    contents
}

async fn connect(url: &str) -> PgConnection {
    options(url).connect().await.expect("the server answers")
}

fn options(url: &str) -> PgConnectOptions {
    url.parse().expect("it was made here")
}
