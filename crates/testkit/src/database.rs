//! A database of a test's own.

use std::path::Path;

use tempfile::TempDir;

use crate::postgres;

/// A new database: a file, or one on the server that the tests of this process share.
#[derive(Debug)]
pub struct Database {
    url: String,
    folder: TempDir,
}

impl Database {
    /// As `TRELLIS_TEST_DATABASE` says: `sqlite`, which is the default, or `postgres`.
    /// `name` is that of the file.
    pub async fn chosen(name: &str) -> Self {
        if Self::is_postgres_chosen() {
            Self::postgres().await.expect("tests on Postgres need a Postgres")
        } else {
            Self::sqlite(name)
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, and no setting")]
    fn is_postgres_chosen() -> bool {
        match std::env::var("TRELLIS_TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => false,
            Ok("postgres") => true,
            Ok(other) => panic!("TRELLIS_TEST_DATABASE is sqlite or postgres, not {other}"),
        }
    }

    /// The URL of the database `name` of all that share `folder`, of the kind that
    /// [`chosen`](Self::chosen) has. Whoever asks again gets the same one.
    pub async fn in_folder(folder: &Path, name: &str) -> String {
        if !Self::is_postgres_chosen() {
            return format!("sqlite:{}", folder.join(format!("{name}.db")).display());
        }
        let server = postgres::shared().await.expect("tests on Postgres need a Postgres");
        let folder = folder.file_name().expect("a folder has a name").to_string_lossy();
        server.named(&format!("{folder}_{name}")).await
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

    /// What a service's setting `database` says.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL in it, beside everybody and without foreign keys in the way.
    pub async fn tamper(&self, sql: &str) {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let connection = rusqlite::Connection::open(path).expect("the file is there");
            connection.pragma_update(None, "foreign_keys", false).expect("a switch");
            connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        } else {
            let sql = format!("SET session_replication_role = replica; {sql}");
            postgres::execute(&self.url, &sql).await;
        }
    }

    /// All that is kept in it, byte by byte and in no order.
    pub async fn contents(&self) -> Vec<u8> {
        if self.url.starts_with("sqlite:") {
            let files = std::fs::read_dir(self.folder()).expect("the folder is there");
            let file = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry?.path());
            return files.flat_map(|entry| file(entry).expect("files can be read")).collect();
        }
        postgres::contents(&self.url).await
    }

    /// A folder that lives as long as this.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
