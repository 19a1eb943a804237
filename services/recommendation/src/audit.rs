//! Looks for what must never be.

use time::OffsetDateTime;
use trellis_api::r#type::v1::{AuditCheck, AuditViolation};
use trellis_events::consumer::RETENTION;
use trellis_events::dead_letter::DeadLetter;
use trellis_storage::Error;

use crate::CONSUMER;
use crate::follow::{Learner, Progress};
use crate::store::{Store, Survey};

/// How many violations of a kind are told apart.
const LISTED: u32 = 100;

/// What an audit has found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) checks: Vec<AuditCheck>,
    /// The time of the newest basket that is gone.
    pub(crate) forgotten_until: Option<OffsetDateTime>,
}

/// Checks the service's invariants, once the model has read all that there is.
pub(crate) async fn run(
    store: &dyn Store,
    learner: &Learner,
    now: OffsetDateTime,
) -> Result<Findings, Error> {
    while learner.advance().await? {}
    let progress = learner.progress();
    let survey = store.survey(progress.position.baskets, now - RETENTION).await?;
    let letters = store.dead_letters().list(CONSUMER, None, LISTED).await?;
    Ok(Findings {
        forgotten_until: survey.forgotten.until,
        checks: vec![dead_letters(letters), heard(&survey), learned(&survey, progress)],
    })
}

fn dead_letters(letters: Vec<DeadLetter>) -> AuditCheck {
    let violations = letters.into_iter().map(|letter| {
        let attempts = letter.attempts;
        let detail = format!("{} after {attempts} attempts: {}", letter.event.r#type, letter.error);
        violation(letter.event.event_id, detail)
    });
    let violations: Vec<_> = violations.collect();
    // A letter that waits is one too many.
    let examined = i64::try_from(violations.len()).unwrap_or(i64::MAX);
    check("no dead letter waits", examined, violations)
}

fn heard(survey: &Survey) -> AuditCheck {
    let violations = survey.unheard.iter().map(|order_id| {
        violation(
            order_id.to_string(),
            "its event is not in the inbox, so it may come again".into(),
        )
    });
    check("every basket came with an event that is remembered", survey.young, violations.collect())
}

/// Counts in memory what the store counts on the disk: a basket that was read
/// twice or never makes the two differ.
fn learned(survey: &Survey, progress: Progress) -> AuditCheck {
    let kept = survey.baskets + survey.forgotten.baskets;
    let violations = if kept == progress.baskets {
        Vec::new()
    } else {
        let learned = progress.baskets;
        vec![violation("baskets".into(), format!("{kept} were kept, {learned} were learned"))]
    };
    check("every basket was learned once", survey.baskets, violations)
}

fn check(invariant: &str, examined: i64, violations: Vec<AuditViolation>) -> AuditCheck {
    AuditCheck { invariant: invariant.to_owned(), examined, violations }
}

fn violation(subject: String, detail: String) -> AuditViolation {
    AuditViolation { subject, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Position;
    use crate::store::Forgotten;

    #[test]
    fn a_basket_that_was_learned_twice_or_never_is_found() {
        let forgotten = Forgotten { baskets: 3, until: None };
        let survey = Survey { baskets: 7, forgotten, young: 0, unheard: Vec::new() };
        let violations = |baskets| {
            learned(&survey, Progress { position: Position::default(), baskets }).violations
        };

        assert!(violations(10).is_empty());
        assert_eq!(violations(11)[0].detail, "10 were kept, 11 were learned");
        assert_eq!(violations(9)[0].detail, "10 were kept, 9 were learned");
    }
}
