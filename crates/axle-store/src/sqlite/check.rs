//! Whether the database agrees with itself.

use rusqlite::Connection;

use crate::StoreError;

/// At most so many findings of each kind are told.
const MAX_FINDINGS: usize = 100;

/// What must hold, as queries that find where it does not. Each row is a sentence.
const INVARIANTS: &[&str] = &[
    "SELECT 'room ' || r.room_id || ' has ' || count(e.stream) || ' events with a position, ' || r.events ||
         ' were stored'
     FROM room r LEFT JOIN event e ON e.room = r.id AND e.position IS NOT NULL
     GROUP BY r.id HAVING count(e.stream) <> r.events",
    "SELECT 'room ' || r.room_id || ' ends at ' || coalesce(max(e.position), 'nothing') || ', not at ' ||
         coalesce(r.head, 'nothing')
     FROM room r LEFT JOIN event e ON e.room = r.id AND e.position IS NOT NULL
     GROUP BY r.id HAVING max(e.position) IS NOT r.head",
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
    "SELECT 'event ' || e.event_id || ' is newer than its room ' || r.room_id FROM event e JOIN room r ON r.id = e.room
     WHERE e.stream > r.newest_stream",
    "SELECT 'room ' || r.room_id || ' has the state ' || c.event_type || ' ' || c.state_key || ' from the event ' ||
         c.event_id || ', which is not in its log'
     FROM current_state c JOIN room r ON r.id = c.room
     WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.event_id = c.event_id AND e.room = c.room)",
    "SELECT 'room ' || r.room_id || ' has a state change by the event ' || s.event_id || ', which is not in its log'
     FROM state_change s JOIN room r ON r.id = s.room
     WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.event_id = s.event_id AND e.room = s.room)",
    "SELECT 'room ' || r.room_id || ' has a state that lacks its parent ' || s.parent
     FROM state_change s JOIN room r ON r.id = s.room
     WHERE s.parent IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM state_change p WHERE p.id = s.parent AND p.room = s.room)",
    // The current state must be what its changes, one on the other, make.
    "WITH RECURSIVE chain (room, id, event_type, state_key, event_id, parent) AS (
         SELECT s.room, s.id, s.event_type, s.state_key, s.event_id, s.parent FROM room r
             JOIN state_change s ON s.id = r.state_id
         UNION ALL
         SELECT s.room, s.id, s.event_type, s.state_key, s.event_id, s.parent FROM chain
             JOIN state_change s ON s.id = chain.parent),
     folded AS (SELECT room, event_type, state_key, event_id, max(id) FROM chain GROUP BY room, event_type, state_key)
     SELECT 'room ' || r.room_id || ' has the state ' || event_type || ' ' || state_key || ' from ' ||
         coalesce(c.event_id, 'no event') || ', its changes say ' || coalesce(f.event_id, 'no event')
     FROM folded f FULL JOIN current_state c USING (room, event_type, state_key) JOIN room r ON r.id = room
     WHERE f.event_id IS NOT c.event_id",
    "SELECT 'room ' || r.room_id || ' has ' || c.state_key || ' as ' || coalesce(c.membership, 'nothing') ||
         ', the event ' || c.event_id || ' says ' || coalesce(e.json ->> '$.content.membership', 'nothing')
     FROM current_state c JOIN room r ON r.id = c.room JOIN event e ON e.event_id = c.event_id
     WHERE c.event_type = 'm.room.member' AND c.membership IS NOT (e.json ->> '$.content.membership')",
    "SELECT 'event ' || e.event_id || ' is redacted by ' || e.redacted_by || ', which is not in the log' FROM event e
     WHERE e.redacted_by IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM event x WHERE x.event_id = e.redacted_by AND x.room = e.room)",
    "SELECT 'room number ' || d.room || ' or destination number ' || d.destination || ' of a delivery is not there'
     FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM room r WHERE r.id = d.room)
         OR NOT EXISTS (SELECT 1 FROM destination x WHERE x.id = d.destination)",
];

/// Everything that is wrong, a sentence each.
pub(super) fn check(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut findings = sentences(conn, &format!("PRAGMA integrity_check({MAX_FINDINGS})"))?;
    findings.retain(|finding| finding != "ok");
    if !findings.is_empty() {
        // What reads a damaged file fails or tells nonsense.
        return Ok(findings);
    }
    for sql in INVARIANTS {
        findings.extend(sentences(conn, sql)?);
    }
    Ok(findings)
}

fn sentences(conn: &Connection, sql: &str) -> Result<Vec<String>, StoreError> {
    let mut find = conn.prepare(sql)?;
    let rows = find.query_map([], |row| row.get(0))?;
    Ok(rows.take(MAX_FINDINGS).collect::<Result<_, _>>()?)
}
