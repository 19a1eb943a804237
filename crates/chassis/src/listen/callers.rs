//! How many connections each address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;

/// Counts connections by the address that they come from.
#[derive(Debug)]
pub(super) struct Callers {
    most: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A counted connection; one that is not counted has no address.
#[derive(Debug)]
pub(super) struct Seat {
    address: Option<IpAddr>,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Callers {
    /// At most so many connections for one address; zero for no limit.
    pub(super) fn new(most: usize) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// None if the caller has as many connections as it may.
    pub(super) fn admit(&self, stream: &TcpStream) -> Option<Seat> {
        match stream.peer_addr() {
            Ok(caller) => self.seat(caller.ip()),
            // It is gone already, which the connection will find out.
            Err(_) => Some(Seat { address: None, counts: Arc::clone(&self.counts) }),
        }
    }

    fn seat(&self, address: IpAddr) -> Option<Seat> {
        let counts = Arc::clone(&self.counts);
        if self.most == 0 || address.is_loopback() {
            return Some(Seat { address: None, counts });
        }
        let mut counted = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counted.entry(address).or_default();
        if self.most <= *count {
            tracing::debug!(%address, most = self.most, "too many connections from one address");
            return None;
        }
        *count += 1;
        Some(Seat { address: Some(address), counts })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let callers = Callers::new(2);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let other = "192.0.2.2".parse().unwrap();

        let (first, second) = (callers.seat(one), callers.seat(one));
        assert!(first.is_some() && second.is_some());
        assert!(callers.seat(one).is_none());
        assert!(callers.seat(other).is_some());
        drop(first);
        assert!(callers.seat(one).is_some());
    }

    #[test]
    fn this_machine_is_not_counted_and_nothing_is_kept() {
        let callers = Callers::new(1);
        let own: Vec<_> = (0..3).map(|_| callers.seat("127.0.0.1".parse().unwrap())).collect();
        assert!(own.iter().all(Option::is_some));

        drop(callers.seat("192.0.2.1".parse().unwrap()));
        assert!(callers.counts.lock().unwrap().is_empty());
    }
}
