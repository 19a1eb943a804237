//! The services behind the gateway.

use trellis_api::event::v1::consumer_service_client::ConsumerServiceClient;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::limits::Bounded as _;
use trellis_api::order::v1::order_service_client::OrderServiceClient;
use trellis_api::payment::v1::payment_service_client::PaymentServiceClient;
use trellis_api::recommendation::v1::recommendation_service_client::RecommendationServiceClient;
use trellis_api::user::v1::user_service_client::UserServiceClient;
use trellis_chassis::transport::Transport;

use crate::Needs;

/// One client for each service. Cheap to clone, as a call needs its own.
#[derive(Clone, Debug)]
pub struct Peers {
    pub(crate) user: UserServiceClient<Transport>,
    pub(crate) inventory: InventoryServiceClient<Transport>,
    pub(crate) payment: PaymentServiceClient<Transport>,
    pub(crate) order: OrderServiceClient<Transport>,
    pub(crate) recommendation: RecommendationServiceClient<Transport>,
    /// Those that hear events, by the name under which they do.
    pub(crate) consumers: [(&'static str, ConsumerServiceClient<Transport>); 2],
}

impl Peers {
    /// Reaches the services over the roads of `needs`.
    pub fn new(needs: &Needs) -> Self {
        Self::over(
            &needs.user,
            &needs.inventory,
            &needs.payment,
            &needs.order,
            &needs.recommendation,
        )
    }

    /// Reaches the services over these roads.
    pub fn over(
        user: &Transport,
        inventory: &Transport,
        payment: &Transport,
        order: &Transport,
        recommendation: &Transport,
    ) -> Self {
        Self {
            user: UserServiceClient::new(user.clone()).bounded(),
            inventory: InventoryServiceClient::new(inventory.clone()).bounded(),
            payment: PaymentServiceClient::new(payment.clone()).bounded(),
            order: OrderServiceClient::new(order.clone()).bounded(),
            recommendation: RecommendationServiceClient::new(recommendation.clone()).bounded(),
            consumers: [
                ("order", ConsumerServiceClient::new(order.clone()).bounded()),
                ("recommendation", ConsumerServiceClient::new(recommendation.clone()).bounded()),
            ],
        }
    }
}
