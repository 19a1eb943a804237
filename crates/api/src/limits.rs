//! How large a message may be.
//!
//! Whoever sends sees to it that what is right also fits: lists are cut by their bytes as
//! well as by their length. What comes in and is larger is refused by `OUT_OF_RANGE`
//! before it is decoded, and never held in memory.

use prost::Message;
use tonic::client::GrpcService;
use tonic::codegen::{Body, Bytes, StdError};

use crate::{event, inventory, order, payment, recommendation, shop, user};

/// The largest message between services, and the largest answer to anyone, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// The largest message that the public takes from outside, in bytes.
pub const MAX_PUBLIC_MESSAGE: usize = 256 * 1024;

/// What a list may take up of a message, in bytes; the rest is for what stands beside it.
const MAX_LIST: usize = MAX_MESSAGE - 16 * 1024;

/// The most bytes that stand before a message inside of another: a tag and a length.
const FRAME: usize = 6;

/// What every generated client and server can be: limited in what it takes and sends.
pub trait Bounded: Sized {
    /// Takes and sends messages of up to so many bytes.
    #[must_use]
    fn with_limits(self, taken: usize, sent: usize) -> Self;

    /// For calls between services: [`MAX_MESSAGE`] either way.
    #[must_use]
    fn bounded(self) -> Self {
        self.with_limits(MAX_MESSAGE, MAX_MESSAGE)
    }

    /// For a server that anybody can call: takes [`MAX_PUBLIC_MESSAGE`].
    #[must_use]
    fn at_the_edge(self) -> Self {
        self.with_limits(MAX_PUBLIC_MESSAGE, MAX_MESSAGE)
    }
}

/// How many of `messages`, from the first on, fit into the list of one message. It is at
/// least one, if there is one: no single entry of a list is larger than a message.
pub fn fitting<M: Message>(messages: &[M]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&M| {
        bytes += len_in_list(*message);
        bytes <= MAX_LIST
    };
    messages.iter().take_while(fits).count().max(messages.len().min(1))
}

/// Whether a list of so many bytes fits into a message.
pub fn list_fits(bytes: usize) -> bool {
    bytes <= MAX_LIST
}

/// The bytes that a message takes up in a list, at the most.
pub fn len_in_list(message: &impl Message) -> usize {
    message.encoded_len() + FRAME
}

macro_rules! bounded {
    ($($package:ident: $client:ident of $calls:ident, $server:ident of $service:ident;)*) => {
        $(
            impl<T> Bounded for $package::v1::$calls::$client<T>
            where
                T: GrpcService<tonic::body::Body>,
                T::Error: Into<StdError>,
                T::ResponseBody: Body<Data = Bytes> + Send + 'static,
                <T::ResponseBody as Body>::Error: Into<StdError> + Send,
            {
                fn with_limits(self, taken: usize, sent: usize) -> Self {
                    self.max_decoding_message_size(taken).max_encoding_message_size(sent)
                }
            }

            impl<T> Bounded for $package::v1::$service::$server<T> {
                fn with_limits(self, taken: usize, sent: usize) -> Self {
                    self.max_decoding_message_size(taken).max_encoding_message_size(sent)
                }
            }
        )*
    };
}

bounded! {
    event: ConsumerServiceClient of consumer_service_client,
        ConsumerServiceServer of consumer_service_server;
    inventory: InventoryServiceClient of inventory_service_client,
        InventoryServiceServer of inventory_service_server;
    order: OrderServiceClient of order_service_client,
        OrderServiceServer of order_service_server;
    payment: PaymentServiceClient of payment_service_client,
        PaymentServiceServer of payment_service_server;
    recommendation: RecommendationServiceClient of recommendation_service_client,
        RecommendationServiceServer of recommendation_service_server;
    shop: AdminServiceClient of admin_service_client,
        AdminServiceServer of admin_service_server;
    shop: ShopServiceClient of shop_service_client,
        ShopServiceServer of shop_service_server;
    user: UserServiceClient of user_service_client,
        UserServiceServer of user_service_server;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shop::v1::{ListOrdersResponse, Order, OrderItem};

    fn order(bytes: usize) -> Order {
        let item = OrderItem { title: "x".repeat(bytes), ..OrderItem::default() };
        Order { items: vec![item], ..Order::default() }
    }

    proptest! {
        #[test]
        fn what_fits_into_a_list_fits_into_a_message_and_one_more_would_not(
            sizes in prop::collection::vec(0..400_000_usize, 0..40),
        ) {
            let orders: Vec<Order> = sizes.into_iter().map(order).collect();
            let fit = fitting(&orders);
            let bytes = |count: usize| {
                let orders = orders[..count].to_vec();
                ListOrdersResponse { orders, next_page_token: String::new() }.encoded_len()
            };

            prop_assert!(bytes(fit) <= MAX_LIST);
            prop_assert!(fit == orders.len() || MAX_LIST < bytes(fit + 1) + FRAME * (fit + 1));
            prop_assert_eq!(fit == 0, orders.is_empty());
        }
    }

    #[test]
    fn the_largest_order_fits_alone() {
        // 1,000 lines, each with a title of 200 letters of four bytes.
        let line = OrderItem {
            sku: "X".repeat(32),
            title: "\u{1f375}".repeat(200),
            quantity: 100_000,
            unit_price: Some(crate::r#type::v1::Money {
                currency_code: "GBP".into(),
                minor_units: i64::MAX,
            }),
        };
        let largest = Order { items: vec![line; 1_000], ..Order::default() };

        assert!(len_in_list(&largest) <= MAX_LIST, "{}", largest.encoded_len());
    }
}
