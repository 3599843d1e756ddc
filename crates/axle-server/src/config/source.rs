//! A configuration file's text: its keys, and the place and remedy of each error.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::options::{Kind, OPTIONS, OptionInfo};

/// How many changes a key may be away from one that it is taken for.
const MAX_DISTANCE: usize = 4;

/// The text of a file.
pub(super) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

/// An option that the file sets.
pub(super) struct Found {
    pub(super) option: &'static OptionInfo,
    /// Where its key begins.
    pub(super) start: usize,
    /// Where its value is.
    value: Range<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text }
    }

    /// File and line of a byte offset.
    pub(super) fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        format!("{}, line {}", self.path.display(), before.matches('\n').count() + 1)
    }

    /// The options that the file sets; an error for the first key that is none.
    pub(super) fn keys(&self) -> Result<Vec<Found>, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|error| self.error(&error, &[]))?;
        let mut found = Vec::new();
        for (key, value) in table.get_ref() {
            let name: &str = key.get_ref();
            if let Some(option) = OptionInfo::find(name) {
                found.push(Found { option, start: key.span().start, value: value.span() });
                continue;
            }
            if !sections().any(|section| section == name) {
                return Err(self.unknown(key.span().start, name, None));
            }
            let DeValue::Table(section) = value.get_ref() else {
                let hint = format!("Write [{name}] in a line of its own, and the section's options below it.");
                return Err(ConfigError::new(
                    self.place(key.span().start),
                    format!("{name} is a section, not an option"),
                    Some(hint),
                ));
            };
            for (key, value) in section {
                let inner: &str = key.get_ref();
                let option = OptionInfo::find(&format!("{name}.{inner}"))
                    .ok_or_else(|| self.unknown(key.span().start, inner, Some(name)))?;
                found.push(Found { option, start: key.span().start, value: value.span() });
            }
        }
        Ok(found)
    }

    /// An error of the TOML parser, with the option it is about.
    pub(super) fn error(&self, error: &toml::de::Error, keys: &[Found]) -> ConfigError {
        let Some(span) = error.span() else {
            return ConfigError::new(self.path.display().to_string(), error.message(), None);
        };
        let found = keys.iter().find(|found| found.value.start <= span.start && span.end <= found.value.end);
        let problem = match found {
            Some(found) => format!("{}: {}", found.option.key, error.message()),
            None => error.message().to_owned(),
        };
        ConfigError::new(self.place(span.start), problem, found.map(|found| format!("Write {}", found.option.line())))
    }

    fn unknown(&self, offset: usize, name: &str, section: Option<&str>) -> ConfigError {
        let problem = match section {
            Some(section) => format!("there is no option {name:?} in the section [{section}]"),
            None => format!("there is no option or section {name:?}"),
        };
        ConfigError::new(self.place(offset), problem, suggestion(name, section))
    }
}

fn sections() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().filter_map(|option| option.split().0)
}

fn suggestion(name: &str, section: Option<&str>) -> Option<String> {
    let own = OPTIONS.iter().filter(|option| option.split().0 == section);
    if let Some(near) = nearest(name, own.clone().map(|option| option.split().1)) {
        return Some(format!("Did you mean {near}?"));
    }
    // The right name in the wrong section.
    if let Some(option) = OPTIONS.iter().find(|option| option.split().1 == name) {
        return Some(format!("Write {}", option.line()));
    }
    if section.is_none()
        && let Some(near) = nearest(name, sections())
    {
        return Some(format!("Did you mean [{near}]?"));
    }
    let names: Vec<_> = own.map(|option| option.split().1).collect();
    Some(format!("The options here are {}.", names.join(", ")))
}

/// The candidate that is most like the text, if any is like it.
pub(super) fn nearest<'c>(text: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (distance(text, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= MAX_DISTANCE.min(candidate.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of two short strings.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, above), diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(x != *y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

impl Kind {
    /// For the reference.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Number => "number",
            Kind::Switch => "true or false",
            Kind::List => "list of strings",
            Kind::Table => "table of strings",
        }
    }
}
