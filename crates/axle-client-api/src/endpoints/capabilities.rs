//! `GET /_matrix/client/v3/capabilities`

use std::collections::BTreeMap;

use axle_protocol::RoomVersion;
use ruma::api::client::discovery::get_capabilities::v3::Request;
use serde::Serialize;

use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;

/// Matrix allows room versions of so many characters, and clients refuse a list with a longer one in it.
const MAX_LISTED_BYTES: usize = 32;

pub(crate) async fn capabilities(api: Api, session: Session, _: Request) -> ApiResult<JsonResponse<Response>> {
    let is_admin = api.store.user(&session.user_id).await?.is_some_and(|user| user.admin);
    let default = api.config.default_room_version;
    let listed = |version: &RoomVersion| *version == default || version.as_str().len() <= MAX_LISTED_BYTES;
    let available = RoomVersion::ALL.into_iter().filter(listed);
    let available = available.map(|version| (version.as_str(), stability(version))).collect();
    Ok(JsonResponse(Response {
        capabilities: Capabilities {
            change_password: Enabled { enabled: true },
            thirdparty_id_changes: Enabled { enabled: false },
            get_login_token: Enabled { enabled: true },
            profile_fields: Enabled { enabled: true },
            set_displayname: Enabled { enabled: true },
            set_avatar_url: Enabled { enabled: true },
            account_moderation: is_admin.then_some(Moderation { lock: true, suspend: true }),
            room_versions: RoomVersions { default: default.as_str(), available },
        },
    }))
}

/// ruma's type holds no room version as long as those of drafts are.
#[derive(Serialize)]
pub(crate) struct Response {
    capabilities: Capabilities,
}

#[derive(Serialize)]
struct Capabilities {
    #[serde(rename = "m.change_password")]
    change_password: Enabled,
    #[serde(rename = "m.3pid_changes")]
    thirdparty_id_changes: Enabled,
    #[serde(rename = "m.get_login_token")]
    get_login_token: Enabled,
    #[serde(rename = "m.profile_fields")]
    profile_fields: Enabled,
    #[serde(rename = "m.set_displayname")]
    set_displayname: Enabled,
    #[serde(rename = "m.set_avatar_url")]
    set_avatar_url: Enabled,
    /// For administrators.
    #[serde(rename = "m.account_moderation", skip_serializing_if = "Option::is_none")]
    account_moderation: Option<Moderation>,
    #[serde(rename = "m.room_versions")]
    room_versions: RoomVersions,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

#[derive(Serialize)]
struct Moderation {
    lock: bool,
    suspend: bool,
}

#[derive(Serialize)]
struct RoomVersions {
    default: &'static str,
    available: BTreeMap<&'static str, &'static str>,
}

fn stability(version: RoomVersion) -> &'static str {
    match version {
        RoomVersion::I1 => "stable",
        RoomVersion::Unstable02 => "unstable",
    }
}
