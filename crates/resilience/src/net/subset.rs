//! Which of many addresses a client uses at all, and which of these it prefers.

use std::cmp::Reverse;

use super::Address;

/// Healthy endpoints of a zone carry up to this many times their part, so that a zone
/// that lost a few keeps its calls (Envoy's overprovisioning factor).
const OVERPROVISIONED: f64 = 1.4;

/// How many endpoints of one place there are, and how many of them are healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strength {
    pub healthy: usize,
    pub known: usize,
}

/// The `size` addresses that the client called `client` uses, or all if there are not
/// more, without repetitions and in the order of addresses.
///
/// Rendezvous hashing (as in gRFC A68): each client has its own order of preference,
/// which depends on nothing but the addresses, so one that comes or goes moves at most
/// one address of each client, and each address gets about as many clients.
///
/// If `zone` has addresses, up to three quarters of the subset are from there; the
/// others are for the day when it fails.
pub fn choose(addresses: &[Address], zone: Option<&str>, client: u64, size: usize) -> Vec<Address> {
    let mut ranked: Vec<&Address> = addresses.iter().collect();
    ranked.sort_by_cached_key(|address| (Reverse(score(address, client)), (*address).clone()));
    ranked.dedup_by_key(|address| address.socket);
    if ranked.len() > size && zone.is_some() {
        ranked = own_zone_first(ranked, zone, size);
    }
    let mut chosen: Vec<Address> = ranked.into_iter().take(size).cloned().collect();
    chosen.sort();
    chosen
}

/// The share of the calls that stay in the own zone; the others go to the other zones.
///
/// All, while the own zone is well, and less the more of its endpoints fail; but never
/// less than its part of all healthy endpoints, which is the share that it has where
/// no zone is preferred: with fewer healthy ones than `minimum`. Where none is healthy,
/// its part of all.
#[expect(clippy::cast_precision_loss, reason = "a number of endpoints")]
pub fn local_share(local: Strength, others: Strength, minimum: usize) -> f64 {
    let part = |local: usize, others: usize| local as f64 / (local + others).max(1) as f64;
    if local.healthy == 0 && others.healthy == 0 {
        return part(local.known, others.known);
    }
    let even = part(local.healthy, others.healthy);
    if local.healthy == 0 || local.healthy < minimum {
        return even;
    }
    (OVERPROVISIONED * part(local.healthy, local.known - local.healthy)).clamp(even, 1.0)
}

/// Whether `address` is in `zone`.
pub(crate) fn is_local(address: &Address, zone: Option<&str>) -> bool {
    zone.is_some() && address.zone.as_deref() == zone
}

/// Puts the best of the own zone first, then the best of the others, then the rest.
fn own_zone_first<'a>(
    ranked: Vec<&'a Address>,
    zone: Option<&str>,
    size: usize,
) -> Vec<&'a Address> {
    let (local, others): (Vec<_>, Vec<_>) =
        ranked.into_iter().partition(|address| is_local(address, zone));
    let most = size - size / 4;
    let (first, rest) = local.split_at(most.min(local.len()));
    [first, &others, rest].concat()
}

/// How much the client likes the address: FNV-1a over what names it, mixed by the end
/// of `SplitMix64`. The zone is left out, so that an address that moves stays.
fn score(address: &Address, client: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    take(&client.to_le_bytes());
    match address.socket.ip() {
        std::net::IpAddr::V4(ip) => take(&ip.octets()),
        std::net::IpAddr::V6(ip) => take(&ip.octets()),
    }
    take(&address.socket.port().to_le_bytes());
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
