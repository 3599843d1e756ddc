//! What the lists of what users report have in common.

use axle_protocol::MatrixError;
use axle_store::KeptReport;
use serde::Deserialize;

use super::is_backward;
use super::paging::Page;
use crate::endpoint::RawRequest;

/// Which part of a list is asked for.
#[derive(Deserialize)]
pub(super) struct Part {
    from: Option<usize>,
    limit: Option<usize>,
    /// The newest come first, unless it is said otherwise.
    dir: Option<String>,
}

impl Part {
    /// This part of these, which are all that were asked for, the oldest first.
    pub(super) fn of(&self, mut reports: Vec<KeptReport>) -> Result<Page<KeptReport>, MatrixError> {
        if is_backward(self.dir.as_deref().or(Some("b")))? {
            reports.reverse();
        }
        Ok(Page::of(reports, self.from, self.limit))
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
