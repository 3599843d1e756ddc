//! What other servers ask about our users, rooms and media.

mod directory;
mod hierarchy;
mod media;
mod openid;
mod profile;
mod public_rooms;
mod timestamp_to_event;

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::Router;
use axum::routing::get;

use super::Federation;
use crate::QueryService;
use crate::client::path::FEDERATION;

/// The routes of these.
pub(super) fn routes(router: Router<Arc<Federation>>) -> Router<Arc<Federation>> {
    let v1 = |rest: &str| format!("{FEDERATION}/v1/{rest}");
    router
        .route(&v1("query/profile"), get(profile::profile))
        .route(&v1("query/directory"), get(directory::directory))
        .route(&v1("publicRooms"), get(public_rooms::page).post(public_rooms::search))
        .route(&v1("hierarchy/{room}"), get(hierarchy::hierarchy))
        .route(&v1("timestamp_to_event/{room}"), get(timestamp_to_event::timestamp_to_event))
        .route(&v1("openid/userinfo"), get(openid::userinfo))
        .route(&v1("media/download/{media}"), get(media::download))
        .route(&v1("media/thumbnail/{media}"), get(media::thumbnail))
}

impl Federation {
    /// Who knows the answers; 404 `M_UNRECOGNIZED` on a server that answers none of these.
    fn queries(&self) -> Result<&dyn QueryService, MatrixError> {
        self.queries.as_deref().ok_or_else(|| MatrixError::unrecognized("This server answers no such questions."))
    }
}
