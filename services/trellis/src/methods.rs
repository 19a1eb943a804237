//! The methods that are served anywhere in the shop.

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Such as `trellis.shop.v1.ShopService/Checkout`.
pub(crate) fn all() -> impl Iterator<Item = String> {
    let sets = [
        trellis_api::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let decode = |set| FileDescriptorSet::decode(set).expect("the compiler wrote it");
    let files = sets.into_iter().flat_map(move |set| decode(set).file);
    files.flat_map(|file| {
        let package = file.package().to_owned();
        file.service.into_iter().flat_map(move |service| {
            let name = format!("{package}.{}", service.name());
            service.method.into_iter().map(move |method| format!("{name}/{}", method.name()))
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn services_of_the_shop_and_of_grpc_itself_are_known() {
        let all: Vec<String> = super::all().collect();
        for method in [
            "trellis.shop.v1.ShopService/Checkout",
            "trellis.event.v1.ConsumerService/DeliverEvents",
            "grpc.health.v1.Health/Check",
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(all.iter().any(|known| known == method), "{method} in {all:?}");
        }
    }
}
