//! Where an attempt to sign in comes from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// One customer's network: an IPv4 address, or the /64 that IPv6 gives to one line.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

/// A text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address, with or without a port")]
pub struct ParseOriginError;

impl FromStr for Origin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        let address = text
            .parse::<IpAddr>()
            .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
            .map_err(|_| ParseOriginError)?;
        Ok(Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(network).into()
            }
        }))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_or_another_notation_is_the_same_origin() {
        let origin: Origin = "203.0.113.7".parse().unwrap();

        assert!(origin == "203.0.113.7:4711".parse().unwrap());
        assert!(origin == "::ffff:203.0.113.7".parse().unwrap());
        assert!(origin != "203.0.113.8".parse().unwrap());
    }

    #[test]
    fn one_line_of_ipv6_is_one_origin() {
        let origin: Origin = "2001:db8:0:1::1".parse().unwrap();

        assert!(origin == "[2001:db8:0:1:ffff::2]:443".parse().unwrap());
        assert!(origin != "2001:db8:0:2::1".parse().unwrap());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost", "203.0.113", "203.0.113.7:", "unknown"] {
            assert!(text.parse::<Origin>().is_err(), "{text:?}");
        }
    }
}
