//! Peers, as a configuration names them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use http::Uri;
use http::uri::{Authority, Scheme};

use super::{Dns, Resolve, ResolveError, Resolved, Static};
use crate::net::Address;

/// `http://host:port`, where the host is a name or an address, or several of them
/// with commas in between. The addresses of all of them make the set.
#[derive(Debug)]
pub struct Target {
    text: Arc<str>,
    authority: Authority,
    parts: Vec<Part>,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not the address of a peer: {reason}. \
     Write it as `http://inventory:50051`, or as `http://10.0.0.1:50051,http://10.0.0.2:50051`"
)]
pub struct TargetError {
    pub text: String,
    pub reason: &'static str,
}

#[derive(Debug)]
struct Part {
    resolver: Box<dyn Resolve>,
    /// What it said when it last said something.
    last: Mutex<Vec<Address>>,
}

impl Target {
    /// What the peers are called in requests: the host and port of the first.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let parse = |part: &str| {
            parse(part.trim()).map_err(|reason| TargetError { text: part.to_owned(), reason })
        };
        let (authorities, parts): (Vec<_>, Vec<_>) =
            text.split(',').map(parse).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let authority = authorities.into_iter().next().expect("a split has a first part");
        Ok(Self { text: text.into(), authority, parts })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Resolve for Target {
    /// A part that cannot be resolved keeps its last addresses.
    fn resolve(&self) -> BoxFuture<'_, Result<Resolved, ResolveError>> {
        async move {
            let mut all = Resolved::default();
            for answer in join_all(self.parts.iter().map(Part::resolve)).await {
                all.addresses.extend(answer.addresses);
                all.refresh = [all.refresh, answer.refresh].into_iter().flatten().min();
                all.incomplete = all.incomplete.or(answer.incomplete);
            }
            match all.incomplete {
                Some(error) if all.addresses.is_empty() => Err(error),
                _ => Ok(all),
            }
        }
        .boxed()
    }
}

impl Part {
    fn new(resolver: impl Resolve + 'static) -> Self {
        Self { resolver: Box::new(resolver), last: Mutex::default() }
    }

    async fn resolve(&self) -> Resolved {
        let answer = self.resolver.resolve().await.and_then(|answer| {
            if answer.addresses.is_empty() { Err(ResolveError::Empty) } else { Ok(answer) }
        });
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(answer) => {
                last.clone_from(&answer.addresses);
                answer
            }
            Err(error) => {
                Resolved { addresses: last.clone(), incomplete: Some(error), ..Resolved::default() }
            }
        }
    }
}

fn parse(text: &str) -> Result<(Authority, Part), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => {}
        Some(scheme) if *scheme == Scheme::HTTPS => return Err("TLS is not spoken here"),
        _ => return Err("it does not begin with `http://`"),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err("it has a path");
    }
    let authority = uri.authority().ok_or("the host is missing")?;
    if authority.as_str().contains('@') {
        return Err("it has a user");
    }
    let port = match authority.port_u16() {
        None | Some(0) => return Err("it has no port from 1 to 65535"),
        Some(port) => port,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("the host is missing");
    }
    let peers = match host.parse::<IpAddr>() {
        Ok(ip) => Part::new(Static::new([SocketAddr::new(ip, port)])),
        Err(_) => Part::new(Dns::new(host, port)),
    };
    Ok((authority.clone(), peers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Answers(Mutex<Vec<Result<Resolved, ResolveError>>>);

    impl Resolve for Answers {
        fn resolve(&self) -> BoxFuture<'_, Result<Resolved, ResolveError>> {
            let answer = self.0.lock().unwrap().pop().expect("it is asked as often as it knows");
            std::future::ready(answer).boxed()
        }
    }

    fn reason(text: &str) -> &'static str {
        text.parse::<Target>().unwrap_err().reason
    }

    fn socket(text: &str) -> Address {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[tokio::test]
    async fn addresses_are_taken_as_they_are_and_joined() {
        let text = "http://10.0.0.1:50051, http://[fd00::1]:50052/,http://10.0.0.2:80";
        let target: Target = text.parse().unwrap();
        assert_eq!(target.authority(), "10.0.0.1:50051");
        assert_eq!(target.to_string(), text);

        let answer = target.resolve().await.unwrap();
        let expected = ["10.0.0.1:50051", "[fd00::1]:50052", "10.0.0.2:80"].map(socket);
        assert_eq!(answer.addresses, expected);
        assert_eq!((answer.refresh, answer.incomplete.is_none()), (None, true));
    }

    #[test]
    fn what_is_wrong_is_said_with_an_example() {
        for (text, expected) in [
            ("", "it is empty"),
            ("http://a:1,,http://b:1", "it is empty"),
            ("inventory:50051", "it does not begin with `http://`"),
            ("10.0.0.1", "it does not begin with `http://`"),
            ("grpc://inventory:50051", "it does not begin with `http://`"),
            ("https://inventory:50051", "TLS is not spoken here"),
            ("http://inventory", "it has no port from 1 to 65535"),
            ("http://inventory:0", "it has no port from 1 to 65535"),
            ("http://inventory:99999", "it has no port from 1 to 65535"),
            ("http://:50051", "the host is missing"),
            ("http://a b:50051", "it is not a URL"),
            ("http://me@inventory:50051", "it has a user"),
            ("http://inventory:50051/v1", "it has a path"),
            ("http://inventory:50051?zone=a", "it has a path"),
        ] {
            assert_eq!(reason(text), expected, "{text}");
        }
        let error = "http://a:1,http://b".parse::<Target>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`http://b` is not the address of a peer: it has no port from 1 to 65535. Write it as \
             `http://inventory:50051`, or as `http://10.0.0.1:50051,http://10.0.0.2:50051`"
        );
    }

    #[tokio::test]
    async fn a_part_that_fails_keeps_its_last_addresses_and_says_so() {
        let found = |text| Ok(Resolved { addresses: vec![socket(text)], ..Resolved::default() });
        let changing = Answers(Mutex::new(vec![
            found("10.0.0.3:1"),
            Ok(Resolved::default()),
            found("10.0.0.2:1"),
            Err(ResolveError::Empty),
        ]));
        let target = Target {
            text: "".into(),
            authority: Authority::from_static("a:1"),
            parts: vec![Part::new(Static::new([socket("10.0.0.1:1")])), Part::new(changing)],
        };
        let mut seen = Vec::new();
        for _ in 0..4 {
            let answer = target.resolve().await.unwrap();
            let last = answer.addresses.last().unwrap().socket.to_string();
            seen.push((answer.addresses.len(), last, answer.incomplete.is_some()));
        }
        let expected = [
            (1, "10.0.0.1:1", true),
            (2, "10.0.0.2:1", false),
            (2, "10.0.0.2:1", true),
            (2, "10.0.0.3:1", false),
        ];
        assert_eq!(seen, expected.map(|(count, last, failed)| (count, last.to_owned(), failed)));
    }
}
