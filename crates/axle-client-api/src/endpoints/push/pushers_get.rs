//! `GET /_matrix/client/v3/pushers`

use ruma::api::client::push::get_pushers::v3::{Request, Response};

use crate::error::ApiResult;
use crate::pushers;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn pushers_get(api: Api, session: Session, _: Request) -> ApiResult<Response> {
    Ok(Response::new(pushers::all(&api, &session.user_id).await?))
}
