//! The words that services share on the wire.
//!
//! Generated messages, clients and servers of `proto/trellis`, and beside them
//! the small values that every service parses alike: ids, SKUs, money, page
//! tokens, error details. Nothing here decides anything about a shop.

pub mod error;
pub mod id;
pub mod limits;
pub mod page;
pub mod timestamp;

mod money;
mod product;
mod proto;
mod redacted;

pub use money::{Currency, Money, ParseMoneyError};
pub use product::{ParseQuantityError, ParseSkuError, Quantity, Sku};
pub use proto::{event, inventory, order, payment, recommendation, shop, r#type, user};

/// Every proto with its imports, for reflection and for transcoding.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
