//! A database of a test's own.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::postgres;

/// The services whose records can be spread over several databases.
const SHARDED: [&str; 2] = ["user", "order"];

const NEEDED: &str = "tests on Postgres need a Postgres";

/// A new database: a file, or one on the server that the tests of this process share.
#[derive(Debug)]
pub struct Database {
    url: String,
    folder: TempDir,
}

impl Database {
    /// As `TRELLIS_TEST_DATABASE` says: `sqlite`, which is the default, `postgres`, or
    /// `shards`, where what can be spread over databases is. `name` is that of the file.
    pub async fn chosen(name: &str) -> Self {
        match chosen() {
            Chosen::Sqlite => Self::sqlite(name),
            Chosen::Shards if SHARDED.contains(&name) => Self::shards().await.expect(NEEDED),
            Chosen::Postgres | Chosen::Shards => Self::postgres().await.expect(NEEDED),
        }
    }

    /// As [`in_folder`](Self::in_folder), for whoever cannot wait otherwise.
    pub fn in_folder_now(folder: &Path, name: &str) -> String {
        now(Self::in_folder(folder, name))
    }

    /// Copies the databases `names` of all that share a folder to another one. On Postgres,
    /// whoever is connected to them is cut off.
    pub fn copy_now(from: &Path, to: &Path, names: &[&str]) {
        if !Self::is_postgres_chosen() {
            return names.iter().for_each(|name| copy_file(from, to, name));
        }
        now(async {
            let server = postgres::shared().await.expect(NEEDED);
            for name in names {
                for (from, to) in named_in(from, name).iter().zip(named_in(to, name)) {
                    server.copy(from, &to).await;
                }
            }
        });
    }

    /// Copies the file `NAME.db` with its log, whatever is chosen.
    pub fn copy_file_now(from: &Path, to: &Path, name: &str) {
        copy_file(from, to, name);
    }

    /// Whether `TRELLIS_TEST_DATABASE` asks for Postgres.
    pub fn is_postgres_chosen() -> bool {
        chosen() != Chosen::Sqlite
    }

    /// The URL of the database `name` of all that share `folder`, of the kind that
    /// [`chosen`](Self::chosen) has. Whoever asks again gets the same one.
    pub async fn in_folder(folder: &Path, name: &str) -> String {
        if !Self::is_postgres_chosen() {
            return format!("sqlite:{}", folder.join(format!("{name}.db")).display());
        }
        let server = postgres::shared().await.expect(NEEDED);
        let mut urls = Vec::new();
        for name in named_in(folder, name) {
            urls.push(server.named(&name).await);
        }
        urls.join(" ")
    }

    /// The file `NAME.db` in a folder of its own.
    pub fn sqlite(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join(format!("{name}.db")).display());
        Self { url, folder }
    }

    /// `None` where there is no Postgres.
    pub async fn postgres() -> Option<Self> {
        let url = postgres::shared().await?.database().await;
        Some(Self { url, folder: tempfile::tempdir().expect("a folder") })
    }

    /// Two that share what is kept. `None` where there is no Postgres.
    pub async fn shards() -> Option<Self> {
        let server = postgres::shared().await?;
        let url = format!("{} {}", server.database().await, server.database().await);
        Some(Self { url, folder: tempfile::tempdir().expect("a folder") })
    }

    /// What a service's setting `database` says.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL in it, or in each of its shards, beside everybody and without foreign keys in
    /// the way.
    pub async fn tamper(&self, sql: &str) {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let connection = Connection::open(path).expect("the file is there");
            connection.pragma_update(None, "foreign_keys", false).expect("a switch");
            connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        } else {
            let sql = format!("SET session_replication_role = replica; {sql}");
            for url in self.url.split_whitespace() {
                postgres::execute(url, &sql).await;
            }
        }
    }

    /// Runs one statement in it, or in each of its shards, beside everybody. The rows are
    /// what it finds, as texts; an error is what the database says.
    pub async fn query(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        query_at(&self.url, sql).await
    }

    /// As [`query`](Self::query), of the database at a URL, for whoever cannot wait otherwise.
    pub fn query_now(url: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        now(query_at(url, sql))
    }

    /// All that is kept in it, byte by byte and in no order.
    pub async fn contents(&self) -> Vec<u8> {
        if self.url.starts_with("sqlite:") {
            let files = std::fs::read_dir(self.folder()).expect("the folder is there");
            let file = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry?.path());
            return files.flat_map(|entry| file(entry).expect("files can be read")).collect();
        }
        let mut contents = Vec::new();
        for url in self.url.split_whitespace() {
            contents.extend(postgres::contents(url).await);
        }
        contents
    }

    /// A folder that lives as long as this.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

async fn query_at(url: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let Some(path) = url.strip_prefix("sqlite:") else {
        let mut rows = Vec::new();
        for url in url.split_whitespace() {
            rows.extend(postgres::query(url, sql).await?);
        }
        return Ok(rows);
    };
    let connection = Connection::open(path).expect("the file is there");
    query(&connection, sql).map_err(|error| error.to_string())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chosen {
    Sqlite,
    Postgres,
    Shards,
}

#[expect(clippy::disallowed_methods, reason = "a switch of the tests, and no setting")]
fn chosen() -> Chosen {
    match std::env::var("TRELLIS_TEST_DATABASE").as_deref() {
        Err(_) | Ok("sqlite") => Chosen::Sqlite,
        Ok("postgres") => Chosen::Postgres,
        Ok("shards") => Chosen::Shards,
        Ok(other) => panic!("TRELLIS_TEST_DATABASE is sqlite, postgres or shards, not {other}"),
    }
}

/// The databases of a service: two where they are shards.
fn named_in(folder: &Path, name: &str) -> Vec<String> {
    // Names of databases are short.
    let folder = folder.canonicalize().expect("the folder is there");
    let folder = folder.components().next_back().expect("it is not the root").as_os_str();
    let name = format!("{}_{name}", folder.to_string_lossy());
    let is_sharded =
        chosen() == Chosen::Shards && SHARDED.iter().any(|service| name.ends_with(service));
    if is_sharded { vec![name.clone(), format!("{name}_1")] } else { vec![name] }
}

/// The log comes first: whatever moves from it to the database meanwhile is then in both
/// copies or in the database alone, which is the same to SQLite.
fn copy_file(from: &Path, to: &Path, name: &str) {
    for file in [format!("{name}.db-wal"), format!("{name}.db")] {
        match std::fs::copy(from.join(&file), to.join(&file)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => _ = copied.expect("files can be copied"),
        }
    }
}

/// Waits for `work` on a thread of its own, whatever this one is doing.
fn now<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let runtime = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().expect("a runtime").block_on(work)
        };
        scope.spawn(runtime).join().expect("it does not panic")
    })
}

fn query(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<Vec<Option<String>>>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let cells = |row: &rusqlite::Row<'_>| (0..columns).map(|column| cell(row, column)).collect();
    statement.query_map([], cells)?.collect()
}

fn cell(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get(column)? {
        Value::Null => None,
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Blob(bytes) => Some(format!("{bytes:02x?}")),
    })
}
