//! What application services are asked about other networks, and what they ask for themselves.

mod listed_delete;
mod listed_put;
mod location;
mod ping;
mod protocol;
mod protocols;
mod user;

use axle_protocol::MatrixError;

use crate::appservice::ServiceIndex;
use crate::endpoint::{Endpoints, RawRequest};
use crate::error::ApiResult;
use crate::session::Session;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = listed_delete::routes(listed_put::routes(ping::routes(endpoints)));
    let endpoints = protocol::routes(protocols::routes(endpoints));
    user::routes(location::routes(endpoints))
}

/// The application service that makes a request; 403 `M_FORBIDDEN` for everybody else.
fn require_service(session: &Session) -> Result<ServiceIndex, MatrixError> {
    session.service().ok_or_else(|| MatrixError::forbidden("This is for application services."))
}

/// What a query asks a service for. What says who asks is not for the service to know.
fn fields(request: &RawRequest) -> ApiResult<Vec<(String, String)>> {
    let query: Vec<(String, String)> = request.query()?;
    let private = ["access_token", "user_id", "device_id", "org.matrix.msc3202.device_id"];
    Ok(query.into_iter().filter(|(name, _)| !private.contains(&name.as_str())).collect())
}

/// The same where no protocol is named: this field has to name what is looked for.
fn fields_with(request: &RawRequest, key: &str) -> ApiResult<Vec<(String, String)>> {
    let fields = fields(request)?;
    if !fields.iter().any(|(name, _)| name == key) {
        return Err(MatrixError::missing_param(format!("There is no {key} in the query.")).into());
    }
    Ok(fields)
}
