//! `GET /_matrix/client/v3/account/whoami`

use ruma::api::client::account::whoami::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn whoami(_: Api, session: Session, _: Request) -> ApiResult<Response> {
    let mut response = Response::new(ids::ruma_user(&session.user_id)?, session.is_guest());
    response.device_id = session.require_device().ok().map(Into::into);
    Ok(response)
}
