//! Where a database is.

use std::{fmt, path::PathBuf, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use sqlx::postgres::PgConnectOptions;

/// Where a database is: `sqlite:PATH`, or a server as
/// `postgres://USER:PASSWORD@HOST:PORT/NAME`, or the servers of one cluster with
/// `HOST:PORT,HOST:PORT`, or several of these with spaces in between. The password is not
/// printed.
#[derive(Clone, Debug)]
pub enum Url {
    Sqlite(PathBuf),
    Postgres(PostgresUrl),
    /// Databases that share what is kept, each a part: [`crate::Shards`]. At least two.
    Shards(Vec<PostgresUrl>),
}

/// Says what libpq's URLs say; `sslmode` is `prefer` if the URL does not name one.
///
/// Several servers are a primary and its replicas, in any order: who is the primary is
/// found out by asking.
#[derive(Clone)]
pub struct PostgresUrl(SecretString);

/// Of how many servers a cluster may be.
const MAX_SERVERS: usize = 16;

/// A text that does not say where a database is. What it was is not repeated, as there
/// may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a database is given as sqlite:PATH or as postgres://USER:PASSWORD@HOST:PORT/NAME")]
pub struct UrlError;

impl Url {
    /// The path of an embedded database; a server has none.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) | Self::Shards(_) => None,
        }
    }

    /// Whether the password of any server is this one.
    pub fn has_password(&self, password: &str) -> bool {
        let password = format!(":{password}@");
        let has = |url: &PostgresUrl| url.0.expose_secret().contains(&password);
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => has(url),
            Self::Shards(urls) => urls.iter().any(has),
        }
    }
}

/// As it was given, but for user and password.
impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(formatter),
            Self::Shards(urls) => {
                let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
                formatter.write_str(&urls.join(" "))
            }
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(path.into()));
        }
        let urls: Result<Vec<PostgresUrl>, _> = text.split_whitespace().map(str::parse).collect();
        let mut urls = urls?;
        match urls.len() {
            0 => Err(UrlError),
            1 => Ok(Self::Postgres(urls.remove(0))),
            _ => Ok(Self::Shards(urls)),
        }
    }
}

impl FromStr for PostgresUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let is_postgres = ["postgres://", "postgresql://"].iter().any(|s| text.starts_with(s));
        match is_postgres.then(|| servers(text)).flatten() {
            Some(_) => Ok(Self(text.into())),
            None => Err(UrlError),
        }
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl PostgresUrl {
    /// Each of its servers; there is at least one.
    pub(crate) fn servers(&self) -> Vec<PgConnectOptions> {
        servers(self.0.expose_secret()).expect("it was parsed before")
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> String {
        self.servers()[0].get_database().unwrap_or_default().to_owned()
    }
}

/// Of a URL of libpq, that of each server. sqlx knows URLs of one.
fn servers(text: &str) -> Option<Vec<PgConnectOptions>> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let mut servers: Vec<PgConnectOptions> = Vec::new();
    for host in hosts.split(',') {
        let server: PgConnectOptions = format!("{scheme}://{user}{host}{path}").parse().ok()?;
        // Without a name it would be that of the user, which nobody means.
        let is_named = server.get_database().is_some_and(|name| !name.is_empty());
        let is_new = servers.iter().all(|known| place(known) != place(&server));
        let is_said = hosts == host || !host.is_empty();
        if !is_named || !is_new || !is_said || servers.len() == MAX_SERVERS {
            return None;
        }
        servers.push(server);
    }
    Some(servers)
}

/// `HOST:PORT`.
pub(crate) fn place(server: &PgConnectOptions) -> String {
    format!("{}:{}", server.get_host(), server.get_port())
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Without user and password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.servers().iter().map(place).collect();
        write!(formatter, "postgres://{}/{}", places.join(","), self.database())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_file_or_a_server() {
        let file: Url = "sqlite:data/order.db".parse().unwrap();
        assert_eq!(file.path(), Some("data/order.db".as_ref()));
        let server: Url = "postgres://shop:hunter2@db.example:5433/orders".parse().unwrap();
        assert_eq!(server.path(), None);
        assert_eq!(format!("{server:?}"), "Postgres(postgres://db.example:5433/orders)");
    }

    #[test]
    fn several_servers_are_shards_in_their_order() {
        let text = "postgres://shop:hunter2@a/orders\n postgres://shop:hunter2@b/orders ";
        let shards: Url = text.parse().unwrap();
        assert_eq!(shards.to_string(), "postgres://a:5432/orders postgres://b:5432/orders");
        assert!("postgres://a/orders sqlite:orders.db".parse::<Url>().is_err());
    }

    #[test]
    fn a_cluster_has_several_servers_and_all_else_in_common() {
        let text =
            "postgres://shop:hunter2@db1.example,db2.example:5433,[::1]:7/orders?sslmode=require";
        let Ok(Url::Postgres(url)) = text.parse() else { panic!("{text}") };

        assert_eq!(url.to_string(), "postgres://db1.example:5432,db2.example:5433,[::1]:7/orders");
        for server in url.servers() {
            assert_eq!(server.get_username(), "shop");
            assert!(matches!(server.get_ssl_mode(), sqlx::postgres::PgSslMode::Require));
        }
    }

    #[test]
    fn what_is_neither_is_refused_without_being_repeated() {
        for text in [
            "",
            "sqlite:",
            "order.db",
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:x/d",
            "postgres://u:hunter2@h",
            "postgres://u:hunter2@h,/d",
            "postgres://u:hunter2@h,h:5432/d",
            "postgres://u:hunter2@h,i?host=j/d",
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{text}");
        }
    }
}
