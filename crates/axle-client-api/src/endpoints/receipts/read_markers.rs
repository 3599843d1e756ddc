//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`

use axle_store::ReceiptType;
use ruma::api::client::read_marker::set_read_marker::v3::{Request, Response};
use ruma::events::receipt::ReceiptThread;

use crate::error::ApiResult;
use crate::receipts::Reading;
use crate::session::Session;
use crate::state::Api;

/// Nothing is marked if one of the events is not there.
pub(crate) async fn read_markers(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let reading = Reading::begin(&api, &session, request.room_id.as_str()).await?;
    let mut receipts = Vec::new();
    for (event_id, receipt_type) in
        [(request.read_receipt, ReceiptType::Read), (request.private_read_receipt, ReceiptType::ReadPrivate)]
    {
        if let Some(event_id) = event_id {
            receipts.push((reading.event(event_id.as_str()).await?, receipt_type));
        }
    }
    if let Some(event_id) = request.fully_read {
        reading.fully_read(&reading.event(event_id.as_str()).await?).await?;
    }
    for (event, receipt_type) in receipts {
        reading.receipt(&event, receipt_type, ReceiptThread::Unthreaded).await?;
    }
    Ok(Response::new())
}
