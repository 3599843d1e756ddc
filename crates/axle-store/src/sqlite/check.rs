//! Whether the database agrees with itself.

use axle_protocol::event::Hash;
use axle_protocol::{EventId, base64};
use rusqlite::Connection;

use super::event_index::{View, find, id_key, indexed_to, lpdu_key};
use super::rows;
use crate::StoreError;

/// At most so many findings of each kind are told.
const MAX_FINDINGS: usize = 100;

/// What must hold, as queries that find where it does not. Each row is a sentence. JSON that is none is found elsewhere.
const INVARIANTS: &[&str] = &[
    "SELECT 'room ' || r.room_id || ' has ' || count(e.stream) || ' events with a position, ' || r.events ||
         ' were stored'
     FROM room_now r LEFT JOIN event e ON e.room = r.id AND e.position IS NOT NULL
     GROUP BY r.id HAVING count(e.stream) <> r.events",
    "SELECT 'room ' || r.room_id || ' is counted up to ' || coalesce(r.counted_to, 'nothing') || ', it ends at ' ||
         coalesce(n.head, 'nothing')
     FROM room r JOIN room_now n ON n.id = r.id
     WHERE NOT coalesce(r.counted_to <= n.head, r.counted_to IS n.head)",
    "SELECT 'room ' || r.room_id || ' lacks what was between positions ' || n.below || ' and ' || n.position
     FROM (SELECT room, position, lag(position) OVER (PARTITION BY room ORDER BY position) AS below
           FROM event WHERE position IS NOT NULL) n
     JOIN room r ON r.id = n.room
     WHERE n.position <> n.below + 1
         AND NOT EXISTS (SELECT 1 FROM gap g WHERE g.room = n.room AND g.after = n.below AND g.before = n.position)",
    "SELECT 'event ' || e.event_id || ' is in a room that is not there' FROM event e
     WHERE NOT EXISTS (SELECT 1 FROM room r WHERE r.id = e.room)",
    "SELECT 'event ' || e.event_id || ' has a position, but was not accepted' FROM event e
     WHERE e.position IS NOT NULL AND e.status NOT IN (0, 1)",
    "SELECT 'event ' || e.event_id || ' was accepted, but has no position' FROM event e
     WHERE e.position IS NULL AND e.status IN (0, 1)",
    "SELECT 'event ' || e.event_id || ' is newer than its room ' || r.room_id FROM event e JOIN room_now r ON r.id = e.room
     WHERE e.stream > r.newest_stream",
    "SELECT 'room ' || r.room_id || ' has the state ' || c.event_type || ' ' || c.state_key || ' from the event ' ||
         c.event_id || ', which is not in its log'
     FROM current_state c JOIN room r ON r.id = c.room
     WHERE NOT EXISTS
         (SELECT 1 FROM event e WHERE e.stream = c.event AND e.event_id = c.event_id AND e.room = c.room)",
    "SELECT 'room ' || r.room_id || ' has a change of the state ' || s.event_type || ' ' || s.state_key ||
         ' by an event that is not in its log'
     FROM state_change s JOIN room r ON r.id = s.room
     WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.stream = s.event AND e.room = s.room)",
    "SELECT 'room ' || r.room_id || ' has a state that lacks its parent ' || s.parent
     FROM state_change s JOIN room r ON r.id = s.room
     WHERE s.parent IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM state_change p WHERE p.id = s.parent AND p.room = s.room)",
    "SELECT 'event ' || r.event_id || ' is kept as related to ' || r.target || ', but is not part of its room'
     FROM relation r
     WHERE NOT EXISTS
         (SELECT 1 FROM event e WHERE e.stream = r.event AND e.event_id = r.event_id AND e.room = r.room
              AND e.position = r.position AND e.status = 0 AND e.redacted_by IS NULL)",
    "SELECT 'the thread of ' || coalesce(t.root, k.root) || ' ends at ' || coalesce(k.latest, 'nothing') || ', not at ' ||
         coalesce(t.latest, 'nothing')
     FROM (SELECT room, target AS root, max(position) AS latest FROM relation WHERE rel_type = 'm.thread'
           GROUP BY room, target) k
     FULL JOIN thread t ON t.room = k.room AND t.root = k.root
     WHERE t.latest IS NOT k.latest",
    // The current state must be what its changes, one on the other, make.
    "WITH RECURSIVE chain (room, id, event_type, state_key, event, parent) AS (
         SELECT s.room, s.id, s.event_type, s.state_key, s.event, s.parent FROM room r
             JOIN state_change s ON s.id = r.state_id
         UNION ALL
         SELECT s.room, s.id, s.event_type, s.state_key, s.event, s.parent FROM chain
             JOIN state_change s ON s.id = chain.parent),
     folded AS (SELECT room, event_type, state_key, event, max(id) FROM chain GROUP BY room, event_type, state_key)
     SELECT 'room ' || r.room_id || ' has the state ' || event_type || ' ' || state_key || ' from ' ||
         coalesce(c.event_id, 'no event') || ', its changes say ' || coalesce((SELECT e.event_id FROM event e WHERE e.stream = f.event), 'no event')
     FROM folded f FULL JOIN current_state c USING (room, event_type, state_key) JOIN room r ON r.id = room
     WHERE f.event IS NOT c.event",
    "SELECT 'event ' || event_id || ' is stored ' || count(*) || ' times' FROM event GROUP BY event_id
     HAVING count(*) > 1",
    "SELECT 'room ' || r.room_id || ' has ' || c.state_key || ' as ' || coalesce(c.membership, 'nothing') ||
         ', the event ' || c.event_id || ' says ' || coalesce(e.json ->> '$.content.membership', 'nothing')
     FROM current_state c JOIN room r ON r.id = c.room JOIN event e ON e.stream = c.event
     WHERE c.event_type = 'm.room.member'
         AND CASE WHEN json_valid(e.json) THEN c.membership IS NOT (e.json ->> '$.content.membership') END",
    "SELECT 'room ' || r.room_id || ' has the event ' || e.event_id || ' as a change of ' || s.event_type || ' ' ||
         s.state_key || ', which it is not'
     FROM state_change s JOIN room r ON r.id = s.room JOIN event e ON e.stream = s.event
     WHERE CASE WHEN json_valid(e.json)
         THEN s.event_type IS NOT e.json ->> '$.type' OR s.state_key IS NOT e.json ->> '$.state_key' END",
    "SELECT 'room ' || l.room_id || ' is listed with ' || l.joined || ' users, ' || count(c.room) || ' are in it'
     FROM listed_room l LEFT JOIN current_state c
         ON c.room = l.room AND c.event_type = 'm.room.member' AND c.membership = 'join'
     GROUP BY l.room HAVING l.joined <> count(c.room)",
    "SELECT 'room number ' || room || ' has ' || user_id || ' in the user directory and not in it, or the other way round'
     FROM (SELECT room, user_id FROM searchable_member EXCEPT
               SELECT room, state_key FROM current_state WHERE event_type = 'm.room.member' AND membership = 'join'
           UNION ALL SELECT * FROM
               (SELECT room, state_key FROM current_state WHERE event_type = 'm.room.member' AND membership = 'join'
                EXCEPT SELECT room, user_id FROM searchable_member))",
    "SELECT 'room number ' || f.room || ' of a hub''s fault is not there' FROM hub_fault f
     WHERE NOT EXISTS (SELECT 1 FROM room r WHERE r.id = f.room)",
    "SELECT 'room number ' || d.room || ' or destination number ' || d.destination || ' of a delivery is not there'
     FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM room r WHERE r.id = d.room)
         OR NOT EXISTS (SELECT 1 FROM destination x WHERE x.id = d.destination)",
    "SELECT 'backup ' || b.version || ' of the keys of ' || b.user_id || ' has ' || count(k.id) || ' keys, ' || b.keys ||
         ' were stored'
     FROM key_backup b LEFT JOIN backup_key k ON k.backup = b.id
     GROUP BY b.id
     HAVING count(k.id) <> b.keys
         OR coalesce(sum(length(CAST(k.room_id || k.session_id || k.json AS BLOB))), 0) <> b.bytes",
    "SELECT 'event ' || e.event_id || ' is redacted, and can be searched for'
     FROM message_search_docsize d JOIN event e ON e.stream = d.id WHERE e.redacted_by IS NOT NULL",
    "SELECT 'a pusher is of the device ' || p.device_id || ' of ' || p.user_id || ', which is not there' FROM pusher p
     WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.user_id = p.user_id AND d.device_id = p.device_id)",
    "SELECT 'backup number ' || k.backup || ' of keys is not there' FROM backup_key k
     WHERE NOT EXISTS (SELECT 1 FROM key_backup b WHERE b.id = k.backup) GROUP BY k.backup",
];

