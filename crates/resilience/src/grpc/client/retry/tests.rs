use super::*;
use crate::core::backoff::{Backoff, Jitter};
use crate::core::budget::AFTER_TIMEOUT;
use crate::core::outcome::FailureKind;

const MS: Duration = Duration::from_millis(1);

fn idempotent() -> MethodPolicy {
    let backoff = Backoff { base: 40 * MS, cap: 1000 * MS, jitter: Jitter::Equal };
    MethodPolicy { backoff, ..MethodPolicy::idempotent() }
}

fn unavailable() -> Verdict {
    Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent)
}

fn unsent() -> Verdict {
    Verdict::failure(FailureKind::Unsent, RetrySafety::Always)
}

fn question(policy: &MethodPolicy, verdict: Verdict) -> Question<'_> {
    Question {
        policy,
        verdict,
        replayable: true,
        inbound: Inbound::default(),
        now: Time::ZERO,
        deadline: Some(Time::ZERO + 1000 * MS),
        typical: None,
        throttled: false,
        tripped: false,
    }
}

fn first() -> Progress {
    Progress::begun()
}

fn ask(progress: &mut Progress, question: &Question<'_>) -> Next {
    progress.next(question, &Random::seeded(7))
}

fn wait(next: Next) -> Duration {
    let Next::Again { after, .. } = next else { panic!("{next:?}") };
    after
}

#[test]
fn an_idempotent_call_that_failed_is_tried_again_after_a_wait_that_grows() {
    let (policy, mut progress) = (idempotent(), first());
    let asked = question(&policy, unavailable());

    let once = wait(ask(&mut progress, &asked));
    progress.attempts += 1;
    let twice = wait(ask(&mut progress, &asked));
    progress.attempts += 1;

    assert!((20 * MS..=40 * MS).contains(&once), "{once:?}");
    assert!((40 * MS..=80 * MS).contains(&twice), "{twice:?}");
    assert_eq!(ask(&mut progress, &asked), Next::Stop(Cause::Attempts));
}

#[test]
fn what_would_be_done_twice_is_not_tried_again_unless_it_never_left() {
    let (policy, mut progress) = (MethodPolicy::default(), first());

    assert_eq!(
        ask(&mut progress, &question(&policy, unavailable())),
        Next::Stop(Cause::NotIdempotent)
    );
    assert_eq!(
        ask(&mut progress, &question(&policy, unsent())),
        Next::Again { after: Duration::ZERO, cost: None }
    );
}

#[test]
fn only_the_first_that_never_left_is_made_up_for_at_no_cost() {
    let (policy, mut progress) = (MethodPolicy::default(), first());
    let asked = question(&policy, unsent());

    assert_eq!(ask(&mut progress, &asked), Next::Again { after: Duration::ZERO, cost: None });
    for _ in 0..2 {
        progress.attempts += 1;
        let Next::Again { cost: Some(cost), .. } = ask(&mut progress, &asked) else {
            panic!("it was free again")
        };
        assert_eq!(cost, RETRY);
    }
    progress.attempts += 1;
    assert_eq!(ask(&mut progress, &asked), Next::Stop(Cause::Attempts));
}

#[test]
fn a_pushback_is_kept_to_and_the_backoff_begins_anew_after_it() {
    let (policy, mut progress) = (idempotent().attempts(5), first());
    let plain = question(&policy, unavailable());
    let later = Some(Pushback::After(250 * MS));
    let pushed = question(&policy, unavailable().with_pushback(later));

    ask(&mut progress, &plain);
    ask(&mut progress, &plain);

    assert_eq!(wait(ask(&mut progress, &pushed)), 250 * MS);
    let after = wait(ask(&mut progress, &plain));
    assert!((20 * MS..=40 * MS).contains(&after), "{after:?}");
}

#[test]
fn a_pushback_may_say_never() {
    let (policy, mut progress) = (idempotent(), first());
    let stop = unavailable().with_pushback(Some(Pushback::Stop));

    assert_eq!(ask(&mut progress, &question(&policy, stop)), Next::Stop(Cause::Pushback));
}

#[test]
fn nothing_begins_that_could_not_end_in_time() {
    let (policy, pushback) = (idempotent(), Some(Pushback::After(60 * MS)));
    let mut asked = question(&policy, unavailable().with_pushback(pushback));

    asked.deadline = Some(Time::ZERO + 40 * MS);
    assert_eq!(ask(&mut first(), &asked), Next::Stop(Cause::Deadline));

    asked.deadline = Some(Time::ZERO + 100 * MS);
    assert_eq!(wait(ask(&mut first(), &asked)), 60 * MS);

    asked.typical = Some(41 * MS);
    assert_eq!(ask(&mut first(), &asked), Next::Stop(Cause::Deadline));
}

#[test]
fn each_reason_against_another_attempt_is_found() {
    let policy = idempotent();
    let stops = |change: fn(&mut Question<'_>)| {
        let mut asked = question(&policy, unavailable());
        change(&mut asked);
        ask(&mut first(), &asked)
    };

    assert_eq!(stops(|q| q.verdict = Verdict::SUCCESS), Next::Stop(Cause::Final));
    assert_eq!(stops(|q| q.replayable = false), Next::Stop(Cause::Committed));
    assert_eq!(stops(|q| q.inbound.retried_hops = 1), Next::Stop(Cause::Hops));
    assert_eq!(stops(|q| q.throttled = true), Next::Stop(Cause::Throttle));
    assert_eq!(stops(|q| q.tripped = true), Next::Stop(Cause::Breaker));
}

#[test]
fn the_cost_is_double_after_a_timeout_and_within_a_retry() {
    let policy = idempotent();
    let timeout = Verdict::failure(FailureKind::Timeout, RetrySafety::IfIdempotent);
    let mut asked = question(&policy, timeout);
    assert_eq!(asked.cost(), AFTER_TIMEOUT);

    asked.verdict = unavailable();
    assert_eq!(asked.cost(), RETRY);

    asked.inbound.previous_attempts = 1;
    assert_eq!(asked.cost(), RETRY.within(1));
    assert!(RETRY < asked.cost());
}
