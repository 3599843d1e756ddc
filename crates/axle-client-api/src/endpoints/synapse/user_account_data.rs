//! `GET /_synapse/admin/v1/users/{userId}/accountdata`

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;
use serde_json::{Map, Value, json};

use super::{account, admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/users/{user_id}/accountdata"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints, Method::GET, &PATHS, user_account_data)
}

/// By type: what is global, and what is of each room.
async fn user_account_data(api: Api, request: RawRequest) -> ApiResult<Response> {
    let user_id = account(&api, &request).await?.user_id;
    let (mut global, mut rooms) = (Map::new(), Map::new());
    for entry in api.store.account_data_changes(&user_id, BEFORE_EVERYTHING, i64::MAX).await? {
        let content: Value = serde_json::from_str(&entry.content).map_err(unreadable)?;
        let place = match entry.room_id {
            None => Some(&mut global),
            Some(room_id) => rooms.entry(room_id.to_string()).or_insert_with(|| json!({})).as_object_mut(),
        };
        if let Some(place) = place {
            place.insert(entry.event_type, content);
        }
    }
    Ok(respond(JsonResponse(json!({ "account_data": { "global": global, "rooms": rooms } }))))
}

fn unreadable(error: serde_json::Error) -> MatrixError {
    tracing::error!(%error, "account data cannot be read");
    MatrixError::unknown("The server cannot read the user's account data.")
}
