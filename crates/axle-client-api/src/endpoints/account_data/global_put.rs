//! `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`

use ruma::api::client::config::set_global_account_data::v3::{Request, Response};

use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn global_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let event_type = request.event_type.to_string();
    account_data::check_settable(&event_type)?;
    let content = account_data::parse(request.data.json())?;
    api.limits.changes.take(session.user_id.as_str())?;
    let key = Key { user_id: &session.user_id, room_id: None, event_type: &event_type };
    account_data::put(&api, key, content).await?;
    Ok(Response::new())
}
