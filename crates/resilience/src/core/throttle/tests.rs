use super::*;
use crate::core::simulation::at_millis;

/// What a second of 1000 requests comes to.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    sent: u32,
    accepted: u32,
}

struct Peer {
    throttle: AdaptiveThrottle,
    random: Random,
    second: u64,
}

impl Peer {
    fn new() -> Self {
        Self { throttle: AdaptiveThrottle::default(), random: Random::seeded(7), second: 0 }
    }

    /// The last of some seconds in which the peer accepts so much a second.
    fn run(&mut self, seconds: u64, capacity: u32) -> Second {
        let mut last = Second::default();
        for _ in 0..seconds {
            last = self.run_second(capacity);
        }
        last
    }

    fn run_second(&mut self, capacity: u32) -> Second {
        let mut second = Second::default();
        for millis in 0..1_000 {
            let now = at_millis(self.second * 1_000 + millis);
            if self.throttle.admit(now, &self.random) {
                second.sent += 1;
                if second.accepted < capacity {
                    second.accepted += 1;
                    self.throttle.accepted(now);
                }
            }
        }
        self.second += 1;
        second
    }

    fn probability(&self) -> f64 {
        self.throttle.probability(at_millis(self.second * 1_000))
    }
}

#[test]
fn a_peer_gets_about_twice_what_it_accepts() {
    for capacity in [100, 200, 400] {
        let mut peer = Peer::new();
        let last = peer.run(60, capacity);
        let expected = f64::from(2 * capacity);
        assert!((f64::from(last.sent) - expected).abs() < 0.15 * expected, "{capacity}: {last:?}");
        assert_eq!(last.accepted, capacity, "none of its work is lost");
    }
}

#[test]
fn a_peer_that_accepts_more_than_half_is_left_alone() {
    let mut peer = Peer::new();
    assert_eq!(peer.run(60, 550).sent, 1_000);
}

#[test]
fn a_peer_that_accepts_nothing_still_gets_a_tenth() {
    let mut peer = Peer::new();
    assert_eq!(peer.run(1, 1_000).sent, 1_000);
    let last = peer.run(60, 0);
    assert!((70..=130).contains(&last.sent), "{last:?}");
    assert!((peer.probability() - 0.9).abs() < f64::EPSILON);
}

#[test]
fn a_peer_that_is_back_has_all_its_calls_within_half_a_window() {
    let mut peer = Peer::new();
    peer.run(60, 0);
    assert!((60..=140).contains(&peer.run(1, 1_000).sent));
    let back = peer.run(14, 1_000);
    assert_eq!((back.sent, back.accepted), (1_000, 1_000));
    assert!(peer.probability() <= 0.0);
}

#[test]
fn a_peer_that_was_overloaded_for_a_moment_has_all_its_calls_six_seconds_later() {
    let mut peer = Peer::new();
    peer.run(30, 1_000);
    peer.run(20, 100);
    assert!(peer.probability() > 0.2);
    assert_eq!(peer.run(6, 1_000).sent, 1_000);
}

#[test]
fn a_single_bad_moment_refuses_nothing_if_the_time_before_was_good() {
    let mut peer = Peer::new();
    peer.run(30, 1_000);
    assert_eq!(peer.run(5, 0).sent, 1_000);
}

#[test]
fn few_requests_are_never_refused() {
    let (throttle, random) = (AdaptiveThrottle::default(), Random::seeded(1));
    // 4 a second, none of which is accepted.
    assert!((0..400).all(|call| throttle.admit(at_millis(call * 250), &random)));
    assert!(throttle.probability(at_millis(100_000)) <= 0.0);
}

#[test]
fn the_probability_is_that_of_the_book_and_counts_refused_requests() {
    let (throttle, random, now) = (AdaptiveThrottle::default(), Random::seeded(1), Time::ZERO);
    let sent = (0..1_000).filter(|_| throttle.admit(now, &random)).count();
    assert!(sent < 500, "{sent}");
    for _ in 0..300 {
        throttle.accepted(now);
    }
    let expected = (1_000.0 - 2.0 * 300.0) / 1_001.0;
    assert!((throttle.probability(now) - expected).abs() < 1e-12);
}

#[test]
fn settings_out_of_range_are_cut() {
    let after_refusals = |cap| {
        let (k, at_least_per_second) = (f64::NAN, f64::NAN);
        let wild = Settings { k, window: Duration::ZERO, cap, at_least_per_second };
        let (throttle, random) = (AdaptiveThrottle::new(wild), Random::seeded(1));
        for _ in 0..1_000 {
            throttle.admit(Time::ZERO, &random);
        }
        throttle.probability(Time::ZERO)
    };
    assert!((after_refusals(7.0) - 0.99).abs() < f64::EPSILON);
    assert!(after_refusals(f64::NAN) <= 0.0);
}
