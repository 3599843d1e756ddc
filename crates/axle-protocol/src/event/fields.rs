//! The canonical form of an event, cut into its top-level fields.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::canonical_json;

/// Top-level fields in canonical order, each as canonical JSON, in one buffer.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    buffer: String,
    entries: Vec<(Box<str>, Range<usize>)>,
}

impl Fields {
    /// Cuts up an object. `signatures` is kept as a field like any other.
    pub(super) fn of(object: &Map<String, Value>) -> Self {
        let mut fields = Self { buffer: String::with_capacity(1024), entries: Vec::with_capacity(object.len()) };
        let mut pairs: Vec<_> = object.iter().collect();
        canonical_json::sort_keys(&mut pairs);
        for (key, value) in pairs {
            let start = fields.buffer.len();
            canonical_json::write_value(&mut fields.buffer, value);
            fields.entries.push((key.as_str().into(), start..fields.buffer.len()));
        }
        fields
    }

    /// The canonical form of one field.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(name, _)| &**name == key).map(|(_, range)| &self.buffer[range.clone()])
    }

    /// Sets a field to something already canonical.
    pub(super) fn set(&mut self, key: &str, canonical: &str) {
        let start = self.buffer.len();
        self.buffer.push_str(canonical);
        let range = start..self.buffer.len();
        match self.entries.binary_search_by(|(name, _)| canonical_json::compare_keys(name, key)) {
            Ok(i) => self.entries[i].1 = range,
            Err(i) => self.entries.insert(i, (key.into(), range)),
        }
    }

    /// The whole object in canonical form. `choose` says for each field what to write: the text it is given, another
    /// one, or nothing.
    pub(super) fn write<'a>(&'a self, mut choose: impl FnMut(&'a str, &'a str) -> Option<&'a str>) -> String {
        let mut out = String::with_capacity(self.buffer.len() + 16 * self.entries.len());
        out.push('{');
        for (key, range) in &self.entries {
            if let Some(text) = choose(key, &self.buffer[range.clone()]) {
                if out.len() > 1 {
                    out.push(',');
                }
                canonical_json::write_string(&mut out, key);
                out.push(':');
                out.push_str(text);
            }
        }
        out.push('}');
        out
    }
}
