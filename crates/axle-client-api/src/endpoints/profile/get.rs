//! `GET /_matrix/client/v3/profile/{userId}`

use ruma::api::client::profile::get_profile::v3::{Request, Response};
use serde_json::{Map, Value};

use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::ids;
use crate::limiter::address_key;
use crate::profile;
use crate::state::Api;

pub(crate) async fn get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    let mut response = Response::new();
    for (name, value) in read(&api, caller, request.user_id.as_str()).await? {
        response.set(name, value);
    }
    Ok(response)
}

/// A profile, for anyone.
pub(super) async fn read(api: &Api, caller: Caller, user_id: &str) -> ApiResult<Map<String, Value>> {
    api.limits.lookups.take(&address_key(caller.address))?;
    profile::read(api, &ids::user(user_id)?).await
}

/// A field of a profile that is a text.
pub(super) async fn read_text(api: &Api, caller: Caller, user_id: &str, field: &str) -> ApiResult<Option<String>> {
    Ok(read(api, caller, user_id).await?.get(field).and_then(Value::as_str).map(str::to_owned))
}
