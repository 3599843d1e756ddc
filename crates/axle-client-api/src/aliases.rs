//! Aliases: other names of rooms ("Room aliases").

use std::collections::BTreeSet;

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use axle_store::{MAX_ALIASES_PER_ROOM, PutAlias, RoomAlias, StoredEvent};
use ruma::RoomAliasId;
use serde_json::{Map, Value};

use crate::appservice;
use crate::error::ApiResult;
use crate::event_content;
use crate::ids;
use crate::render::content;
use crate::service::{ResolvedAlias, SendEvent};
use crate::state::Api;

/// How many servers that know a room are told.
const MAX_SERVERS: usize = 20;
/// How many aliases of other servers an event may add: each of their servers is asked.
const MAX_REMOTE_ADDED: usize = 10;
/// The event that says which alias a room goes by.
pub(crate) const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

/// The room that a client names by its id or by an alias, of whatever server. 404 if there is no such alias, 502 and 504
/// where its server does not tell.
pub(crate) async fn resolve(api: &Api, id_or_alias: &str) -> ApiResult<ResolvedAlias> {
    if !id_or_alias.starts_with('#') {
        return Ok(ResolvedAlias { room_id: ids::room(id_or_alias)?, servers: Vec::new() });
    }
    Ok(look_up(api, id_or_alias).await?.ok_or_else(unknown)?)
}

