use super::*;

fn labels(pairs: &[(&'static str, &str)]) -> Vec<Label> {
    pairs.iter().map(|(name, text)| (*name, (*text).to_owned())).collect()
}

fn calls(recorder: &Recorder, pairs: &[(&'static str, &str)]) -> Counter {
    Metrics::counter(recorder, "calls", &labels(pairs))
}

#[test]
fn counters_are_summed_over_the_labels_that_are_not_named() {
    let recorder = Recorder::default();
    calls(&recorder, &[("target", "a"), ("code", "ok")]).add(3);
    calls(&recorder, &[("target", "a"), ("code", "failed")]).increment();
    calls(&recorder, &[("target", "b"), ("code", "ok")]).add(10);

    assert_eq!(recorder.counter("calls", &[]), 14);
    assert_eq!(recorder.counter("calls", &[("target", "a")]), 4);
    assert_eq!(recorder.counter("calls", &[("code", "ok"), ("target", "a")]), 3);
    assert_eq!(recorder.counter("calls", &[("target", "c")]), 0);
    assert_eq!(recorder.counter("others", &[]), 0);
}

#[test]
fn two_handles_of_the_same_labels_in_any_order_are_one() {
    let recorder = Recorder::default();
    calls(&recorder, &[("target", "a"), ("code", "ok")]).increment();
    calls(&recorder.clone(), &[("code", "ok"), ("target", "a")]).increment();
    let series = &recorder.snapshot()["counters"]["calls"];
    assert_eq!(*series, json!([{"labels": {"code": "ok", "target": "a"}, "value": 2}]));
}

#[test]
fn a_gauge_has_its_last_value() {
    let recorder = Recorder::default();
    let gauge = Metrics::gauge(&recorder, "limit", &labels(&[("target", "a")]));
    assert_eq!(recorder.gauge("limit", &[("target", "b")]), None);
    gauge.set(20.0);
    gauge.set(12.5);
    Metrics::gauge(&recorder, "limit", &labels(&[("target", "b")])).set(1.0);
    assert_eq!(recorder.gauge("limit", &[("target", "a")]), Some(12.5));
    assert_eq!(recorder.gauge("limit", &[]), Some(13.5));
}

#[test]
fn a_value_is_in_the_lowest_bucket_that_can_hold_it() {
    let recorder = Recorder::default();
    let histogram = Metrics::histogram(&recorder, "seconds", &[]);
    for value in [0.0, -1.0, 1e-9, 0.5, 0.500_000_1, 1.0, 3.0, 1024.0, 1024.5, 1e300] {
        histogram.record(value);
    }
    let lowest = 2_f64.powi(-14);
    let found = recorder.histogram("seconds", &[]);
    assert_eq!(found.count, 10);
    assert_eq!(
        found.buckets,
        [(lowest, 3), (0.5, 1), (1.0, 2), (4.0, 1), (1024.0, 1), (f64::INFINITY, 2)]
    );
}

#[test]
fn histograms_are_summed_and_know_their_mean() {
    let recorder = Recorder::default();
    for (target, value) in [("a", 1.0), ("a", 2.0), ("b", 6.0)] {
        Metrics::histogram(&recorder, "seconds", &labels(&[("target", target)])).record(value);
    }
    let all = recorder.histogram("seconds", &[]);
    assert_eq!(all.buckets, [(1.0, 1), (2.0, 1), (8.0, 1)]);
    assert_eq!(all.mean(), Some(3.0));
    assert_eq!(recorder.histogram("seconds", &[("target", "a")]).mean(), Some(1.5));
    assert_eq!(recorder.histogram("seconds", &[("target", "c")]).mean(), None);
}

#[test]
fn what_is_not_a_number_is_left_out() {
    let recorder = Recorder::default();
    let histogram = Metrics::histogram(&recorder, "seconds", &[]);
    for value in [f64::NAN, f64::INFINITY, 1.0] {
        histogram.record(value);
    }
    let found = recorder.histogram("seconds", &[]);
    assert_eq!((found.count, found.sum), (1, 1.0));
}

#[test]
fn series_beyond_the_limit_are_folded_into_one_and_counted() {
    let recorder = Recorder::new(3);
    for number in 0..10 {
        calls(&recorder, &[("user", &number.to_string())]).increment();
    }
    assert_eq!(recorder.counter("calls", &[]), 10);
    assert_eq!(recorder.counter("calls", &[("user", "2")]), 1);
    assert_eq!(recorder.counter("calls", &[("user", "3")]), 0);
    assert_eq!(recorder.counter("calls", &[("other", "true")]), 7);
    assert_eq!(recorder.folded(), 7);
    assert_eq!(recorder.snapshot()["counters"]["calls"].as_array().unwrap().len(), 4);

    calls(&recorder, &[("user", "0")]).increment();
    assert_eq!(recorder.counter("calls", &[("user", "0")]), 2, "what is known stays");
}

#[test]
fn nothing_is_lost_between_threads() {
    let recorder = Recorder::default();
    let histogram = Metrics::histogram(&recorder, "seconds", &[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5000).for_each(|_| histogram.record(0.5)));
        }
    });
    let found = recorder.histogram("seconds", &[]);
    assert_eq!((found.count, found.sum), (20_000, 10_000.0));
}

#[test]
fn a_snapshot_leaves_out_what_was_never_counted() {
    let recorder = Recorder::default();
    calls(&recorder, &[("target", "a")]).add(0);
    Metrics::histogram(&recorder, "seconds", &[]).record(f64::NAN);
    Metrics::gauge(&recorder, "limit", &[]).set(0.0);

    let expected = json!({
        "counters": {},
        "gauges": {"limit": [{"labels": {}, "value": 0.0}]},
        "histograms": {},
        "folded": 0,
    });
    assert_eq!(recorder.snapshot(), expected);
}

#[test]
fn a_snapshot_is_in_a_stable_order() {
    let one = Recorder::default();
    let other = Recorder::default();
    for name in ["a", "b", "c"] {
        calls(&one, &[("target", name)]).increment();
    }
    for name in ["c", "a", "b"] {
        calls(&other, &[("target", name)]).increment();
    }
    assert_eq!(one.snapshot().to_string(), other.snapshot().to_string());
}
