//! `GET /_matrix/client/v3/capabilities`

use axle_protocol::RoomVersion;
use ruma::RoomVersionId;
use ruma::api::client::discovery::get_capabilities::v3::{
    Capabilities, ChangePasswordCapability, Request, Response, RoomVersionStability, RoomVersionsCapability,
    ThirdPartyIdChangesCapability,
};

use crate::error::{ApiError, ApiResult};
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn capabilities(api: Api, _: Session, _: Request) -> ApiResult<Response> {
    let available = RoomVersion::ALL.into_iter().map(|version| Ok((version_id(version)?, stability(version))));
    let available = available.collect::<ApiResult<_>>()?;
    let mut capabilities = Capabilities::new();
    capabilities.change_password = ChangePasswordCapability::new(false);
    capabilities.thirdparty_id_changes = ThirdPartyIdChangesCapability::new(false);
    capabilities.room_versions = RoomVersionsCapability::new(version_id(api.config.default_room_version)?, available);
    Ok(Response::new(capabilities))
}

fn version_id(version: RoomVersion) -> ApiResult<RoomVersionId> {
    RoomVersionId::try_from(version.as_str()).map_err(|error| {
        tracing::error!(%error, "a room version of this server is not one for ruma");
        ApiError::Matrix(axle_protocol::MatrixError::unknown("The server has an unnameable room version."))
    })
}

fn stability(version: RoomVersion) -> RoomVersionStability {
    match version {
        RoomVersion::I1 => RoomVersionStability::Stable,
        RoomVersion::Unstable02 => RoomVersionStability::Unstable,
    }
}
