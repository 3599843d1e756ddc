//! Sliding sync.

mod sync;

use http::Method;

use crate::endpoint::Endpoints;

/// The path of MSC4186 until it is part of the specification.
const PATH: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::POST, &[PATH], sync::sync)
}
