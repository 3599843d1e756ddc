//! Lists of which a part is asked for.

use super::limit;

/// A part of a list.
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    /// How many there are in all.
    pub(super) total: usize,
    /// Where the next part begins, if there is one.
    pub(super) next: Option<usize>,
}

impl<T> Page<T> {
    /// The entries from this one on, so many at most.
    pub(super) fn of(all: Vec<T>, from: Option<usize>, wanted: Option<usize>) -> Self {
        let (total, offset) = (all.len(), from.unwrap_or(0));
        let entries: Vec<T> = all.into_iter().skip(offset).take(limit(wanted)).collect();
        let end = offset.saturating_add(entries.len());
        let next = (end < total && !entries.is_empty()).then_some(end);
        Self { entries, total, next }
    }
}
