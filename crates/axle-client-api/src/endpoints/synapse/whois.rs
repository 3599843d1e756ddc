//! `GET /_matrix/client/v3/admin/whois/{userId}`, and the same under `/_synapse/admin/v1/whois`

use axle_protocol::MatrixError;
use axum::response::Response;
use http::Method;
use serde_json::{Map, Value, json};

use super::{account, is_admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

const PATHS: [&str; 3] = [
    "/_matrix/client/r0/admin/whois/{user_id}",
    "/_matrix/client/v3/admin/whois/{user_id}",
    "/_synapse/admin/v1/whois/{user_id}",
];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::GET, &PATHS, whois)
}

/// Administrators may ask for everybody, others for themselves.
async fn whois(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let asks_for_self = request.path(0) == Some(session.user_id.as_str());
    if !asks_for_self && !is_admin(&api, &session).await? {
        return Err(MatrixError::forbidden("You do not administer this server.").into());
    }
    let user_id = account(&api, &request).await?.user_id;
    let mut devices = Map::new();
    for device in api.store.devices(&user_id).await? {
        let seen = api.seen.last(&device);
        let connections: Vec<Value> =
            seen.into_iter().map(|seen| json!({ "ip": seen.ip, "last_seen": seen.ts, "user_agent": null })).collect();
        devices.insert(device.device_id, json!({ "sessions": [{ "connections": connections }] }));
    }
    Ok(respond(JsonResponse(json!({ "user_id": user_id, "devices": devices }))))
}
