//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: `axle.toml, line 3`, `the environment variable AXLE_DATA`, or `--data`; empty for no one place.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ConfigError {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>, hint: Option<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), hint }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
