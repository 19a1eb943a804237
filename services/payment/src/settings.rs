//! What can be set.

use secrecy::SecretString;
use serde::Deserialize;
use trellis_storage::Url;

/// The payment service's settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the records are kept: `sqlite:PATH` or `postgres://…`. Default: the file `payment.db`
    /// in the data directory.
    pub database: Option<Url>,
    /// Who moves the money: `sandbox` (test tokens, no money) or `http` (an API
    /// that speaks `PaymentIntents`). Default: `sandbox`.
    pub processor: ProcessorKind,
    /// Where the `http` processor is, such as `https://api.stripe.com`. No default.
    pub processor_url: String,
    /// The `http` processor's secret key. No default; never shown.
    #[serde(skip_serializing)]
    pub processor_key: SecretString,
    /// How long one call to the processor may take, in seconds, before its
    /// outcome counts as unknown: 1 to 25. Default: 8.
    pub processor_timeout_seconds: u64,
    /// How often payments with an unknown outcome are looked at, in seconds, at
    /// least 1. Default: 5.
    pub reconcile_interval_seconds: u64,
}

/// A processor that this service can talk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessorKind {
    /// Plays a processor in this process.
    #[default]
    Sandbox,
    /// Speaks the PaymentIntents subset of Stripe's API.
    Http,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: None,
            processor: ProcessorKind::default(),
            processor_url: String::new(),
            processor_key: SecretString::default(),
            processor_timeout_seconds: 8,
            reconcile_interval_seconds: 5,
        }
    }
}
