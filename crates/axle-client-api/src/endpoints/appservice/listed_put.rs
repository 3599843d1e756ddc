//! `PUT /_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}`

use axle_protocol::{MatrixError, RoomId};
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::require_service;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

pub(super) const PATHS: [&str; 2] = [
    "/_matrix/client/r0/directory/list/appservice/{network_id}/{room_id}",
    "/_matrix/client/v3/directory/list/appservice/{network_id}/{room_id}",
];
/// The longest name of a network.
const MAX_NETWORK_BYTES: usize = 255;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::PUT, &PATHS, listed_put)
}

/// A room on the list of a network.
pub(super) struct Entry {
    service: String,
    network: String,
    room_id: RoomId,
}

#[derive(Deserialize)]
struct Request {
    visibility: Visibility,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Visibility {
    Public,
    Private,
}

/// The room need not be one that the service is in: lists of networks are its own.
async fn listed_put(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let entry = Entry::of(&api, &session, &request)?;
    let request: Request = request.json().await?;
    entry.set(&api, &session, request.visibility == Visibility::Public).await
}

impl Entry {
    /// What a request's path names. 403 `M_FORBIDDEN` for who is no service.
    pub(super) fn of(api: &Api, session: &Session, request: &RawRequest) -> ApiResult<Self> {
        let index = require_service(session)?;
        let service = api.config.services.get(index).map(|service| service.id.clone()).unwrap_or_default();
        let network = request.path(0).unwrap_or_default().to_owned();
        if network.len() > MAX_NETWORK_BYTES {
            let error = format!("The name of a network has at most {MAX_NETWORK_BYTES} bytes.");
            return Err(MatrixError::invalid_param(error).into());
        }
        let room_id = ids::room(request.path(1).unwrap_or_default())?;
        Ok(Self { service, network, room_id })
    }

    /// Puts the room on the list or takes it off.
    pub(super) async fn set(self, api: &Api, session: &Session, listed: bool) -> ApiResult<Response> {
        api.limits.changes.take(session.user_id.as_str())?;
        api.store.set_listed_on_network(&self.service, &self.network, &self.room_id, listed).await?;
        Ok(respond(JsonResponse(json!({}))))
    }
}
