//! One source of settings, with the name that messages call it by.

use figment::value::{Dict, Map};
use figment::{Error, Metadata, Profile, Provider};

/// It has no `Debug`: it may hold secrets.
pub(super) struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    pub(super) fn new(name: String, values: Dict) -> Self {
        Self { name, values }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}