/// What an alias stands for.
async fn look_up(api: &Api, alias: &str) -> ApiResult<Option<ResolvedAlias>> {
    let server = parse(alias)?.server_name();
    if server.as_str() == api.config.server_name.as_str() {
        let known = own(api, alias).await?;
        return Ok(known.map(|known| ResolvedAlias { room_id: known.room_id, servers: Vec::new() }));
    }
    // One that no server can have has no aliases.
    let Ok(server) = ServerName::parse(server) else { return Ok(None) };
    match api.remote.alias(&server, alias).await {
        Ok(mut resolved) => {
            resolved.servers.truncate(MAX_SERVERS);
            if !resolved.servers.contains(&server) {
                resolved.servers.push(server);
            }
            Ok(Some(resolved))
        }
        Err(error) if error.status == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An alias of this server. One that is not there yet may be about to be made by an application service.
pub(crate) async fn own(api: &Api, alias: &str) -> ApiResult<Option<RoomAlias>> {
    let is_own = parse(alias).is_ok_and(|alias| alias.server_name().as_str() == api.config.server_name.as_str());
    if is_own { appservice::query_alias(api, alias).await } else { Ok(None) }
}

/// The servers that know a room of an alias of this server. This one resolves it, so it comes first.
pub(crate) async fn servers(api: &Api, room_id: &RoomId) -> ApiResult<Vec<ServerName>> {
    let own = &api.config.server_name;
    let members = api.store.members(room_id, Membership::Join).await?;
    let others: BTreeSet<ServerName> = members.iter().map(UserId::server_name).collect();
    let others = others.into_iter().filter(|other| other != own);
    Ok(std::iter::once(own.clone()).chain(others).take(MAX_SERVERS).collect())
}

/// The answer for an alias that is not there.
pub(crate) fn unknown() -> MatrixError {
    MatrixError::not_found("There is no such room alias.")
}

/// Refuses aliases that are none of this server.
pub(crate) fn require_own(api: &Api, alias: &RoomAliasId) -> Result<(), MatrixError> {
    if alias.server_name().as_str() != api.config.server_name.as_str() {
        return Err(MatrixError::invalid_param("This is not an alias of this server."));
    }
    let unfit = |letter: char| letter.is_whitespace() || letter.is_control();
    if alias.alias().is_empty() || alias.alias().contains(unfit) {
        return Err(MatrixError::invalid_param("An alias has a name, without spaces."));
    }
    Ok(())
}

/// The alias of this server with this local part.
pub(crate) fn of_localpart(api: &Api, localpart: &str) -> Result<String, MatrixError> {
    if localpart.contains(':') {
        return Err(MatrixError::invalid_param("The local part of an alias has no colon."));
    }
    let alias = format!("#{localpart}:{}", api.config.server_name);
    require_own(api, parse(&alias)?)?;
    Ok(alias)
}

/// Gives a room an alias that must be free: `taken` otherwise.
pub(crate) async fn put(
    api: &Api,
    alias: &str,
    room_id: &RoomId,
    creator: &UserId,
    taken: fn() -> MatrixError,
) -> ApiResult<()> {
    match api.store.put_alias(alias, room_id, creator).await? {
        PutAlias::Stored => Ok(()),
        PutAlias::Taken => Err(taken().into()),
        PutAlias::Full => {
            let error = format!("A room has at most {MAX_ALIASES_PER_ROOM} aliases of this server.");
            Err(MatrixError::invalid_param(error).into())
        }
    }
}

/// Checks an `m.room.canonical_alias` event that is to be sent: aliases that it adds are aliases of the room. 400
/// `M_INVALID_PARAM` for what is no alias, 400 `M_BAD_ALIAS` for one that does not stand for the room, 502 and 504 for one
/// whose server does not tell.
pub(crate) async fn check_canonical(api: &Api, room_id: &RoomId, new: &Map<String, Value>) -> ApiResult<()> {
    let named = named(new)?;
    let before = match api.store.state_event(room_id, CANONICAL_ALIAS, "").await? {
        Some(event) => canonical_of(&event)?,
        None => BTreeSet::new(),
    };
    let added: Vec<&String> = named.difference(&before).collect();
    let is_own = |alias: &&&String| alias.ends_with(&format!(":{}", api.config.server_name));
    if added.iter().filter(|alias| !is_own(alias)).count() > MAX_REMOTE_ADDED {
        let error = format!("At most {MAX_REMOTE_ADDED} aliases of other servers can be added at once.");
        return Err(MatrixError::invalid_param(error).into());
    }
    for alias in added {
        if look_up(api, alias).await?.is_none_or(|known| known.room_id != *room_id) {
            return Err(bad(alias).into());
        }
    }
    Ok(())
}

/// The same for a room that is yet to be made, and that will have this alias.
pub(crate) fn check_first_canonical(new: &Map<String, Value>, alias: Option<&str>) -> Result<(), MatrixError> {
    match named(new)?.into_iter().find(|named| Some(named.as_str()) != alias) {
        Some(other) => Err(bad(&other)),
        None => Ok(()),
    }
}

/// The content of the event with none but these aliases.
pub(crate) fn only(mut content: Map<String, Value>, kept: &[String]) -> Map<String, Value> {
    let keeps = |alias: &Value| alias.as_str().is_some_and(|alias| kept.iter().any(|kept| kept == alias));
    if content.get("alias").is_some_and(|alias| !keeps(alias)) {
        content.remove("alias");
    }
    if let Some(Value::Array(others)) = content.get_mut("alt_aliases") {
        others.retain(keeps);
    }
    content
}

/// Takes an alias that is gone out of the room's event, as far as the user may do that.
pub(crate) async fn remove_from_canonical(api: &Api, user_id: &UserId, room_id: &RoomId, alias: &str) -> ApiResult<()> {
    let Some(event) = api.store.state_event(room_id, CANONICAL_ALIAS, "").await? else { return Ok(()) };
    let mut content = event_content::parse(&content(&event)?)?;
    let before = content.clone();
    if content.get("alias").and_then(Value::as_str) == Some(alias) {
        content.remove("alias");
    }
    if let Some(Value::Array(others)) = content.get_mut("alt_aliases") {
        others.retain(|other| other.as_str() != Some(alias));
    }
    if content != before {
        send_canonical(api, user_id, room_id, content).await;
    }
    Ok(())
}

/// Sends the event. Whoever may not is no less done with the alias: what is refused is only logged.
pub(crate) async fn send_canonical(api: &Api, user_id: &UserId, room_id: &RoomId, content: Map<String, Value>) {
    let event = SendEvent {
        room_id: room_id.clone(),
        sender: user_id.clone(),
        event_type: CANONICAL_ALIAS.into(),
        state_key: Some(String::new()),
        content,
        txn: None,
    };
    if let Err(error) = api.rooms.send(event).await {
        tracing::info!(%room_id, %error, "the canonical alias of a room was not changed");
    }
}

/// Every alias that the event names; nothing where it is not readable.
fn canonical_of(event: &StoredEvent) -> ApiResult<BTreeSet<String>> {
    Ok(named(&event_content::parse(&content(event)?)?).unwrap_or_default())
}

/// Every alias that the content of the event names.
fn named(content: &Map<String, Value>) -> Result<BTreeSet<String>, MatrixError> {
    let no_text = || MatrixError::invalid_param("Aliases are texts.");
    let mut aliases = BTreeSet::new();
    match content.get("alias") {
        None | Some(Value::Null) => {}
        // That is how older clients say that there is none.
        Some(Value::String(alias)) if alias.is_empty() => {}
        Some(alias) => _ = aliases.insert(alias.as_str().ok_or_else(no_text)?.to_owned()),
    }
    match content.get("alt_aliases") {
        None | Some(Value::Null) => {}
        Some(others) => {
            let others = others.as_array().ok_or_else(|| MatrixError::invalid_param("alt_aliases is a list."))?;
            for alias in others {
                aliases.insert(alias.as_str().ok_or_else(no_text)?.to_owned());
            }
        }
    }
    aliases.iter().try_for_each(|alias| parse(alias).map(|_| ()))?;
    Ok(aliases)
}

fn parse(alias: &str) -> Result<&RoomAliasId, MatrixError> {
    <&RoomAliasId>::try_from(alias).map_err(|error| MatrixError::invalid_param(format!("{alias}: {error}")))
}

fn bad(alias: &str) -> MatrixError {
    MatrixError::new(400, "M_BAD_ALIAS", format!("{alias} does not stand for this room."))
}
