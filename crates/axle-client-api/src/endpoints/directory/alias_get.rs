//! `GET /_matrix/client/v3/directory/room/{roomAlias}`

use ruma::OwnedServerName;
use ruma::api::client::alias::get_alias::v3::{Request, Response};

use crate::aliases;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::ids;
use crate::limiter::address_key;
use crate::state::Api;

pub(crate) async fn alias_get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let resolved = aliases::resolve(&api, request.room_alias.as_str()).await?;
    let servers = match request.room_alias.server_name().as_str() == api.config.server_name.as_str() {
        true => aliases::servers(&api, &resolved.room_id).await?,
        false => resolved.servers,
    };
    let servers = servers.iter().filter_map(|server| OwnedServerName::try_from(server.as_str()).ok());
    Ok(Response::new(ids::ruma_room(&resolved.room_id)?, servers.collect()))
}
