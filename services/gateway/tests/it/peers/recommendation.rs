//! Suggestions, the same for every product.

use futures::stream::Empty;
use tonic::{Request, Response, Status};
use trellis_api::recommendation::v1 as pb;
use trellis_api::recommendation::v1::recommendation_service_server::RecommendationService;

use super::{Call, Peers, not_asked};

#[tonic::async_trait]
impl RecommendationService for Peers {
    type AuditRecommendationsStream = Empty<Result<pb::AuditRecommendationsResponse, Status>>;

    async fn recommend(
        &self,
        request: Request<pb::RecommendRequest>,
    ) -> Result<Response<pb::RecommendResponse>, Status> {
        let asked = request.into_inner().skus;
        self.answer(&[Call::Recommend], |state| {
            let suggested = state.suggested.iter().map(|&sku| sku.to_owned());
            let skus = suggested.filter(|sku| !asked.contains(sku)).collect();
            Ok(pb::RecommendResponse { skus })
        })
        .await
    }

    async fn audit_recommendations(
        &self,
        _: Request<pb::AuditRecommendationsRequest>,
    ) -> Result<Response<Self::AuditRecommendationsStream>, Status> {
        Err(not_asked())
    }
}
