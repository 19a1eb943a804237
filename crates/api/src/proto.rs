//! The generated code, one module a package.

macro_rules! package {
    ($($module:ident = $package:literal),* $(,)?) => {
        $(
            /// Generated from the package's protos, where the documentation is.
            #[allow(
                clippy::all,
                clippy::pedantic,
                clippy::allow_attributes_without_reason,
                clippy::allow_attributes,
                clippy::str_to_string,
                unreachable_pub,
                missing_debug_implementations,
                rustdoc::all,
                reason = "generated"
            )]
            pub mod $module {
                /// Version 1.
                pub mod v1 {
                    tonic::include_proto!($package);
                }
            }
        )*
    };
}

package! {
    event = "trellis.event.v1",
    inventory = "trellis.inventory.v1",
    order = "trellis.order.v1",
    payment = "trellis.payment.v1",
    recommendation = "trellis.recommendation.v1",
    shop = "trellis.shop.v1",
    r#type = "trellis.r#type.v1",
    user = "trellis.user.v1",
}
