//! How well an event matches a search: the Okapi BM25 formula without the weight of rare words, which is the same for all
//! matches, as each has all of the words.

use std::collections::HashMap;

use axle_store::StoredEvent;
use serde::Deserialize;
use serde_json::Value;

use crate::visibility;

/// How much more a word counts that comes more often.
const K1: f64 = 1.2;
/// How much less a word counts in a longer text.
const B: f64 = 0.75;
/// What is a text of ordinary length, in words.
const ORDINARY_WORDS: f64 = 20.0;
/// So much of a text is looked at, in bytes.
const MAX_BYTES: usize = 4096;

#[derive(Deserialize)]
struct Content {
    body: Option<Value>,
    name: Option<Value>,
    topic: Option<Value>,
}

/// How well an event matches that has all of these words; more is better.
pub(super) fn of(event: &StoredEvent, words: &[String]) -> f64 {
    let content = visibility::content::<Content>(event);
    let text = content.and_then(|content| content.body.or(content.name).or(content.topic));
    let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
    of_text(text.get(..text.floor_char_boundary(MAX_BYTES)).unwrap_or_default(), words)
}

fn of_text(text: &str, words: &[String]) -> f64 {
    let mut counts: HashMap<String, u32> = HashMap::new();
    let mut length = 0_u32;
    for word in split(text) {
        length += 1;
        *counts.entry(word).or_default() += 1;
    }
    let long = 1.0 - B + B * f64::from(length) / ORDINARY_WORDS;
    let of_word = |word: String| {
        // It is there, written otherwise (with an accent, say) or further on.
        let count = f64::from(counts.get(&word).copied().unwrap_or(1));
        count * (K1 + 1.0) / (count + K1 * long)
    };
    words.iter().flat_map(|word| split(word)).map(of_word).sum()
}

/// The words of a text in lower case.
pub(crate) fn split(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_often_and_shorter_is_better() {
        let words = ["Tea".to_owned()];
        let rank = |text: &str| of_text(text, &words);
        assert!(rank("tea, tea!") > rank("tea, milk"));
        assert!(rank("tea") > rank("some tea with a lot of words around it"));
        assert!((rank("thé") - rank("tea")).abs() < f64::EPSILON);
        assert!(of_text("tea", &["tea".into(), "cup".into()]) > rank("tea"));
    }
}
