//! Settings: defaults, then a TOML file, then variables named `TRELLIS_…`.
//!
//! A key that nobody knows, or a value that makes no sense, stops the process with a
//! message that names it and where it stands. So the settings' structs carry
//! `#[serde(default, deny_unknown_fields)]`.

mod complaint;
mod layer;
mod variable;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::de::DeserializeOwned;

use layer::Layer;
use variable::Variable;

/// The file that is read if none is named, and if it exists.
const DEFAULT_FILE: &str = "trellis.toml";

/// Reads the settings of this process.
///
/// `file` must exist if it is given; else `trellis.toml` is read if it exists. A
/// variable `TRELLIS_DATA_DIR` sets `data_dir`; `TRELLIS_USER_DATABASE` sets
/// `user.database` if `sections` has `user`. An empty variable counts as unset.
pub fn load<T: DeserializeOwned>(file: Option<&Path>, sections: &[&str]) -> anyhow::Result<T> {
    let file = read(file)?;
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| variable::is_setting(name)) else {
            continue;
        };
        let value = value.to_str().with_context(|| format!("the variable {name} is not text"))?;
        variables.extend(Variable::new(name, value, sections));
    }
    merge(file.as_ref(), &variables)
}

/// The settings in the file, as it says them.
fn read(file: Option<&Path>) -> anyhow::Result<Option<Layer>> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(name, &text).map(Some),
        Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the settings in {name}")),
    }
}

fn parse(name: String, text: &str) -> anyhow::Result<Layer> {
    // The error points at line and column.
    let values = Toml::from_str(text).with_context(|| format!("{name} is not valid TOML"))?;
    Ok(Layer::new(name, values))
}

fn merge<T: DeserializeOwned>(file: Option<&Layer>, variables: &[Variable]) -> anyhow::Result<T> {
    // A variable has no type of its own. One that looks like a number or a list, but
    // is wanted as text, is taken as text on the next try.
    let mut texts = BTreeSet::new();
    loop {
        let mut figment = file.map_or_else(Figment::new, Figment::from);
        for variable in variables {
            figment = figment.merge(variable.layer(texts.contains(&variable.source)));
        }
        let error = match figment.extract::<T>() {
            Ok(settings) => return Ok(settings),
            Err(error) => error,
        };
        let source = complaint::wants_text(&error);
        let variable = variables.iter().find(|variable| Some(variable.source.as_str()) == source);
        match variable {
            Some(variable) if texts.insert(variable.source.clone()) => {}
            _ => return Err(complaint::explain(error)),
        }
    }
}

#[cfg(test)]
mod tests;
