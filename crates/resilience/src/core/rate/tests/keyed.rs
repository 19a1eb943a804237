use std::collections::HashMap;

use proptest::prelude::*;

use crate::core::clock::Time;
use crate::core::rate::{Gcra, KeyedGcra};
use crate::core::simulation::at_millis;

fn passed(gcra: &KeyedGcra<String>, key: &str, now: Time) -> usize {
    (0..100).filter(|_| gcra.check(key, now).is_ok()).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Idle keys are forgotten all the time here, as there is room for half of them.
    #[test]
    fn a_key_that_finds_a_place_has_the_rate_that_it_would_have_alone(
        calls in prop::collection::vec((0_u64..8, 0_u64..100), 0..200),
    ) {
        let keyed = KeyedGcra::<u64>::new(10.0, 2, 4);
        let mut alone = HashMap::new();
        let mut millis = 0;
        let mut last = HashMap::new();
        for (key, wait) in calls {
            millis += wait;
            // A key is busy for at most 200 ms after its last call.
            last.retain(|_, called| millis < *called + 200);
            if last.len() == 4 && !last.contains_key(&key) {
                continue;
            }
            last.insert(key, millis);
            let gcra = alone.entry(key).or_insert_with(|| Gcra::new(10.0, 2));
            let now = at_millis(millis);
            prop_assert_eq!(keyed.check(&key, now), gcra.check(now));
            prop_assert!(keyed.known() <= 4);
        }
    }
}

#[test]
fn keys_that_find_no_place_share_one_rate_and_the_known_keep_theirs() {
    let gcra = KeyedGcra::new(1.0, 3, 2);
    let now = at_millis(10);
    assert_eq!(gcra.check("ann", now), Ok(()));
    assert_eq!(gcra.check("bob", now), Ok(()));

    let strangers: usize = (0..1_000).map(|n| passed(&gcra, &format!("stranger {n}"), now)).sum();
    assert_eq!(strangers, 3);
    assert_eq!(gcra.known(), 2);
    assert_eq!(passed(&gcra, "ann", now), 2);
    assert_eq!(passed(&gcra, "bob", now), 2);
}

#[test]
fn a_key_whose_burst_is_whole_again_makes_place() {
    let gcra = KeyedGcra::new(1.0, 3, 2);
    assert_eq!(passed(&gcra, "ann", at_millis(0)), 3);
    assert_eq!(gcra.check("bob", at_millis(0)), Ok(()));
    // Bob's call is made up for after one second, and Ann's three after three.
    assert_eq!(passed(&gcra, "cid", at_millis(1_000)), 3);
    assert_eq!(gcra.known(), 2);
    assert_eq!(passed(&gcra, "ann", at_millis(1_000)), 1);
}

#[test]
fn memory_is_bounded_however_many_keys_come() {
    let gcra = KeyedGcra::<u64>::new(1.0, 1, 2_000);
    for key in 0..20_000 {
        let _ = gcra.check(&key, at_millis(0));
    }
    assert!((1_500..=2_000).contains(&gcra.known()), "{}", gcra.known());
}

#[test]
fn a_table_for_no_key_still_limits() {
    let gcra = KeyedGcra::new(1.0, 1, 0);
    assert_eq!(passed(&gcra, "ann", at_millis(0)), 1);
    assert_eq!(passed(&gcra, "bob", at_millis(0)), 1);
    assert_eq!(passed(&gcra, "cid", at_millis(0)), 0);
    assert_eq!(gcra.known(), 1);
}
