//! What the lists of what users report have in common.

use axle_protocol::MatrixError;
use axle_store::KeptReport;
use serde::Deserialize;

use super::{is_backward, limit};
use crate::endpoint::RawRequest;

/// Which part of a list is asked for.
#[derive(Deserialize)]
pub(super) struct Part {
    from: Option<usize>,
    limit: Option<usize>,
    /// The newest come first, unless it is said otherwise.
    dir: Option<String>,
}

/// A part of a list.
pub(super) struct Page {
    pub(super) reports: Vec<KeptReport>,
    /// How many there are in all.
    pub(super) total: usize,
    /// Where the next part begins, if there is one.
    pub(super) next: Option<usize>,
}

impl Part {
    /// This part of these, which are all that were asked for, the oldest first.
    pub(super) fn of(&self, mut reports: Vec<KeptReport>) -> Result<Page, MatrixError> {
        if is_backward(self.dir.as_deref().or(Some("b")))? {
            reports.reverse();
        }
        let (total, offset) = (reports.len(), self.from.unwrap_or(0));
        let reports: Vec<KeptReport> = reports.into_iter().skip(offset).take(limit(self.limit)).collect();
        let end = offset.saturating_add(reports.len());
        let next = Some(end).filter(|end| *end < total && !reports.is_empty());
        Ok(Page { reports, total, next })
    }
}

/// Whether an id has the part that is looked for.
pub(super) fn has(id: &str, part: Option<&str>) -> bool {
    part.is_none_or(|part| id.contains(part))
}

/// The number of a report that a path names.
pub(super) fn number(request: &RawRequest) -> Result<i64, MatrixError> {
    let number = request.path(0).and_then(|id| id.parse().ok()).filter(|number| *number >= 0);
    let error = "The report_id parameter must be a string representing a positive integer.";
    number.ok_or_else(|| MatrixError::invalid_param(error))
}
