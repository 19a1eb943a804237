//! What a process is: the same for its spans and its metrics.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_semantic_conventions::resource::{
    SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION,
};
use uuid::Uuid;

use crate::settings::Settings;

/// Each process is an instance of its own, under a random id as the conventions recommend.
/// `service` is its name where the settings give no other.
pub(crate) fn of(service: &str, settings: &Settings) -> Resource {
    let given =
        settings.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let own_name = given.clone().all(|pair| pair.key.as_str() != SERVICE_NAME);
    let name = match &settings.service_name {
        Some(name) => Some(name.clone()),
        None => own_name.then(|| service.to_owned()),
    };
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(SERVICE_INSTANCE_ID, Uuid::new_v4().to_string()))
        .with_attributes(given)
        .with_attributes(name.map(|name| KeyValue::new(SERVICE_NAME, name)))
        .build()
}

/// Its attributes, in the order of their names.
pub(crate) fn attributes(resource: &Resource) -> Vec<(String, String)> {
    let attributes = resource.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort();
    attributes
}

/// Those that `target_info` shows. Which instance it is says the label `instance`, which
/// Prometheus adds.
pub(crate) fn shown(attributes: &[(String, String)]) -> Vec<(String, String)> {
    attributes.iter().filter(|(key, _)| key != SERVICE_INSTANCE_ID).cloned().collect()
}
