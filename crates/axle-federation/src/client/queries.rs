//! `GET /query/profile`, `/query/directory`, `/publicRooms`, `/hierarchy`: what a server tells of its users and rooms.

use axle_protocol::{RoomId, ServerName, canonical_json};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer;
use super::path::{FEDERATION, encode};
use super::request::Ask;
use super::{Client, ClientError};
use crate::{PublicRoomsQuery, ResolvedAlias};

/// A profile has 64 KiB at most.
const MAX_PROFILE_BYTES: usize = 128 * 1024;
const MAX_ALIAS_BYTES: usize = 256 * 1024;
const MAX_PUBLIC_ROOMS_BYTES: usize = 4 * 1024 * 1024;
const MAX_HIERARCHY_BYTES: usize = 2 * 1024 * 1024;
/// Servers of an alias that are looked at.
const MAX_SERVERS: usize = 100;

impl Client {
    /// `GET /query/profile`: the fields of a user's profile, or one of them; not checked yet.
    pub async fn query_profile(
        &self,
        to: &ServerName,
        user_id: &str,
        field: Option<&str>,
    ) -> Result<Map<String, Value>, ClientError> {
        let mut path = format!("{FEDERATION}/v1/query/profile?user_id={}", encode(user_id));
        if let Some(field) = field {
            path.push_str("&field=");
            path.push_str(&encode(field));
        }
        answer::json(&self.ask(to, &path, &self.get(MAX_PROFILE_BYTES)).await?)
    }

    /// `GET /query/directory`. What is no server name is left out.
    pub async fn query_directory(&self, to: &ServerName, alias: &str) -> Result<ResolvedAlias, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            room_id: RoomId,
            #[serde(default)]
            servers: Vec<Value>,
        }
        let path = format!("{FEDERATION}/v1/query/directory?room_alias={}", encode(alias));
        let answer: Answer = answer::json(&self.ask(to, &path, &self.get(MAX_ALIAS_BYTES)).await?)?;
        let servers = answer.servers.iter().take(MAX_SERVERS).filter_map(Value::as_str);
        let servers = servers.filter_map(|server| ServerName::parse(server).ok()).collect();
        Ok(ResolvedAlias { room_id: answer.room_id, servers })
    }

    /// `GET /publicRooms`, or `POST` where there is a filter: a page, not checked yet.
    pub async fn public_rooms(
        &self,
        to: &ServerName,
        query: &PublicRoomsQuery,
    ) -> Result<Map<String, Value>, ClientError> {
        let path = format!("{FEDERATION}/v1/publicRooms");
        let has_filter = query.search_term.is_some() || !query.room_types.is_empty();
        let (path, ask) = match has_filter {
            false => (format!("{path}?{}", in_query(query)), self.get(MAX_PUBLIC_ROOMS_BYTES)),
            true => {
                let body = canonical_json::to_string(&in_body(query)).into();
                let limit = self.0.timeouts.request;
                (path, Ask { limit, ..self.with_body(Method::POST, body, MAX_PUBLIC_ROOMS_BYTES) })
            }
        };
        answer::json(&self.ask(to, &path, &ask).await?)
    }

    /// `GET /hierarchy/:roomId`: a room and its children, not checked yet.
    pub async fn hierarchy(
        &self,
        to: &ServerName,
        room_id: &RoomId,
        suggested_only: bool,
    ) -> Result<Map<String, Value>, ClientError> {
        let path = format!("{FEDERATION}/v1/hierarchy/{}?suggested_only={suggested_only}", encode(room_id.as_str()));
        answer::json(&self.ask(to, &path, &self.get(MAX_HIERARCHY_BYTES)).await?)
    }
}

fn in_query(query: &PublicRoomsQuery) -> String {
    let limit = query.limit.map(|limit| limit.to_string());
    let texts = [
        ("limit", limit.as_deref()),
        ("since", query.since.as_deref()),
        ("third_party_instance_id", query.third_party_instance_id.as_deref()),
    ];
    let texts = texts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}&", encode(value?))));
    format!("{}include_all_networks={}", texts.collect::<String>(), query.include_all_networks)
}

fn in_body(query: &PublicRoomsQuery) -> Value {
    let mut filter = Map::new();
    filter.extend(query.search_term.clone().map(|term| ("generic_search_term".to_owned(), term.into())));
    if !query.room_types.is_empty() {
        filter.insert("room_types".into(), json!(query.room_types));
    }
    let mut body = json!({"filter": filter, "include_all_networks": query.include_all_networks});
    if let Value::Object(body) = &mut body {
        body.extend(query.limit.map(|limit| ("limit".to_owned(), limit.into())));
        body.extend(query.since.clone().map(|since| ("since".to_owned(), since.into())));
        let instance = query.third_party_instance_id.clone();
        body.extend(instance.map(|instance| ("third_party_instance_id".to_owned(), instance.into())));
    }
    body
}
