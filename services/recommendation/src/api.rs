//! What the service answers over gRPC.
//!
//! Fields are parsed here, once. Suggestions come out of memory: no await
//! stands between a question and its answer.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use tonic::{Request, Response, Status};
use trellis_api::error::{Violation, field};
use trellis_api::page::PageSize;
use trellis_api::recommendation::v1 as pb;
use trellis_api::recommendation::v1::recommendation_service_server::RecommendationService;
use trellis_api::{Sku, timestamp};
use trellis_chassis::Clock;

use crate::audit;
use crate::error::Error;
use crate::follow::Learner;
use crate::store::Store;

/// How many products a customer may look at.
const MAX_CONTEXT: usize = 50;
const DEFAULT_PAGE: u32 = 10;
/// How many order ids one part of an audit holds: about 320 kB.
const PART: u32 = 10_000;

/// The service.
pub(crate) struct Recommendations {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) learner: Arc<Learner>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait::async_trait]
impl RecommendationService for Recommendations {
    async fn recommend(
        &self,
        request: Request<pb::RecommendRequest>,
    ) -> Result<Response<pb::RecommendResponse>, Status> {
        let Question { context, count } = Question::try_from(request.into_inner())?;
        let suggested = self.learner.suggest(&context, count);
        let skus = suggested.into_iter().map(String::from).collect();
        Ok(Response::new(pb::RecommendResponse { skus }))
    }

    type AuditRecommendationsStream =
        BoxStream<'static, Result<pb::AuditRecommendationsResponse, Status>>;

    async fn audit_recommendations(
        &self,
        _request: Request<pb::AuditRecommendationsRequest>,
    ) -> Result<Response<Self::AuditRecommendationsStream>, Status> {
        let findings =
            audit::run(&*self.store, &self.learner, self.clock.now()).await.map_err(Error::from)?;
        let first = pb::AuditRecommendationsResponse {
            checks: findings.checks,
            order_ids: Vec::new(),
            forgotten_until_time: findings.forgotten_until.map(timestamp::to_proto),
        };
        let parts = stream::iter([Ok(first)]).chain(order_ids(Arc::clone(&self.store)));
        Ok(Response::new(parts.map_err(Status::from).boxed()))
    }
}

/// What a customer looks at, and how much they want to be shown.
struct Question {
    context: Vec<Sku>,
    count: usize,
}

impl TryFrom<pb::RecommendRequest> for Question {
    type Error = Error;

    fn try_from(request: pb::RecommendRequest) -> Result<Self, Error> {
        let mut violations = Vec::new();
        if MAX_CONTEXT < request.skus.len() {
            violations.push(Violation::new("skus", format!("must be at most {MAX_CONTEXT}")));
        }
        let mut context = Vec::new();
        for (index, sku) in request.skus.iter().take(MAX_CONTEXT).enumerate() {
            match field(&format!("skus[{index}]"), sku) {
                Ok(sku) => context.push(sku),
                Err(violation) => violations.push(violation),
            }
        }
        match PageSize::parse(request.page_size, DEFAULT_PAGE) {
            Ok(size) if violations.is_empty() => Ok(Self { context, count: size.get() as usize }),
            Ok(_) => Err(violations.into()),
            Err(violation) => {
                violations.push(violation);
                Err(violations.into())
            }
        }
    }
}

/// All orders that were learned from, part by part, each read when it is wanted.
fn order_ids(
    store: Arc<dyn Store>,
) -> impl futures::Stream<Item = Result<pb::AuditRecommendationsResponse, Error>> + Send {
    stream::try_unfold((store, 0), |(store, sequence)| async move {
        let rows = store.order_ids(sequence, PART).await?;
        let Some(&(last, _)) = rows.last() else { return Ok(None) };
        let order_ids = rows.into_iter().map(|(_, order_id)| order_id.to_string()).collect();
        let part = pb::AuditRecommendationsResponse { order_ids, ..Default::default() };
        Ok(Some((part, (store, last))))
    })
}
