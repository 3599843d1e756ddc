//! `GET /_matrix/client/versions`

use ruma::api::client::discovery::get_supported_versions::{Request, Response};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::state::Api;

/// The versions whose paths and formats this API follows; what of them is left out, docs/client-server-api.md says.
const VERSIONS: [&str; 18] = [
    "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11",
    "v1.12", "v1.13", "v1.14", "v1.15", "v1.16",
];

/// What there is beyond Matrix; docs/client-server-api.md and docs/mls.md describe it.
const OWN_FEATURES: [&str; 4] = ["im.axle.hub_server", "im.axle.hub_faults", "im.axle.keys.v1", "im.axle.mls.v1"];

/// What there is of later versions of Matrix, and of proposals to it, and what clients look for under its older name:
/// cross-signing (1.1; Element sets no encryption up without it), types of rooms in the directory (1.4), pings of
/// application services (1.7), media for who is logged in (1.11), further fields of profiles (1.16), dehydrated devices,
/// delayed events, sliding sync.
const EARLY_FEATURES: [&str; 8] = [
    "org.matrix.e2e_cross_signing",
    "org.matrix.msc3827.stable",
    "fi.mau.msc2659.stable",
    "org.matrix.msc3916.stable",
    "uk.tcpip.msc4133.stable",
    "org.matrix.msc3814",
    "org.matrix.msc4140",
    "org.matrix.simplified_msc3575",
];

pub(crate) async fn versions(_: Api, _: Caller, _: Request) -> ApiResult<Response> {
    let mut response = Response::new(VERSIONS.map(String::from).into());
    let features = OWN_FEATURES.into_iter().chain(EARLY_FEATURES);
    response.unstable_features = features.map(|feature| (feature.to_owned(), true)).collect();
    Ok(response)
}
