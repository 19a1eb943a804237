//! The public API: finds out who is calling, asks the services, says the answer.
//!
//! Fields are parsed by the service that owns them, so a rule stands in one
//! place; what is parsed here is only what this crate uses itself.

mod account;
mod cart;
mod catalogue;
mod order;

use std::pin::Pin;

use futures::Stream;
use http::Extensions;
use tonic::{Request, Response, Status};
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::shop_service_server::ShopService;

use crate::consistency::Consistency;
use crate::identity;
use crate::meters::Meters;
use crate::peers::Peers;
use crate::remembered::Remembered;
use crate::views::Views;

/// The shop as customers see it.
#[derive(Debug)]
pub(crate) struct Shop {
    peers: Peers,
    remembered: Remembered,
    views: Views,
    meters: Meters,
    consistency: Consistency,
}

type Answer<T> = Result<Response<T>, Status>;

impl Shop {
    pub(crate) fn new(
        peers: Peers,
        remembered: Remembered,
        views: Views,
        meters: Meters,
        consistency: Consistency,
    ) -> Self {
        Self { peers, remembered, views, meters, consistency }
    }

    /// The customer whose session the call shows. From here on it sees what they did.
    async fn customer<T>(&self, request: &Request<T>) -> Result<identity::UserId, Status> {
        let user_id = identity::customer(&self.peers, request.metadata()).await?;
        self.consistency.is_of(request.extensions(), &user_id);
        Ok(user_id)
    }

    /// A customer has come in, whose next calls see what this one did.
    fn welcome(&self, extensions: &Extensions, user: Option<&pb::User>) {
        if let Some(user) = user {
            self.consistency.is_of(extensions, &user.user_id);
        }
    }
}

#[tonic::async_trait]
impl ShopService for Shop {
    async fn sign_up(&self, request: Request<pb::SignUpRequest>) -> Answer<pb::SignUpResponse> {
        let extensions = request.extensions().clone();
        let answer = account::sign_up(&self.peers, request.into_inner()).await?;
        self.welcome(&extensions, answer.get_ref().user.as_ref());
        Ok(answer)
    }

    async fn sign_in(&self, request: Request<pb::SignInRequest>) -> Answer<pb::SignInResponse> {
        let extensions = request.extensions().clone();
        let answer = account::sign_in(&self.peers, request).await?;
        self.welcome(&extensions, answer.get_ref().user.as_ref());
        Ok(answer)
    }

    async fn sign_out(&self, request: Request<pb::SignOutRequest>) -> Answer<pb::SignOutResponse> {
        account::sign_out(&self.peers, request.metadata()).await
    }

    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Answer<pb::GetProfileResponse> {
        account::get(&self.peers, self.customer(&request).await?).await
    }

    async fn update_profile(
        &self,
        request: Request<pb::UpdateProfileRequest>,
    ) -> Answer<pb::UpdateProfileResponse> {
        let user_id = self.customer(&request).await?;
        account::update(&self.peers, user_id, request.into_inner()).await
    }

    async fn delete_account(
        &self,
        request: Request<pb::DeleteAccountRequest>,
    ) -> Answer<pb::DeleteAccountResponse> {
        account::delete(&self.peers, self.customer(&request).await?).await
    }

    async fn list_products(
        &self,
        request: Request<pb::ListProductsRequest>,
    ) -> Answer<pb::ListProductsResponse> {
        catalogue::list(&self.peers, request.into_inner()).await
    }

    async fn get_product(
        &self,
        request: Request<pb::GetProductRequest>,
    ) -> Answer<pb::GetProductResponse> {
        catalogue::page(self, request.into_inner()).await
    }

    async fn list_recommendations(
        &self,
        request: Request<pb::ListRecommendationsRequest>,
    ) -> Answer<pb::ListRecommendationsResponse> {
        catalogue::recommend(self, request.into_inner()).await
    }

    async fn get_cart(&self, request: Request<pb::GetCartRequest>) -> Answer<pb::GetCartResponse> {
        let user_id = self.customer(&request).await?;
        cart::get(self, user_id, request.into_inner()).await
    }

    async fn set_cart_item(
        &self,
        request: Request<pb::SetCartItemRequest>,
    ) -> Answer<pb::SetCartItemResponse> {
        let user_id = self.customer(&request).await?;
        cart::set(self, user_id, request.into_inner()).await
    }

    async fn checkout(
        &self,
        request: Request<pb::CheckoutRequest>,
    ) -> Answer<pb::CheckoutResponse> {
        let user_id = self.customer(&request).await?;
        order::checkout(&self.peers, user_id, request.into_inner()).await
    }

    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> Answer<pb::GetOrderResponse> {
        let user_id = self.customer(&request).await?;
        order::get(&self.peers, user_id, request.into_inner()).await
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> Answer<pb::ListOrdersResponse> {
        let user_id = self.customer(&request).await?;
        order::list(&self.peers, user_id, request.into_inner()).await
    }

    async fn cancel_order(
        &self,
        request: Request<pb::CancelOrderRequest>,
    ) -> Answer<pb::CancelOrderResponse> {
        let user_id = self.customer(&request).await?;
        order::cancel(&self.peers, user_id, request.into_inner()).await
    }

    type WatchOrderStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchOrderResponse, Status>> + Send>>;

    async fn watch_order(
        &self,
        request: Request<pb::WatchOrderRequest>,
    ) -> Answer<Self::WatchOrderStream> {
        let user_id = self.customer(&request).await?;
        order::watch(&self.peers, user_id, request.into_inner()).await
    }
}
