//! Calls to the recommendation service.

use trellis_resilience::policy::{Criticality, Hedge, MethodPolicy};

use super::{Line, audit, line, ms};

pub(super) fn from_gateway() -> Vec<Line> {
    // It decorates a page, which waits for it no longer than it must.
    let decoration = MethodPolicy::safe()
        .timeout(ms(250))
        .attempts(2)
        .hedge(Hedge::AfterP95 { at_least: ms(5) })
        .criticality(Criticality::Sheddable)
        .fail_fast();
    let mut lines = vec![
        line(
            "/trellis.recommendation.v1.RecommendationService/Recommend",
            decoration,
            "the page without suggestions, marked `degraded: recommendations`",
        ),
        audit("/trellis.recommendation.v1.RecommendationService/AuditRecommendations"),
    ];
    lines.extend(super::callers::dead_letters());
    lines
}
