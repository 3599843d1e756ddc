//! What SQLite's failures mean to an operator.

use rusqlite::ErrorCode;

use crate::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let advice = match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => return Self::Invalid(error.to_string()),
            Some(ErrorCode::NotADatabase) => "the file is not a database, or its header is damaged: restore a backup",
            Some(ErrorCode::DatabaseCorrupt) => "the database file is damaged: restore a backup",
            Some(ErrorCode::DiskFull) => "the disk is full",
            Some(ErrorCode::ReadOnly) => "the database file cannot be written to",
            Some(ErrorCode::CannotOpen) => "the database file cannot be opened",
            _ => return Self::Io(error.to_string()),
        };
        Self::Io(format!("{advice} ({error})"))
    }
}

/// Something stored does not have the form in which it was written.
pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Io(format!("the database is damaged: {what}"))
}
