use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use super::*;
use crate::core::breaker::{Mode, Reason};

/// Keeps each line as its level and its fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}{}", self.0);
        } else {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn logged(event: &Event) -> (Level, String) {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || LogListener.on_event(event));
    let mut lines = lines.0.lock().unwrap();
    assert_eq!(lines.len(), 1, "each event is one line");
    lines.remove(0)
}

fn breaker(to: State, reason: Reason, wait: Option<Duration>) -> Event {
    Event::BreakerChanged { breaker: "payment".into(), from: State::HalfOpen, to, reason, wait }
}

#[test]
fn what_takes_something_away_is_a_warning() {
    let (target, endpoint): (Arc<str>, Arc<str>) = ("payment".into(), "10.0.0.1:50051".into());
    for (event, words) in [
        (
            breaker(State::Open, Reason::ProbeFailed, Some(Duration::from_secs(2))),
            "breaker opened breaker=payment from=half_open reason=probe_failed wait=Some(2s)",
        ),
        (
            Event::BreakerModeSet { breaker: "payment".into(), mode: Mode::ForcedOpen },
            "breaker mode set breaker=payment mode=ForcedOpen",
        ),
        (
            Event::EndpointEjected {
                target: Arc::clone(&target),
                endpoint,
                cause: "consecutive",
                duration: Duration::from_secs(30),
            },
            "endpoint ejected peer=payment endpoint=10.0.0.1:50051 cause=\"consecutive\" duration=30s",
        ),
        (
            Event::EndpointsChanged { target, added: 0, removed: 2, total: 0 },
            "no endpoint is left peer=payment added=0 removed=2 total=0",
        ),
        (Event::ChaosChanged { rules: 2 }, "chaos set rules=2"),
    ] {
        assert_eq!(logged(&event), (Level::WARN, words.to_owned()));
    }
}

#[test]
fn what_gives_it_back_is_information() {
    for (event, words) in [
        (
            breaker(State::Closed, Reason::Recovered, None),
            "breaker closed breaker=payment from=half_open reason=recovered",
        ),
        (
            Event::PanicModeChanged { target: "payment".into(), on: false },
            "enough endpoints are healthy again peer=payment",
        ),
        (Event::ChaosChanged { rules: 0 }, "chaos cleared"),
    ] {
        assert_eq!(logged(&event), (Level::INFO, words.to_owned()));
    }
}

#[test]
fn what_may_be_frequent_is_for_debugging() {
    let event = Event::RetrySuppressed { target: "payment".into(), cause: "budget" };
    let words = "retry suppressed peer=payment cause=\"budget\"".to_owned();
    assert_eq!(logged(&event), (Level::DEBUG, words));
}

#[test]
fn all_listeners_hear_each_event() {
    let (first, mut heard_by_first) = crate::observe::channel(1);
    let (second, mut heard_by_second) = crate::observe::channel(1);
    let event = Event::ChaosChanged { rules: 1 };
    Listeners(vec![Arc::new(first), Arc::new(second)]).on_event(&event);
    assert_eq!(heard_by_first.try_recv(), Some(event.clone()));
    assert_eq!(heard_by_second.try_recv(), Some(event));
}
