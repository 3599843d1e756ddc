//! `POST /_matrix/client/v3/logout/all`

use ruma::api::client::session::logout_all::v3::{Request, Response};

use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;
use crate::sync::extensions::e2ee;

pub(crate) async fn logout_all(api: Api, session: Session, _: Request) -> ApiResult<Response> {
    api.store.remove_devices(&session.user_id, None).await?;
    e2ee::tell_changed(&api, &session.user_id).await?;
    Ok(Response::new())
}
