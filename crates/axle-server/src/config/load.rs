//! Putting a configuration together: file, environment, flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::check::check;
use super::options::{Kind, OPTIONS, OptionInfo};
use super::source::{Source, nearest};
use super::{Config, ConfigError};

/// Prefix of the environment variables.
const PREFIX: &str = "AXLE_";

/// Where a configuration comes from, the weakest first.
#[derive(Debug, Default)]
pub struct Inputs {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `AXLE_` are ignored.
    pub environment: Vec<(String, String)>,
    /// Command line flags: (flag as it is written, option, value in the syntax of a variable).
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// Where each option was set.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<&'static str, String>);

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where each option was set.
    pub sources: Sources,
    /// Things to tell the operator that are not errors.
    pub warnings: Vec<String>,
}

impl Sources {
    /// Where the option was set; `None`: nowhere, it has its default.
    pub fn place(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl Loaded {
    /// The option that names this file or folder, with where it was set.
    pub fn option_of(&self, file: &Path) -> Option<String> {
        let Config { data, client, federation, .. } = &self.config;
        let files = [
            ("data", Some(data)),
            ("client.tls_certificate", client.tls_certificate.as_ref()),
            ("client.tls_key", client.tls_key.as_ref()),
            ("federation.tls_certificate", federation.tls_certificate.as_ref()),
            ("federation.tls_key", federation.tls_key.as_ref()),
            ("federation.ca_file", federation.ca_file.as_ref()),
        ];
        let (key, _) = files.into_iter().find(|(_, named)| named.is_some_and(|named| named == file))?;
        let place = self.sources.place(key).map(|place| format!("{place}: "));
        Some(format!("{}{key}", place.unwrap_or_default()))
    }
}

/// Reads and checks a configuration.
pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigError> {
    let mut sources = Sources::default();
    let mut warnings = Vec::new();
    let mut table = match &inputs.file {
        Some(path) => read_file(path, &mut sources)?,
        None => Table::new(),
    };
    for (name, text) in &inputs.environment {
        let Some(key) = name.strip_prefix(PREFIX).map(|rest| rest.to_lowercase().replace("__", ".")) else { continue };
        let place = format!("the environment variable {name}");
        match OptionInfo::find(&key) {
            Some(option) => {
                let written = format!("{}=", option.variable());
                overlay(&mut table, option, text, (place, &written), &mut sources)?;
            }
            None if key.contains('.') => return Err(unknown_variable(name, &key)),
            None => warnings.extend(unused_variable(name, &key)),
        }
    }
    for (flag, key, text) in &inputs.flags {
        let option = OptionInfo::find(key)
            .ok_or_else(|| ConfigError::new(*flag, format!("sets the option {key:?}, which does not exist"), None))?;
        overlay(&mut table, option, text, ((*flag).to_owned(), &format!("{flag} ")), &mut sources)?;
    }
    let config = Config::deserialize(Value::Table(table))
        .map_err(|error| ConfigError::new("the configuration", error.message(), None))?;
    check(&config, &sources)?;
    Ok(Loaded { config, sources, warnings })
}

fn read_file(path: &Path, sources: &mut Sources) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = "Start without --config (and without AXLE_CONFIG) to run with the defaults.";
        ConfigError::new(path.display().to_string(), format!("cannot be read: {error}"), Some(hint.into()))
    })?;
    let source = Source::new(path, &text);
    let keys = source.keys()?;
    Config::deserialize(toml::Deserializer::parse(&text).map_err(|error| source.error(&error, &keys))?)
        .map_err(|error| source.error(&error, &keys))?;
    for found in &keys {
        sources.0.insert(found.option.key, source.place(found.start));
    }
    text.parse().map_err(|error: toml::de::Error| source.error(&error, &keys))
}

/// Sets one option of the table, after checking that the value is one that the option can have. `written`: what stands
/// before the value in that place.
fn overlay(
    table: &mut Table,
    option: &'static OptionInfo,
    text: &str,
    (place, written): (String, &str),
    sources: &mut Sources,
) -> Result<(), ConfigError> {
    let value =
        from_text(option, text).map_err(|problem| ConfigError::new(&place, problem, Some(example(option, written))))?;
    let mut alone = Table::new();
    set(&mut alone, option, value.clone());
    Config::deserialize(Value::Table(alone))
        .map_err(|error| ConfigError::new(&place, error.message(), Some(example(option, written))))?;
    set(table, option, value);
    sources.0.insert(option.key, place);
    Ok(())
}

fn set(table: &mut Table, option: &OptionInfo, value: Value) {
    let (section, name) = option.split();
    let Some(section) = section else {
        table.insert(name.into(), value);
        return;
    };
    let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        inner.insert(name.into(), value);
    }
}

fn from_text(option: &OptionInfo, text: &str) -> Result<Value, String> {
    let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    match option.kind {
        Kind::Text => Ok(Value::String(text.into())),
        Kind::Number => text.parse().map(Value::Integer).map_err(|_| format!("{text:?} is not a whole number")),
        Kind::Switch => text.parse().map(Value::Boolean).map_err(|_| format!("{text:?} is neither true nor false")),
        Kind::List => Ok(Value::Array(parts().map(|part| Value::String(part.into())).collect())),
        Kind::Table => parts()
            .map(|part| match part.split_once('=') {
                Some((name, value)) => Ok((name.trim().to_owned(), Value::String(value.trim().into()))),
                None => Err(format!("{part:?} is not name=value")),
            })
            .collect::<Result<Table, String>>()
            .map(Value::Table),
    }
}

/// How to write the option in a variable or flag.
fn example(option: &OptionInfo, written: &str) -> String {
    let value = option.example.parse::<Value>().map_or_else(|_| option.example.into(), |value| as_text(&value));
    format!("Write for example {written}{value}")
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        Value::Table(table) => table.iter().map(|(k, v)| format!("{k}={}", as_text(v))).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn unknown_variable(name: &str, key: &str) -> ConfigError {
    let hint = nearest(key, OPTIONS.iter().map(|option| option.key))
        .and_then(OptionInfo::find)
        .map(|option| format!("Did you mean {}?", option.variable()));
    ConfigError::new(format!("the environment variable {name}"), format!("there is no option {key:?}"), hint)
}

/// Variables of other subcommands begin with the same prefix, so that an unknown one is no error.
fn unused_variable(name: &str, key: &str) -> Option<String> {
    let option = nearest(key, OPTIONS.iter().map(|option| option.key)).and_then(OptionInfo::find)?;
    Some(format!("the environment variable {name} sets nothing; did you mean {}?", option.variable()))
}
