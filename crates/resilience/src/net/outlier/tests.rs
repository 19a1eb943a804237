use super::peers::Sample;
use super::*;

fn samples(rates: &[(u32, u32)]) -> Vec<Sample> {
    rates.iter().map(|&(successes, failures)| Sample { successes, failures }).collect()
}

fn recent(calls: f32, failures: f32) -> Recent {
    Recent { calls, failures }
}

#[test]
fn the_fifth_failure_in_a_row_is_too_many() {
    let settings = Settings::default();
    assert_eq!(settings.judge(4, recent(4.0, 4.0)), None);
    assert_eq!(settings.judge(5, recent(5.0, 5.0)), Some(Cause::Consecutive));
}

#[test]
fn half_of_twenty_calls_is_too_large_a_share() {
    let settings = Settings { consecutive_failures: None, ..Settings::default() };
    assert_eq!(settings.judge(19, recent(19.0, 19.0)), None, "too few to tell");
    assert_eq!(settings.judge(1, recent(20.0, 9.0)), None);
    assert_eq!(settings.judge(1, recent(20.0, 10.0)), Some(Cause::FailureRate));
}

#[test]
fn half_may_be_left_out_but_at_least_one_and_never_the_last() {
    let settings = Settings::default();
    let most: Vec<_> = (0..=6).map(|known| settings.most_ejected(known)).collect();
    assert_eq!(most, [0, 0, 1, 1, 2, 2, 3]);
    let all = Settings { max_ejected: 1.0, ..Settings::default() };
    assert_eq!(all.most_ejected(6), 5);
    let none = Settings { max_ejected: 0.0, ..Settings::default() };
    assert_eq!(none.most_ejected(100), 1);
}

#[test]
fn fewer_than_half_is_a_panic() {
    let settings = Settings::default();
    assert!(!settings.panics(2, 4));
    assert!(settings.panics(1, 4));
    assert!(settings.panics(0, 1));
    assert!(!settings.panics(0, 0));
}

#[test]
fn an_endpoint_is_left_out_for_longer_each_time_and_never_as_long_as_another() {
    let (settings, random) = (Settings::default(), Random::seeded(1));
    for (times, whole) in [(1, 1), (2, 2), (5, 16), (6, 30), (200, 30)] {
        let whole = Duration::from_secs(whole);
        let drawn: Vec<_> =
            (0..100).map(|_| settings.duration(false, times, Duration::ZERO, &random)).collect();
        assert!(drawn.iter().all(|time| (whole / 2..=whole).contains(time)));
        assert!(drawn.iter().max() > drawn.iter().min());
    }
}

#[test]
fn an_outlier_is_left_out_for_a_multiple_of_thirty_seconds_and_a_quarter_more() {
    let (settings, random) = (Settings::default(), Random::seeded(1));
    for (times, whole) in [(1, 30), (2, 60), (10, 300), (u32::MAX, 300)] {
        let whole = Duration::from_secs(whole);
        let time = settings.duration(true, times, Duration::ZERO, &random);
        assert!((whole..=whole + whole / 4).contains(&time), "{times} times: {time:?}");
    }
}

#[test]
fn a_peer_is_left_alone_as_long_as_it_asks_up_to_a_minute() {
    let (settings, random) = (Settings::default(), Random::seeded(1));
    let seven = Duration::from_secs(7);
    assert_eq!(settings.duration(false, 1, seven, &random), seven);
    let hour = Duration::from_hours(1);
    assert_eq!(settings.duration(false, 1, hour, &random), Duration::from_mins(1));
}

#[test]
fn the_one_that_succeeds_less_often_than_its_peers_stands_out() {
    let mut all = vec![(1000, 5); 5];
    all.push((900, 100));
    let found = outliers(&Settings::default(), &samples(&all));
    assert_eq!(found, [(5, Cause::SuccessRate)]);
}

#[test]
fn equals_do_not_stand_out() {
    let all = samples(&[(500, 500); 6]);
    assert_eq!(outliers(&Settings::default(), &all), []);
    let nearly = samples(&[(99, 1), (98, 2), (97, 3), (99, 1), (98, 2), (97, 3)]);
    assert_eq!(outliers(&Settings::default(), &nearly), []);
}

#[test]
fn four_endpoints_or_too_few_calls_cannot_be_compared() {
    let four = samples(&[(1000, 0), (1000, 0), (1000, 0), (0, 1000)]);
    assert_eq!(outliers(&Settings::default(), &four), []);
    let idle = samples(&[(49, 0), (49, 0), (49, 0), (49, 0), (49, 0), (0, 49)]);
    assert_eq!(outliers(&Settings::default(), &idle), []);
}

#[test]
fn who_nearly_only_fails_stands_out_after_fifty_calls_and_the_worst_comes_first() {
    let all = samples(&[(60, 0), (60, 0), (60, 0), (7, 53), (60, 0), (0, 60), (9, 51)]);
    let cause = Cause::FailurePercentage;
    assert_eq!(outliers(&Settings::default(), &all), [(5, cause), (3, cause)]);
}

#[test]
fn who_stands_out_in_both_ways_is_found_once() {
    let mut all = vec![(1000, 0); 5];
    all.push((0, 1000));
    let found = outliers(&Settings::default(), &samples(&all));
    assert_eq!(found, [(5, Cause::SuccessRate)]);
}

#[test]
fn each_way_can_be_turned_off() {
    let mut all = vec![(1000, 0); 5];
    all.push((0, 1000));
    let neither = Settings { success_rate: None, failure_percentage: None, ..Settings::default() };
    assert_eq!(outliers(&neither, &samples(&all)), []);
    let by_itself =
        Settings { consecutive_failures: None, failure_rate: None, ..Settings::default() };
    assert_eq!(by_itself.judge(1000, recent(1000.0, 1000.0)), None);
}
