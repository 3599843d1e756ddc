//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`

use axle_protocol::MatrixError;
use axle_store::ReceiptType;
use ruma::api::client::receipt::create_receipt::v3::{ReceiptType as Asked, Request, Response};
use ruma::events::receipt::ReceiptThread;

use crate::error::ApiResult;
use crate::presence;
use crate::receipts::Reading;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn receipt(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let receipt_type = match request.receipt_type {
        Asked::Read => Some(ReceiptType::Read),
        Asked::ReadPrivate => Some(ReceiptType::ReadPrivate),
        Asked::FullyRead if request.thread == ReceiptThread::Unthreaded => None,
        Asked::FullyRead => {
            return Err(MatrixError::invalid_param("m.fully_read is for the room: it has no thread_id.").into());
        }
        _ => return Err(MatrixError::invalid_param("There is no such type of receipts.").into()),
    };
    let reading = Reading::begin(&api, &session, request.room_id.as_str()).await?;
    let event = reading.event(request.event_id.as_str()).await?;
    presence::did_something(&api, &session.user_id);
    match receipt_type {
        Some(receipt_type) => reading.receipt(&event, receipt_type, request.thread).await?,
        None => reading.fully_read(&event).await?,
    }
    Ok(Response::new())
}
