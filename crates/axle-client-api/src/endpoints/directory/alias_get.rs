//! `GET /_matrix/client/v3/directory/room/{roomAlias}`

use std::collections::BTreeSet;

use axle_protocol::auth::Membership;
use ruma::OwnedServerName;
use ruma::api::client::alias::get_alias::v3::{Request, Response};

use crate::aliases;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::ids;
use crate::limiter::address_key;
use crate::state::Api;

/// How many servers that know the room are told.
const MAX_SERVERS: usize = 20;

pub(crate) async fn alias_get(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    api.limits.lookups.take(&address_key(caller.address))?;
    let room_id = aliases::resolve(&api, request.room_alias.as_str()).await?;
    let members = api.store.members(&room_id, Membership::Join).await?;
    let others: BTreeSet<String> = members.iter().map(|member| member.server_str().to_owned()).collect();
    // This server resolves the alias, so it comes first.
    let own = api.config.server_name.to_string();
    let servers = std::iter::once(own.clone()).chain(others.into_iter().filter(|other| *other != own));
    let servers = servers.filter_map(|server| OwnedServerName::try_from(server).ok()).take(MAX_SERVERS);
    Ok(Response::new(ids::ruma_room(&room_id)?, servers.collect()))
}
