//! A variable of the environment as a setting.

use std::convert::Infallible;

use figment::value::{Dict, Value};

use super::layer::Layer;

const PREFIX: &str = "TRELLIS_";

/// Variables that are ours and no settings: where the settings stand, what is logged and
/// traced, and what tests ask for.
const NO_SETTINGS: [&str; 3] = ["CONFIG", "LOG", "TRACE"];
const NO_SETTINGS_PREFIX: &str = "TEST_";

/// A variable, and the key that it sets. It has no `Debug`: it may be a secret.
pub(super) struct Variable {
    /// What messages call it.
    pub(super) source: String,
    value: String,
    section: Option<String>,
    key: String,
}

/// Whether the variable is a setting.
pub(super) fn is_setting(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| !NO_SETTINGS.contains(&rest) && !rest.starts_with(NO_SETTINGS_PREFIX))
}

impl Variable {
    /// `None` if it is empty, which is how a container says "not set".
    pub(super) fn new(name: &str, value: &str, sections: &[&str]) -> Option<Self> {
        if value.is_empty() {
            return None;
        }
        let path = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
        let split = sections
            .iter()
            .filter_map(|section| Some((*section, path.strip_prefix(section)?.strip_prefix('_')?)))
            // The longer name, where one section's name begins another's.
            .max_by_key(|(section, _)| section.len());
        let (section, key) = match split {
            Some((section, key)) => (Some(section.to_owned()), key.to_owned()),
            None => (None, path),
        };
        let source = format!("the variable {name}");
        Some(Self { source, value: value.to_owned(), section, key })
    }

    /// The setting: as it is written if `as_text`, else as the number, the truth value
    /// or the list that it looks like.
    pub(super) fn layer(&self, as_text: bool) -> Layer {
        let value = if as_text {
            Value::from(self.value.as_str())
        } else {
            // What looks like nothing else is text.
            self.value.parse().unwrap_or_else(|never: Infallible| match never {})
        };
        let mut values = Dict::from([(self.key.clone(), value)]);
        if let Some(section) = &self.section {
            values = Dict::from([(section.clone(), Value::from(values))]);
        }
        Layer::new(self.source.clone(), values)
    }
}
