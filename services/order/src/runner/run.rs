//! One run of a saga: takes its steps until it ends or has to be put off.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::Instrument as _;
use trellis_storage::Error;

use crate::announce::announce;
use crate::answer;
use crate::domain::{Cancellation, Reason, State};
use crate::saga::{Entry, Kind, Next, Saga, Step, Trouble, plan, policy};
use crate::store::{Ended, Ending, Postponement, TurnBack};

use super::in_flight::Signals;
use super::{Shared, trace};

/// A saga at work.
pub(super) struct Run<'a> {
    shared: &'a Shared,
    saga: Saga,
    signals: Arc<Signals>,
    /// What was done since the last write.
    log: Vec<Entry>,
    /// The last step that was tried.
    step: Option<Step>,
    /// How many more times a step is repeated before the saga is put off.
    quick_repetitions: u32,
    /// When the run first saw that the process is to stop.
    stop_seen: Option<Instant>,
}

/// Why a run goes no further now.
pub(super) enum Halt {
    /// Somebody else has taken the saga over; nothing more may be written.
    Lost,
    /// The process stops.
    Stopping,
    Trouble(Trouble),
}

impl<'a> Run<'a> {
    pub(super) fn new(shared: &'a Shared, saga: Saga, signals: Arc<Signals>) -> Self {
        // One that was put off before gains nothing from haste.
        let quick_repetitions = if saga.attempts == 0 { policy::QUICK_REPETITIONS } else { 0 };
        let (log, step, stop_seen) = (Vec::new(), None, None);
        Self { shared, saga, signals, log, step, quick_repetitions, stop_seen }
    }

    /// Brings the saga to its end, and returns the saga that follows from it.
    pub(super) async fn drive(&mut self) -> Result<Option<Box<Saga>>, Halt> {
        let mut next = plan::first(self.saga.kind, self.saga.turned_back.as_ref());
        loop {
            next = match next {
                Next::Do(step) => self.take(step).await?,
                Next::TurnBack(why) => self.turn_back(why).await?,
                Next::Confirm => return self.end(State::Confirmed, None).await,
                Next::Cancel(why) => {
                    return self.end(State::Cancelled(why.reason), Some(&why)).await;
                }
                Next::Refund => {
                    return self.end(State::Refunded(Reason::CancelledByCustomer), None).await;
                }
            };
        }
    }

    /// Puts the saga off until later, or away for good.
    pub(super) async fn put_off(&mut self, halt: Halt) {
        let Halt::Trouble(trouble) = halt else {
            return self.postpone(self.saga.attempts, Duration::ZERO, None).await;
        };
        self.note(self.step.map_or("", Step::as_str), format!("postponed: {}", trouble.what));
        let attempts = self.saga.attempts + 1;
        self.postpone(attempts, policy::wait(attempts), Some(trouble)).await;
    }

    async fn take(&mut self, step: Step) -> Result<Next, Halt> {
        if self.signals.is_lost() {
            return Err(Halt::Lost);
        }
        if self.must_stop() {
            return Err(Halt::Stopping);
        }
        let answer = loop {
            if let Some(reason) = self.reason_to_turn_back(step) {
                return Ok(Next::TurnBack(reason.into()));
            }
            self.step = Some(step);
            let (span, began) = (trace::step(step), Instant::now());
            let performed = self.shared.peers.perform(step, &self.saga).instrument(span).await;
            self.shared.meters.step(step, performed.is_ok(), began.elapsed());
            match performed {
                Ok(answer) => break answer,
                Err(trouble) => match self.reason_to_turn_back(step) {
                    // What may have been done is undone like what was done.
                    Some(reason) => return Ok(Next::TurnBack(reason.into())),
                    None => self.rest_briefly(trouble).await?,
                },
            }
        };
        self.note(step.as_str(), answer.as_str());
        let next = plan::after(self.saga.kind, self.saga.turned_back.as_ref(), step, answer);
        next.map_err(|nonsense| Halt::Trouble(nonsense.into()))
    }

    /// Waits before a step is repeated, unless it was repeated often enough.
    async fn rest_briefly(&mut self, trouble: Trouble) -> Result<(), Halt> {
        if self.quick_repetitions == 0 || self.shared.shutdown.is_requested() {
            return Err(Halt::Trouble(trouble));
        }
        self.quick_repetitions -= 1;
        let step = self.step.map_or("", Step::as_str);
        let trouble = trouble.what;
        tracing::debug!(order_id = %self.saga.order.order_id, step, trouble, "step repeated");
        sleep(policy::quick_wait()).await;
        Ok(())
    }

