//! Where a database is.

use std::{fmt, path::PathBuf, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// Where a database is: `sqlite:PATH`, or a server as
/// `postgres://USER:PASSWORD@HOST:PORT/NAME`, or several servers with spaces in between.
/// The password is not printed.
#[derive(Clone, Debug)]
pub enum Url {
    Sqlite(PathBuf),
    Postgres(PostgresUrl),
    /// Databases that share what is kept, each a part: [`crate::Shards`]. At least two.
    Shards(Vec<PostgresUrl>),
}

/// Says what libpq's URLs say; `sslmode` is `prefer` if the URL does not name one.
#[derive(Clone)]
pub struct PostgresUrl(SecretString);

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
        let options: Option<sqlx::postgres::PgConnectOptions> =
            is_postgres.then(|| text.parse().ok()).flatten();
        // Without a name it would be that of the user, which nobody means.
        match options.and_then(|options| options.get_database().map(str::len)) {
            Some(1..) => Ok(Self(text.into())),
            _ => Err(UrlError),
        }
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl PostgresUrl {
    pub(crate) fn options(&self) -> sqlx::postgres::PgConnectOptions {
        self.0.expose_secret().parse().expect("it was parsed before")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Without user and password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.options();
        let (host, port) = (options.get_host(), options.get_port());
        let name = options.get_database().unwrap_or_default();
        write!(formatter, "postgres://{host}:{port}/{name}")
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
    fn what_is_neither_is_refused_without_being_repeated() {
        for text in [
            "",
            "sqlite:",
            "order.db",
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:x/d",
            "postgres://u:hunter2@h",
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{text}");
        }
    }
}
