//! Which part of a file is asked for (RFC 9110, section 14).

use std::ops::Range;

use http::{HeaderMap, header};

/// What a request wants of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Nothing that is in it.
    Unsatisfiable,
}

/// What a request wants of a file of `size` bytes. A `Range` that is not understood, or of several parts, is ignored,
/// as is one for another version of the file.
pub(super) fn wanted(headers: &HeaderMap, size: u64, etag: &str) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(etag) {
        return Wanted::Whole;
    }
    let Some((unit, range)) = text(header::RANGE).and_then(|range| range.split_once('=')) else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    range
        .trim()
        .split_once('-')
        .and_then(|(first, last)| part(first.trim(), last.trim(), size))
        .unwrap_or(Wanted::Whole)
}

/// `None`: not a range.
fn part(first: &str, last: &str, size: u64) -> Option<Wanted> {
    let (start, end) = match (first, last) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    Some(if start < end { Wanted::Part(start..end) } else { Wanted::Unsatisfiable })
}

fn number(text: &str) -> Option<u64> {
    // `parse` would allow a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str, size: u64) -> Wanted {
        let headers = [(header::RANGE, range.parse().unwrap())].into_iter().collect();
        wanted(&headers, size, "\"x\"")
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        assert_eq!(of("bytes=0-0", 10), Wanted::Part(0..1));
        assert_eq!(of("bytes=2-5", 10), Wanted::Part(2..6));
        assert_eq!(of("bytes=2-500", 10), Wanted::Part(2..10));
        assert_eq!(of("BYTES = 9-", 10), Wanted::Part(9..10));
        assert_eq!(of("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(of("bytes=-30", 10), Wanted::Part(0..10));
        assert_eq!(of(&format!("bytes=0-{}", u64::MAX), 10), Wanted::Part(0..10));
        for none in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(of(none, 10), Wanted::Unsatisfiable, "{none}");
        }
        assert_eq!(of("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(of("bytes=-5", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        let long = format!("bytes=0-{}0", u64::MAX);
        for ignored in
            ["bytes", "bytes=", "bytes=-", "bytes=5", "bytes=5-2", "bytes=0-1,3-4", "bytes=+1-2", "lines=0-1", &long]
        {
            assert_eq!(of(ignored, 10), Wanted::Whole, "{ignored}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 10, "\"x\""), Wanted::Whole);
    }

    #[test]
    fn a_range_of_another_version_is_ignored() {
        let headers = |version: &str| {
            let range = [(header::RANGE, "bytes=0-1"), (header::IF_RANGE, version)];
            range.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect::<HeaderMap>()
        };
        assert_eq!(wanted(&headers("\"x\""), 10, "\"x\""), Wanted::Part(0..2));
        assert_eq!(wanted(&headers("\"y\""), 10, "\"x\""), Wanted::Whole);
        assert_eq!(wanted(&headers("W/\"x\""), 10, "\"x\""), Wanted::Whole);
    }
}
