use std::collections::HashMap;

use super::*;

fn address(number: u16) -> Address {
    let [high, low] = number.to_be_bytes();
    Address::from(std::net::SocketAddr::from(([10, 0, high, low], 50051)))
}

fn in_zone(number: u16, zone: &str) -> Address {
    Address { zone: Some(zone.into()), ..address(number) }
}

fn addresses(count: u16) -> Vec<Address> {
    (0..count).map(address).collect()
}

fn difference(left: &[Address], right: &[Address]) -> usize {
    left.iter().filter(|address| !right.contains(address)).count()
}

#[test]
fn few_addresses_are_all_used_and_once_each() {
    let mut all = addresses(5);
    all.extend(addresses(3));
    assert_eq!(choose(&all, None, 7, 20), addresses(5));
}

#[test]
fn a_client_chooses_the_same_whatever_the_order() {
    let (all, mut reversed) = (addresses(100), addresses(100));
    reversed.reverse();
    assert_eq!(choose(&all, None, 7, 20), choose(&reversed, None, 7, 20));
    assert_ne!(choose(&all, None, 7, 20), choose(&all, None, 8, 20));
}

#[test]
fn one_address_that_comes_or_goes_moves_at_most_one_of_a_client() {
    let all = addresses(100);
    for client in 0..50 {
        let before = choose(&all, None, client, 20);
        for gone in [0, 33, 99] {
            let mut fewer = all.clone();
            fewer.remove(gone);
            let after = choose(&fewer, None, client, 20);
            let used = usize::from(before.contains(&all[gone]));
            assert_eq!(difference(&before, &after), used);
            assert_eq!(difference(&after, &before), used);
        }
        let after = choose(&addresses(101), None, client, 20);
        assert!(difference(&after, &before) <= 1);
    }
}

#[test]
fn each_address_gets_about_as_many_clients() {
    let all = addresses(100);
    let mut clients: HashMap<Address, u32> = HashMap::new();
    for client in 0..500 {
        for address in choose(&all, None, client, 20) {
            *clients.entry(address).or_default() += 1;
        }
    }
    // Binomial: 100 ± 9.
    assert_eq!(clients.len(), 100);
    for (address, count) in clients {
        assert!((60..=140).contains(&count), "{address:?} has {count} clients of 100");
    }
}

#[test]
fn a_quarter_of_the_subset_is_for_the_day_when_the_own_zone_fails() {
    let mut all: Vec<Address> = (0..50).map(|number| in_zone(number, "a")).collect();
    all.extend((50..100).map(|number| in_zone(number, "b")));
    let chosen = choose(&all, Some("a"), 7, 20);
    assert_eq!(chosen.iter().filter(|address| is_local(address, Some("a"))).count(), 15);
    assert_eq!(chosen.len(), 20);
}

#[test]
fn a_small_zone_is_used_whole_and_a_missing_one_changes_nothing() {
    let mut all: Vec<Address> = (0..3).map(|number| in_zone(number, "a")).collect();
    all.extend((3..100).map(|number| in_zone(number, "b")));
    let chosen = choose(&all, Some("a"), 7, 20);
    assert_eq!(chosen.iter().filter(|address| is_local(address, Some("a"))).count(), 3);
    assert_eq!(chosen.len(), 20);
    assert_eq!(choose(&all, Some("c"), 7, 20), choose(&all, None, 7, 20));

    let mut nearly_all: Vec<Address> = (0..30).map(|number| in_zone(number, "a")).collect();
    nearly_all.push(in_zone(30, "b"));
    assert_eq!(choose(&nearly_all, Some("a"), 7, 20).len(), 20);
}

fn strength(healthy: usize, known: usize) -> Strength {
    Strength { healthy, known }
}

#[expect(clippy::float_cmp, reason = "these are exact")]
#[test]
fn calls_stay_in_a_zone_that_is_well() {
    assert_eq!(local_share(strength(3, 3), strength(6, 6), 2), 1.0);
    assert_eq!(local_share(strength(8, 10), strength(10, 10), 2), 1.0);
}

#[test]
fn calls_leave_a_zone_as_it_fails() {
    let share = local_share(strength(5, 10), strength(20, 20), 2);
    assert!((share - 0.7).abs() < 1e-9, "{share}");
}

#[expect(clippy::float_cmp, reason = "these are exact")]
#[test]
fn a_zone_with_too_few_healthy_endpoints_is_one_like_the_others() {
    assert_eq!(local_share(strength(1, 1), strength(3, 3), 2), 0.25);
    assert_eq!(local_share(strength(0, 3), strength(3, 3), 2), 0.0);
}

#[expect(clippy::float_cmp, reason = "these are exact")]
#[test]
fn where_nobody_is_healthy_the_calls_are_spread() {
    assert_eq!(local_share(strength(0, 3), strength(0, 9), 2), 0.25);
    assert_eq!(local_share(strength(0, 0), strength(0, 0), 2), 0.0);
}

#[expect(clippy::float_cmp, reason = "these are exact")]
#[test]
fn a_zone_never_gets_less_than_its_part() {
    assert_eq!(local_share(strength(3, 10), strength(0, 10), 2), 1.0);
    assert_eq!(local_share(strength(3, 10), strength(3, 10), 2), 0.5);
}
