//! `POST /_matrix/client/v3/logout`

use ruma::api::client::session::logout::v3::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee;

pub(crate) async fn logout(api: Api, session: Session, _: Request) -> ApiResult<Response> {
    if let Some(token) = session.user_token() {
        api.store.remove_user_token(&token).await?;
        return Ok(Response::new());
    }
    api.store.remove_devices(&session.user_id, Some(&session.device_id)).await?;
    e2ee::tell_changed(&api, &session.user_id).await?;
    Ok(Response::new())
}
