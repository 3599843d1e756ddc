//! Canonical JSON: RFC 8785 ("Canonical JSON").
//!
//! Numbers are IEEE 754 doubles written as ECMAScript does, so `1.0` becomes `1` and 2^53 + 1 loses its last bit.
//! Keys are ordered by their UTF-16 code units.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::limits::{MAX_JSON_DEPTH, MAX_SAFE_INTEGER};

/// Why bytes are not JSON that this protocol accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// Parses JSON, refusing what canonical JSON cannot represent: duplicate keys, lone surrogates, infinite numbers,
/// nesting deeper than [`MAX_JSON_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    // Once over all bytes is cheaper than once for each string in them.
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError(format!("not UTF-8: {error}")))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(|e| JsonError(e.to_string()))?;
    reader.end().map_err(|e| JsonError(e.to_string()))?;
    Ok(value)
}

/// Parses a JSON object; see [`parse`].
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match parse(bytes)? {
        Value::Object(map) => Ok(map),
        _ => Err(JsonError("expected a JSON object".into())),
    }
}

/// A value in canonical form.
pub fn to_string(value: &Value) -> String {
    let mut out = String::with_capacity(256);
    write_value(&mut out, value);
    out
}

/// An object in canonical form.
pub fn object_to_string(map: &Map<String, Value>) -> String {
    let mut out = String::with_capacity(256);
    write_object(&mut out, map);
    out
}

/// The fields that `keep` wants of an object, in canonical form.
pub fn object_to_string_where(map: &Map<String, Value>, keep: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(256);
    write_pairs(&mut out, || map.iter().filter(|(key, _)| keep(key)));
    out
}

/// Appends a value in canonical form.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => write_object(out, map),
    }
}

/// Appends a string in canonical form, with its quotes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    // A fold has no early exit, so that the compiler makes it look at many bytes at once: most strings are clean.
    if text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        write_escaped(out, text);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escaped(out: &mut String, text: &str) {
    let mut clean_from = 0;
    for (i, byte) in text.bytes().enumerate().filter(|(_, byte)| needs_escape(*byte)) {
        out.push_str(&text[clean_from..i]);
        clean_from = i + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x08 => out.push_str("\\b"),
            0x09 => out.push_str("\\t"),
            0x0a => out.push_str("\\n"),
            0x0c => out.push_str("\\f"),
            0x0d => out.push_str("\\r"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                out.push(HEX[usize::from(control >> 4)].into());
                out.push(HEX[usize::from(control & 15)].into());
            }
        }
    }
    out.push_str(&text[clean_from..]);
}

/// Appends an object whose values `write` writes.
pub fn write_map<'a, V: 'a>(
    out: &mut String,
    entries: impl IntoIterator<Item = (&'a String, &'a V)>,
    write: impl Fn(&mut String, &V),
) {
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by(|(a, _), (b, _)| compare_keys(a, b));
    out.push('{');
    for (i, (key, value)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

/// Sorts keys as RFC 8785 orders them: by UTF-16 code units.
pub fn sort_keys<T>(entries: &mut [(T, &Value)])
where
    T: AsRef<str>,
{
    entries.sort_by(|(a, _), (b, _)| compare_keys(a.as_ref(), b.as_ref()));
}

/// The order of two keys in canonical JSON.
pub fn compare_keys(a: &str, b: &str) -> std::cmp::Ordering {
    if differs_in_utf16_order(a) || differs_in_utf16_order(b) {
        a.encode_utf16().cmp(b.encode_utf16())
    } else {
        a.cmp(b)
    }
}

/// Whether every number in the value is an integer that Matrix servers accept too. What this server creates must be.
pub fn has_only_safe_integers(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|n| (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&n)),
        Value::Array(items) => items.iter().all(has_only_safe_integers),
        Value::Object(map) => map.values().all(has_only_safe_integers),
        _ => true,
    }
}

/// The integer that a number stands for, if it is one within +-(2^53 - 1). `100.0` and `1e2` are 100: their canonical
/// form, and so the event's id, is the same, and two servers may have read either.
pub fn as_integer(value: &Value) -> Option<i64> {
    let number = value.as_number()?;
    let integer = match number.as_i64() {
        Some(integer) => integer,
        #[allow(clippy::cast_possible_truncation)] // `as` saturates, and what saturates is out of the range below.
        None => number.as_f64().filter(|double| double.fract() == 0.0)? as i64,
    };
    (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&integer).then_some(integer)
}

fn write_object(out: &mut String, map: &Map<String, Value>) {
    write_pairs(out, || map.iter());
}

/// Writes an object of the pairs that `pairs` yields; it is asked once or twice.
fn write_pairs<'a, I>(out: &mut String, pairs: impl Fn() -> I)
where
    I: Iterator<Item = (&'a String, &'a Value)>,
{
    out.push('{');
    // `Map` yields UTF-8 order, mostly UTF-16 order too; under the feature `preserve_order` of serde_json, any order.
    if pairs().is_sorted_by(|(a, _), (b, _)| compare_keys(a, b).is_lt()) {
        write_entries(out, pairs());
    } else {
        let mut sorted: Vec<_> = pairs().collect();
        sort_keys(&mut sorted);
        write_entries(out, sorted.into_iter());
    }
    out.push('}');
}

fn write_entries<'a>(out: &mut String, entries: impl Iterator<Item = (&'a String, &'a Value)>) {
    for (i, (key, value)) in entries.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_value(out, value);
    }
}

fn differs_in_utf16_order(key: &str) -> bool {
    // The UTF-8 form of U+E000 and everything after it starts with a byte of at least 0xEE.
    key.bytes().any(|byte| byte >= 0xee)
}

fn write_number(out: &mut String, number: &Number) {
    use fmt::Write as _;
    if let Some(n) = number.as_i64().filter(|n| (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(n)) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{n}");
        return;
    }
    let double = number.as_f64().unwrap_or(0.0);
    out.push_str(ryu_js::Buffer::new().format(double));
}

/// Builds a [`Value`], refusing duplicate keys and deep nesting.
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_JSON_DEPTH {
            return Err(de::Error::custom(format_args!("nested deeper than {MAX_JSON_DEPTH} levels")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict { depth: self.depth + 1 })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(access.next_value_seed(Strict { depth: self.depth + 1 })?);
                }
                Entry::Occupied(entry) => {
                    return Err(de::Error::custom(format_args!(
                        "the key {:?} stands twice in one object",
                        entry.key()
                    )));
                }
            }
        }
        Ok(Value::Object(map))
    }
}
