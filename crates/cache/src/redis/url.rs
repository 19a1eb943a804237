//! Where Redis is.

use std::fmt;
use std::str::FromStr;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

/// A server, as `redis://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]`. User and password are not
/// printed.
#[derive(Clone)]
pub struct RedisUrl(SecretString);

/// A text that does not say where Redis is. What it was is not repeated, as there may be a
/// password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis is given as redis://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]")]
pub struct RedisUrlError;

impl RedisUrl {
    /// Whether this is the password.
    pub fn has_password(&self, password: &str) -> bool {
        self.0.expose_secret().contains(&format!(":{password}@"))
    }

    pub(super) fn info(&self) -> ConnectionInfo {
        parse(self.0.expose_secret()).expect("it was parsed before")
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        parse(text).ok_or(RedisUrlError)?;
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for RedisUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        write!(f, "redis://{}/{}", info.addr(), info.redis_settings().db())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse(text: &str) -> Option<ConnectionInfo> {
    // Commands are small: one that waits for more to send with it waits for nothing.
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = text.strip_prefix("redis://").and(text.into_connection_info().ok())?;
    let is_server = matches!(info.addr(), ConnectionAddr::Tcp(host, _) if !host.is_empty());
    is_server.then(|| info.set_tcp_settings(tcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_but_not_printed() {
        let url: RedisUrl = "redis://:hunter2@cache.example:6380/3".parse().unwrap();
        assert_eq!(url.info().redis_settings().password(), Some("hunter2"));
        assert_eq!(format!("{url:?}"), "redis://cache.example:6380/3");
        assert!(url.has_password("hunter2") && !url.has_password("hunter"));
    }

    #[test]
    fn port_and_database_have_defaults() {
        let url: RedisUrl = "redis://cache".parse().unwrap();
        assert_eq!(url.to_string(), "redis://cache:6379/0");
    }

    #[test]
    fn what_is_no_server_is_refused_without_being_repeated() {
        for text in ["", "cache:6379", "http://:hunter2@h", "redis://", "redis://:hunter2@h/x"] {
            let error = text.parse::<RedisUrl>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{text}");
        }
    }
}
