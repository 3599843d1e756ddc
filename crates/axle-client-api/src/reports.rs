//! What users report to the operator.

use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::Report;

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::{Api, now_ms};

/// The longest reason.
const MAX_REASON_BYTES: usize = 4096;

/// What a report is about.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    pub(crate) room_id: Option<RoomId>,
    pub(crate) event_id: Option<String>,
    pub(crate) user_id: Option<UserId>,
}

/// Stores a report, and logs that there is one.
pub(crate) async fn store(api: &Api, session: &Session, subject: Subject, reason: String) -> ApiResult<()> {
    if reason.len() > MAX_REASON_BYTES {
        return Err(MatrixError::too_large(format!("A reason has at most {MAX_REASON_BYTES} bytes.")).into());
    }
    let Subject { room_id, event_id, user_id } = subject;
    let report = Report { reporter: session.user_id.clone(), at: now_ms(), room_id, event_id, user_id, reason };
    tracing::warn!(?report, "a user reports something");
    api.store.put_report(report).await?;
    Ok(())
}
