//! The canonical form of an event, cut into its top-level fields.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::canonical_json;

/// Names that need no allocation.
const KNOWN: [&str; 11] = [
    "auth_events",
    "content",
    "hashes",
    "hub_server",
    "origin_server_ts",
    "prev_events",
    "room_id",
    "sender",
    "signatures",
    "state_key",
    "type",
];

/// Top-level fields in canonical order, each as canonical JSON, in one buffer.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// As made by [`Fields::of`] and [`Fields::compact`], the whole object in canonical form.
    buffer: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: Cow<'static, str>,
    /// The name with quotes and colon.
    key: Range<usize>,
    value: Range<usize>,
}

impl Fields {
    /// Cuts up an object. `signatures` is kept as a field like any other. `bytes`: about how long the canonical form
    /// will be.
    pub(super) fn of(object: &Map<String, Value>, bytes: usize) -> Self {
        let mut fields = Self::with_capacity(bytes, object.len());
        let mut pairs: Vec<_> = object.iter().collect();
        canonical_json::sort_keys(&mut pairs);
        for (name, value) in pairs {
            fields.push(name_of(name), |out| canonical_json::write_value(out, value));
        }
        fields.close();
        fields
    }

    /// The whole object; only of what [`Fields::of`] and [`Fields::compact`] made.
    pub(super) fn canonical(&self) -> &str {
        &self.buffer
    }

    /// Sets a field to something already canonical.
    pub(super) fn set(&mut self, name: &'static str, canonical: &str) {
        let key = self.buffer.len();
        write_key(&mut self.buffer, name);
        let value = self.buffer.len();
        self.buffer.push_str(canonical);
        let entry = Entry { name: Cow::Borrowed(name), key: key..value, value: value..self.buffer.len() };
        match self.entries.binary_search_by(|entry| canonical_json::compare_keys(&entry.name, name)) {
            Ok(i) => self.entries[i] = entry,
            Err(i) => self.entries.insert(i, entry),
        }
    }

    /// A copy with room for what a hub adds, so that adding does not copy again.
    pub(super) fn clone_for_more(&self) -> Self {
        const MORE_BYTES: usize = 768;
        const MORE_FIELDS: usize = 2;
        let mut buffer = String::with_capacity(self.buffer.len() + MORE_BYTES);
        buffer.push_str(&self.buffer);
        let mut entries = Vec::with_capacity(self.entries.len() + MORE_FIELDS);
        entries.extend_from_slice(&self.entries);
        Self { buffer, entries }
    }

    /// Gives back memory that was reserved and not needed.
    pub(super) fn shrink(&mut self) {
        self.buffer.shrink_to_fit();
    }

    /// How long the canonical form of all fields is.
    pub(super) fn canonical_len(&self) -> usize {
        let pairs: usize = self.entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
        let commas = self.entries.len().saturating_sub(1);
        "{}".len() + pairs + commas
    }

    /// The same fields in a buffer that holds nothing else, leaving out those that `keep` does not want.
    pub(super) fn compact(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut fields = Self::with_capacity(self.canonical_len(), self.entries.len());
        for entry in self.entries.iter().filter(|entry| keep(&entry.name)) {
            fields.push(entry.name.clone(), |out| out.push_str(&self.buffer[entry.value.clone()]));
        }
        fields.close();
        fields
    }

    /// The whole object in canonical form. `choose` says for each field what to write: the text it is given, another
    /// one, or nothing.
    pub(super) fn write<'a>(&'a self, mut choose: impl FnMut(&'a str, &'a str) -> Option<&'a str>) -> String {
        let mut out = String::with_capacity(self.buffer.len());
        out.push('{');
        for entry in &self.entries {
            if let Some(text) = choose(&entry.name, &self.buffer[entry.value.clone()]) {
                if out.len() > 1 {
                    out.push(',');
                }
                out.push_str(&self.buffer[entry.key.clone()]);
                out.push_str(text);
            }
        }
        out.push('}');
        out
    }

    fn with_capacity(bytes: usize, fields: usize) -> Self {
        let mut buffer = String::with_capacity(bytes);
        buffer.push('{');
        Self { buffer, entries: Vec::with_capacity(fields) }
    }

    fn push(&mut self, name: Cow<'static, str>, write: impl FnOnce(&mut String)) {
        if !self.entries.is_empty() {
            self.buffer.push(',');
        }
        let key = self.buffer.len();
        write_key(&mut self.buffer, &name);
        let value = self.buffer.len();
        write(&mut self.buffer);
        self.entries.push(Entry { name, key: key..value, value: value..self.buffer.len() });
    }

    fn close(&mut self) {
        self.buffer.push('}');
    }
}

fn write_key(out: &mut String, name: &str) {
    canonical_json::write_string(out, name);
    out.push(':');
}

fn name_of(name: &str) -> Cow<'static, str> {
    match KNOWN.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}
