//! Finding users by their names.
//!
//! Members of rooms are in a full-text index by their id and the display name that they have in the room: one entry a
//! room, so that nobody is found by a name that they only have where the searcher cannot see it.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::auth::Membership;
use rusqlite::{Connection, params};
use serde::Deserialize;

use super::SqliteStore;
use super::rows::{all, integer};
use crate::{FoundUser, FoundUsers, NewEvent, StoreError, UserDirectory};

/// Members with such a name that a search looks at.
const MAX_CANDIDATES: usize = 2000;
/// So much of a display name is indexed, in characters.
const MAX_INDEXED_CHARS: usize = 256;

/// Entries of the index, as far as the searcher `?2` may know of their room, and whether the searcher is in it.
const SEARCH: &str = "
    SELECT m.user_id, e.redacted_by IS NOT NULL, e.json, m.room,
        EXISTS (SELECT 1 FROM current_state mine
            WHERE mine.room = m.room AND mine.event_type = 'm.room.member' AND mine.state_key = ?2
                AND mine.membership = 'join') AS shared
    FROM (SELECT rowid FROM member_search WHERE member_search MATCH ?1 LIMIT ?3) found
    CROSS JOIN searchable_member m ON m.id = found.rowid
    CROSS JOIN current_state c ON c.room = m.room AND c.event_type = 'm.room.member' AND c.state_key = m.user_id
    CROSS JOIN event e ON e.stream = c.event
    WHERE (shared AND m.user_id <> ?2)
        OR EXISTS (SELECT 1 FROM current_state r CROSS JOIN event rule ON rule.stream = r.event
            WHERE r.room = m.room AND r.event_type = 'm.room.join_rules' AND r.state_key = ''
                AND CASE WHEN json_valid(rule.json) THEN rule.json ->> '$.content.join_rule' = 'public' END)
        OR EXISTS (SELECT 1 FROM current_state h CROSS JOIN event history ON history.stream = h.event
            WHERE h.room = m.room AND h.event_type = 'm.room.history_visibility' AND h.state_key = ''
                AND CASE WHEN json_valid(history.json)
                    THEN history.json ->> '$.content.history_visibility' = 'world_readable' END)
    ORDER BY c.event";

/// Whether somebody is in room `?1` whose id ends with `?2`.
const HAS_MEMBER_OF: &str = "
    SELECT EXISTS (SELECT 1 FROM current_state
        WHERE room = ?1 AND event_type = 'm.room.member' AND membership = 'join'
            AND substr(state_key, -length(?2)) = ?2)";

#[async_trait]
impl UserDirectory for SqliteStore {
    async fn search_users(
        &self,
        searcher: &UserId,
        words: Vec<String>,
        limit: usize,
    ) -> Result<FoundUsers, StoreError> {
        if words.is_empty() {
            return Ok(FoundUsers::default());
        }
        let searcher = searcher.clone();
        self.read(move |conn| search(conn, &searcher, &words, limit)).await
    }
}

/// A member event became current.
pub(super) fn note(conn: &Connection, room: i64, event: &NewEvent, user_id: &str) -> Result<(), StoreError> {
    let find = "SELECT id FROM searchable_member WHERE room = ?1 AND user_id = ?2";
    let known = integer(conn, find, params![room, user_id])?;
    if let Some(id) = known {
        conn.prepare_cached("DELETE FROM member_search WHERE rowid = ?1")?.execute([id])?;
    }
    match (event.membership == Some(Membership::Join), known) {
        (true, Some(id)) => index(conn, id, user_id, &event.json),
        (true, None) => {
            conn.prepare_cached("INSERT INTO searchable_member (room, user_id) VALUES (?1, ?2)")?
                .execute(params![room, user_id])?;
            index(conn, conn.last_insert_rowid(), user_id, &event.json)
        }
        (false, Some(id)) => {
            conn.prepare_cached("DELETE FROM searchable_member WHERE id = ?1")?.execute([id])?;
            Ok(())
        }
        (false, None) => Ok(()),
    }
}

fn index(conn: &Connection, id: i64, user_id: &str, json: &str) -> Result<(), StoreError> {
    let name: String = member(json).displayname.unwrap_or_default().chars().take(MAX_INDEXED_CHARS).collect();
    conn.prepare_cached("INSERT INTO member_search (rowid, user_id, name) VALUES (?1, ?2, ?3)")?
        .execute(params![id, user_id, name])?;
    Ok(())
}

fn search(conn: &Connection, searcher: &UserId, words: &[String], limit: usize) -> Result<FoundUsers, StoreError> {
    let query: Vec<String> = words.iter().map(|word| format!("\"{}\" *", word.replace('"', ""))).collect();
    let candidates = i64::try_from(MAX_CANDIDATES).unwrap_or(i64::MAX);
    let rows =
        all(&mut conn.prepare_cached(SEARCH)?, params![query.join(" "), searcher.as_str(), candidates], |row| {
            let (user_id, redacted, json): (String, bool, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (room, shared): (i64, bool) = (row.get(3)?, row.get(4)?);
            Ok((user_id, redacted, member(&json), (room, shared)))
        })?;
    // What is known of a room that the searcher's server is not in may have been over for long.
    let server = format!(":{}", searcher.server_str());
    let mut has_member = conn.prepare_cached(HAS_MEMBER_OF)?;
    let mut is_here: HashMap<i64, bool> = HashMap::new();
    // The newest entry of each counts.
    let mut users = BTreeMap::new();
    for (user_id, redacted, member, (room, shared)) in rows {
        let here = match is_here.get(&room) {
            Some(here) => *here,
            None => shared || has_member.query_row(params![room, server], |row| row.get(0))?,
        };
        is_here.insert(room, here);
        if !here {
            continue;
        }
        let Ok(user_id) = UserId::parse(&*user_id) else { continue };
        let member = if redacted { Member::default() } else { member };
        // A name that was redacted is found no more.
        if redacted && !words.iter().all(|word| user_id.as_str().contains(word.to_lowercase().as_str())) {
            continue;
        }
        users.insert(user_id, member);
    }
    let found = integer(
        conn,
        "SELECT count(*) FROM (SELECT 1 FROM member_search WHERE member_search MATCH ?1 LIMIT ?2)",
        params![query.join(" "), candidates],
    )?;
    let limited = users.len() > limit || found == Some(candidates);
    let user = |(user_id, member): (UserId, Member)| FoundUser {
        user_id,
        displayname: member.displayname,
        avatar_url: member.avatar_url,
    };
    Ok(FoundUsers { users: users.into_iter().take(limit).map(user).collect(), limited })
}

/// What a member event says of who it is about.
#[derive(Default)]
struct Member {
    displayname: Option<String>,
    avatar_url: Option<String>,
}

/// Other servers write what they like: what is no text is not there.
fn member(json: &str) -> Member {
    #[derive(Deserialize)]
    struct Event {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        displayname: Option<serde_json::Value>,
        avatar_url: Option<serde_json::Value>,
    }
    let Ok(Event { content }) = serde_json::from_str(json) else { return Member::default() };
    let text = |value: Option<serde_json::Value>| value.as_ref().and_then(|value| value.as_str()).map(str::to_owned);
    Member { displayname: text(content.displayname), avatar_url: text(content.avatar_url) }
}
