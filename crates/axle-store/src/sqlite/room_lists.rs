//! What lists of a user's rooms are made of.

use std::collections::HashSet;

use async_trait::async_trait;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use rusqlite::{Connection, Params, params};
use serde::Deserialize;

use super::rows::{self, EVENT_COLUMNS, Room};
use super::{SqliteStore, user_rooms};
use crate::{DescribedUserRoom, RoomLists, StatePattern, StoreError, StoredEvent, UserRoom};

#[async_trait]
impl RoomLists for SqliteStore {
    async fn described_user_rooms(&self, user_id: &UserId, after: i64) -> Result<Vec<DescribedUserRoom>, StoreError> {
        let user_id = user_id.clone();
        let recent = self.inner.shared.lately.rooms_after(after, user_rooms::FEW_ROOMS);
        self.read(move |conn| {
            let rooms = user_rooms::changed(conn, &user_id, after, recent)?;
            rooms.into_iter().map(|room| describe(conn, &user_id, room)).collect()
        })
        .await
    }

    async fn matching_state(
        &self,
        room_id: &RoomId,
        patterns: Vec<StatePattern>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read_room(room_id, move |conn, room_id, room| {
            let mut found = Vec::new();
            for pattern in &patterns {
                found.extend(matching(conn, room_id, room, pattern)?);
            }
            let mut seen = HashSet::new();
            found.retain(|event: &StoredEvent| seen.insert(event.event_id.clone()));
            Ok(found)
        })
        .await
    }
}

fn describe(conn: &Connection, user_id: &UserId, room: UserRoom) -> Result<DescribedUserRoom, StoreError> {
    #[derive(Deserialize)]
    struct Create {
        content: CreateContent,
    }
    #[derive(Deserialize)]
    struct CreateContent {
        #[serde(rename = "type")]
        room_type: Option<String>,
    }
    let mut find = conn.prepare_cached(
        "SELECT (SELECT e.json FROM current_state c JOIN event e ON e.stream = c.event
                 WHERE c.room = r.id AND c.event_type = 'm.room.create' AND c.state_key = ''),
                EXISTS (SELECT 1 FROM current_state c
                 WHERE c.room = r.id AND c.event_type = 'm.room.encryption' AND c.state_key = '')
         FROM room r WHERE r.room_id = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get(1)?));
    let (create, encrypted) = rows::one(&mut find, [room.room_id.as_str()], read)?.unwrap_or_default();
    let create = create.and_then(|json| serde_json::from_str::<Create>(&json).ok());
    let is_over = matches!(room.membership, Membership::Leave | Membership::Ban);
    Ok(DescribedUserRoom {
        by_user: !is_over || made_by(conn, user_id, room.stream)?,
        forgotten: is_over && has_forgotten(conn, user_id, &room.room_id)?,
        room_type: create.and_then(|create| create.content.room_type),
        encrypted,
        room,
    })
}

fn made_by(conn: &Connection, user_id: &UserId, stream: i64) -> Result<bool, StoreError> {
    #[derive(Deserialize)]
    struct Sent {
        sender: String,
    }
    let mut find = conn.prepare_cached("SELECT json FROM event WHERE stream = ?1")?;
    let json: Option<String> = rows::one(&mut find, [stream], |row| Ok(row.get(0)?))?;
    let sent = json.and_then(|json| serde_json::from_str::<Sent>(&json).ok());
    Ok(sent.is_some_and(|sent| sent.sender == user_id.as_str()))
}

fn has_forgotten(conn: &Connection, user_id: &UserId, room_id: &RoomId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM forgotten_room WHERE user_id = ?1 AND room_id = ?2";
    Ok(rows::integer(conn, sql, [user_id.as_str(), room_id.as_str()])?.is_some())
}

fn matching(
    conn: &Connection,
    room_id: &RoomId,
    room: &Room,
    pattern: &StatePattern,
) -> Result<Vec<StoredEvent>, StoreError> {
    let of = (conn, room_id, room);
    match pattern {
        StatePattern::Entry { event_type, state_key } => {
            select(of, "AND c.event_type = ?2 AND c.state_key = ?3", params![room.id, event_type, state_key])
        }
        StatePattern::Type(event_type) => select(of, "AND c.event_type = ?2", params![room.id, event_type]),
        StatePattern::Key(state_key) => select(of, "AND c.state_key = ?2", params![room.id, state_key]),
        // Two ranges: the members between them are not gone through.
        StatePattern::AllButMembers => {
            let mut found = select(of, "AND c.event_type < 'm.room.member'", [room.id])?;
            found.extend(select(of, "AND c.event_type > 'm.room.member'", [room.id])?);
            Ok(found)
        }
        StatePattern::All => select(of, "", [room.id]),
    }
}

fn select(
    (conn, room_id, room): (&Connection, &RoomId, &Room),
    which: &str,
    params: impl Params,
) -> Result<Vec<StoredEvent>, StoreError> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM current_state c CROSS JOIN event e ON e.stream = c.event WHERE c.room = ?1 {which}"
    );
    rows::all(&mut conn.prepare_cached(&sql)?, params, |row| rows::event(row, room_id, room.version))
}