    /// Before the pivot, a checkout that nobody wants any more or that takes too
    /// long turns back. A repetition might not see the reason again, so it is
    /// written down before anything is undone.
    fn reason_to_turn_back(&self, step: Step) -> Option<Reason> {
        let saga = &self.saga;
        if saga.kind != Kind::Checkout || saga.turned_back.is_some() || !step.is_before_pivot() {
            return None;
        }
        if self.signals.is_cancel_requested() {
            return Some(Reason::CancelledByCustomer);
        }
        (saga.deadline_time <= self.shared.clock.now()).then_some(Reason::CheckoutTimedOut)
    }

    async fn turn_back(&mut self, why: Cancellation) -> Result<Next, Halt> {
        self.note("turn_back", why.reason.as_str());
        let turn =
            TurnBack { why: why.clone(), log: self.log.clone(), now: self.shared.clock.now() };
        if !self.shared.store.turn_back(self.saga.hold(), turn).await? {
            return Err(Halt::Lost);
        }
        self.log.clear();
        self.saga.payment_token = None;
        self.saga.turned_back = Some(why);
        Ok(plan::first(self.saga.kind, self.saga.turned_back.as_ref()))
    }

    async fn end(
        &mut self,
        state: State,
        why: Option<&Cancellation>,
    ) -> Result<Option<Box<Saga>>, Halt> {
        let now = self.shared.clock.now();
        let impossible = |what: String| Halt::Trouble(Trouble::unexpected(what));
        let order = self.saga.order.becomes(state, now).map_err(|e| impossible(e.to_string()))?;
        let event = announce(&order, now).ok_or_else(|| impossible("the end is none".into()))?;
        let answer = (self.saga.kind == Kind::Checkout).then(|| answer::about(&order, why));
        self.note("end", answer::success(&order).order.unwrap_or_default().state().as_str_name());
        let ending = Ending {
            order: order.clone(),
            event,
            answer: answer.clone(),
            clear_cart: self.saga.from_cart && state == State::Confirmed,
            log: self.log.clone(),
            lease: self.shared.lease(),
            now,
        };
        let ended = self.shared.store.end(self.saga.hold(), ending).await?;
        let Ended { refund } = ended.ok_or(Halt::Lost)?;
        self.shared.meters.ended(&self.saga, &order, now);
        self.shared.progress.publish(&order, answer.as_ref());
        Ok(refund)
    }

    async fn postpone(&mut self, attempts: u32, wait: Duration, trouble: Option<Trouble>) {
        let now = self.shared.clock.now();
        let order_id = self.saga.order.order_id;
        let kind = self.saga.kind.as_str();
        let hopeless =
            trouble.as_ref().filter(|trouble| policy::is_hopeless(&self.saga, trouble, now));
        if let Some(trouble) = hopeless {
            let error = trouble.what.as_str();
            tracing::error!(%order_id, kind, attempts, error, "saga needs an operator");
        }
        let is_definite = trouble.as_ref().is_some_and(|trouble| trouble.is_definite);
        let postponement = Postponement {
            step: self.step,
            attempts,
            failures: self.saga.failures + u32::from(is_definite),
            next_attempt_time: hopeless.is_none().then(|| now + wait),
            error: trouble.map(|trouble| trouble.what),
            log: std::mem::take(&mut self.log),
            now,
        };
        // If it cannot be written down, the lease lapses, and the saga is taken up then.
        match self.shared.store.postpone(self.saga.hold(), postponement).await {
            Ok(true) => tracing::debug!(%order_id, kind, attempts, "saga postponed"),
            Ok(false) => tracing::info!(%order_id, kind, "somebody else has taken the saga over"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%order_id, kind, error, "saga not postponed");
            }
        }
    }

    /// After a stop was requested sagas go on for a moment, since nearly all of
    /// them end in it; then each stops before its next step.
    fn must_stop(&mut self) -> bool {
        if !self.shared.shutdown.is_requested() {
            return false;
        }
        let seen = *self.stop_seen.get_or_insert_with(Instant::now);
        policy::DRAIN <= seen.elapsed()
    }

    fn note(&mut self, step: &'static str, outcome: impl Into<String>) {
        let time = self.shared.clock.now();
        self.log.push(Entry { step, outcome: outcome.into(), time });
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Trouble(Trouble::unsettled(format!("the order store failed: {error}")))
    }
}
