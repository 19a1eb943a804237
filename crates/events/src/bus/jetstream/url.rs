//! Where NATS is.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

/// One or more servers of one cluster, as `nats://USER:PASSWORD@HOST:PORT` (`tls://` for an
/// encrypted connection) with commas in between. A user without a password is a token. What
/// is before the `@` is not printed, and that of the first server is used for all.
#[derive(Clone)]
pub struct NatsUrl(SecretString);

/// A text that does not say where NATS is. What it was is not repeated, as there may be a
/// password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "NATS is given as nats://USER:PASSWORD@HOST:PORT or tls://…, several with commas in between"
)]
pub struct NatsUrlError;

/// How one says who one is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Login {
    Nobody,
    Token(String),
    User(String, String),
}

impl NatsUrl {
    /// Whether the password of any server is this one.
    pub fn has_password(&self, password: &str) -> bool {
        self.0.expose_secret().contains(&format!(":{password}@"))
    }

    pub(super) fn servers(&self) -> Vec<ServerAddr> {
        parse(self.0.expose_secret()).expect("it was parsed before")
    }

    pub(super) fn login(&self) -> Login {
        let servers = self.servers();
        let first = servers.first().expect("it was parsed before");
        match (first.username(), first.password()) {
            (None, _) => Login::Nobody,
            (Some(token), None) => Login::Token(decoded(token)),
            (Some(user), Some(password)) => Login::User(decoded(user), decoded(password)),
        }
    }
}

impl FromStr for NatsUrl {
    type Err = NatsUrlError;

    fn from_str(text: &str) -> Result<Self, NatsUrlError> {
        parse(text).ok_or(NatsUrlError)?;
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for NatsUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Without user and password.
impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.servers().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}://{}:{}", server.scheme(), server.host(), server.port())?;
        }
        Ok(())
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse(text: &str) -> Option<Vec<ServerAddr>> {
    text.split(',').map(server).collect()
}

fn server(text: &str) -> Option<ServerAddr> {
    if !["nats://", "tls://"].iter().any(|scheme| text.starts_with(scheme)) {
        return None;
    }
    text.parse().ok().filter(|server: &ServerAddr| !server.host().is_empty())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> NatsUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_read_but_not_printed() {
        let url = url("nats://shop:hunter%402@one.example:4223,tls://two.example");
        assert_eq!(url.login(), Login::User("shop".to_owned(), "hunter@2".to_owned()));
        assert_eq!(format!("{url:?}"), "nats://one.example:4223,tls://two.example:4222");
    }

    #[test]
    fn a_user_without_a_password_is_a_token() {
        assert_eq!(url("nats://s3cret@host").login(), Login::Token("s3cret".to_owned()));
        assert_eq!(url("nats://host").login(), Login::Nobody);
    }

    #[test]
    fn what_is_no_server_is_refused_without_being_repeated() {
        for text in
            ["", "host:4222", "http://u:hunter2@h", "nats://", "nats://h,", "nats://u:hunter2@h:x"]
        {
            let error = text.parse::<NatsUrl>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{text}");
        }
    }
}
