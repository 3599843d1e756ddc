//! `GET /_matrix/client/v3/user/{userId}/account_data/{type}`

use ruma::api::client::config::get_global_account_data::v3::{Request, Response};

use super::room_get::content;
use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::push_rules;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn global_get(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_user(request.user_id.as_str())?;
    let event_type = request.event_type.to_string();
    if event_type == push_rules::EVENT_TYPE {
        let rules = push_rules::of(&api, &session.user_id).await?;
        return Ok(Response::new(content(&push_rules::json(&rules)?)?));
    }
    let key = Key { user_id: &session.user_id, room_id: None, event_type: &event_type };
    let entry = account_data::get(&api, key).await?.ok_or_else(account_data::not_there)?;
    Ok(Response::new(content(&entry.content)?))
}
