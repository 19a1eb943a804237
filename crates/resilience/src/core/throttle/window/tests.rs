use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use loom::sync::atomic::AtomicU64 as LoomU64;
use proptest::prelude::*;

use super::*;
use crate::core::simulation::at_millis;

const SECOND: u64 = 1_000_000_000;

/// What was counted in the window, and of that lately.
fn both<C: Cell64>(window: &Window<C>, now: Time) -> (Counts, Counts) {
    let place = window.place(now);
    (window.counts(place), window.recent(place))
}

#[test]
fn no_count_is_lost_when_a_step_begins_anew() {
    loom::model(|| {
        let window = Arc::new(Window::<LoomU64>::new(30 * SECOND));
        window.count(window.place(at_millis(0)), 5, 5);
        let next_lap = at_millis(30_000);
        let threads = [(1, 0), (0, 1)].map(|(requests, accepts)| {
            let window = window.clone();
            loom::thread::spawn(move || window.count(window.place(next_lap), requests, accepts))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let one = Counts { requests: 1, accepts: 1 };
        assert_eq!(both(&window, next_lap), (one, one));
    });
}

#[test]
fn a_thread_that_is_late_by_a_window_does_not_undo_the_present() {
    let window = Window::<AtomicU64>::new(30 * SECOND);
    window.count(window.place(at_millis(30_000)), 7, 3);
    window.count(window.place(at_millis(0)), 1, 1);
    let present = Counts { requests: 7, accepts: 3 };
    assert_eq!(both(&window, at_millis(30_000)), (present, present));
}

#[test]
fn a_step_that_is_full_stays_full() {
    let window = Window::<AtomicU64>::new(30 * SECOND);
    window.count(window.place(at_millis(0)), Step::MOST, Step::MOST);
    window.count(window.place(at_millis(0)), 1, 1);
    let full = Counts { requests: Step::MOST, accepts: Step::MOST };
    assert_eq!(both(&window, at_millis(0)), (full, full));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The waits are from within a step to several windows, the beginning anywhere.
    #[test]
    fn the_window_holds_what_was_counted_in_the_last_15_steps_and_in_the_last_3(
        began in 0_u64..2_000_000_000,
        events in prop::collection::vec((0_u32..10, 0_u32..10, 0_u64..3_000, prop::bool::weighted(0.05)), 0..200),
    ) {
        let window = Window::<AtomicU64>::new(30 * SECOND);
        let mut counted = Vec::new();
        let mut now = Time::ZERO + Duration::from_secs(began);
        for (requests, accepts, wait, long) in events {
            now = now + Duration::from_millis(if long { wait * 40 } else { wait });
            window.count(window.place(now), requests, accepts);
            let step = now.as_nanos() / (2 * SECOND);
            counted.push((step, Counts { requests, accepts }));
            let expected = [15, 3].map(|steps| {
                let seen = counted.iter().filter(|(then, _)| step < then + steps);
                seen.fold(Counts::default(), |sum, (_, counts)| Counts {
                    requests: sum.requests + counts.requests,
                    accepts: sum.accepts + counts.accepts,
                })
            });
            let (all, recent) = both(&window, now);
            prop_assert_eq!([all, recent], expected);
        }
    }
}