/// What of the file is not as SQLite wrote it, a sentence each.
pub(super) fn damage(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut findings = sentences(conn, &format!("PRAGMA integrity_check({MAX_FINDINGS})"))?;
    findings.retain(|finding| finding != "ok");
    Ok(findings)
}

/// What is wrong in a file that is not damaged, a sentence each.
pub(super) fn check(conn: &Connection, view: &View) -> Result<Vec<String>, StoreError> {
    let mut findings = Vec::new();
    for sql in INVARIANTS {
        findings.extend(sentences(conn, sql)?);
    }
    findings.extend(check_redactions(conn, view)?);
    findings.extend(check_index(conn)?);
    Ok(findings)
}

/// Whether every event that is redacted is so by an event of its room.
fn check_redactions(conn: &Connection, view: &View) -> Result<Vec<String>, StoreError> {
    let mut findings = Vec::new();
    let mut redacted = conn.prepare("SELECT event_id, redacted_by, room FROM event WHERE redacted_by IS NOT NULL")?;
    let mut redacted = redacted.query([])?;
    while let Some(row) = redacted.next()? {
        let (event_id, by): (EventId, EventId) = (rows::id(row, 0)?, rows::id(row, 1)?);
        let room: i64 = row.get(2)?;
        let found = find(conn, view, &by)?.is_some_and(|found| found.room == room);
        if !found && findings.len() < MAX_FINDINGS {
            findings.push(format!("event {event_id} is redacted by {by}, which is not in its room's log"));
        }
    }
    Ok(findings)
}

