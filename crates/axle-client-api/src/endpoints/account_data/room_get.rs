//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

use axle_protocol::MatrixError;
use ruma::api::client::config::get_room_account_data::v3::{Request, Response};
use ruma::serde::Raw;
use serde_json::value::RawValue;

use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn room_get(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let room_id = ids::room(&request.room_id)?;
    let event_type = request.event_type.to_string();
    let key = Key { user_id: &session.user_id, room_id: Some(&room_id), event_type: &event_type };
    let entry = account_data::get(&api, key).await?.ok_or_else(account_data::not_there)?;
    Ok(Response::new(content(&entry.content)?))
}

/// Content as it was stored.
pub(super) fn content<T>(json: &str) -> Result<Raw<T>, MatrixError> {
    let json = RawValue::from_string(json.to_owned()).map_err(|error| {
        tracing::error!(%error, "stored account data does not parse");
        MatrixError::unknown("The server has account data that it cannot read.")
    })?;
    Ok(Raw::from_json(json))
}