/// Whether every event can be found by its id and its LPDU hash, and that is the one it carries.
fn check_index(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut findings = Vec::new();
    let indexed_to = indexed_to(conn)?;
    let mut indexed = conn.prepare("SELECT 1 FROM event_key WHERE key = ?1 AND stream = ?2")?;
    let mut events = conn.prepare(
        "SELECT stream, event_id, lpdu_hash, json_valid(json),
             CASE WHEN json_valid(json) THEN json ->> '$.hashes.lpdu.sha256' END,
             CASE WHEN json_valid(json) THEN json -> '$.auth_events' IS NULL ELSE 0 END FROM event",
    )?;
    let mut events = events.query([])?;
    while let Some(row) = events.next()? {
        let (stream, hash): (i64, Option<Hash>) = (row.get(0)?, row.get(2)?);
        let event_id: EventId = rows::id(row, 1)?;
        let (is_json, carried): (bool, Option<String>) = (row.get(3)?, row.get(4)?);
        // By its hash is found what an LPDU became, not the LPDU.
        let is_lpdu: bool = row.get(5)?;
        let may_lack = is_lpdu && hash.is_none();
        if is_json && !may_lack && carried.as_deref().and_then(base64::decode_array) != hash {
            findings.push(format!("event {event_id} is stored with another LPDU hash than it carries"));
        }
        for key in std::iter::once(id_key(&event_id)).chain(hash.as_ref().map(lpdu_key)) {
            if stream <= indexed_to && !indexed.exists([key, stream])? {
                findings.push(format!("event {event_id} is not in the index of events"));
            }
        }
        if findings.len() >= MAX_FINDINGS {
            break;
        }
    }
    Ok(findings)
}

fn sentences(conn: &Connection, sql: &str) -> Result<Vec<String>, StoreError> {
    let mut find = conn.prepare(sql)?;
    let rows = find.query_map([], |row| row.get(0))?;
    Ok(rows.take(MAX_FINDINGS).collect::<Result<_, _>>()?)
}
