//! What hubs did that they should not have.

use async_trait::async_trait;
use axle_protocol::RoomId;
use rusqlite::{Connection, Params, Row, params};

use super::writer::Tx;
use super::{SqliteStore, rows};
use crate::{HubFault, HubFaults, MAX_FAULTS_PER_ROOM, StoreError};

#[async_trait]
impl HubFaults for SqliteStore {
    async fn put_faults(&self, faults: Vec<HubFault>) -> Result<(), StoreError> {
        self.write(move |tx| faults.iter().try_for_each(|fault| put(tx, fault))).await
    }

    async fn faults(&self, room_id: &RoomId, after: i64, until: i64) -> Result<Vec<HubFault>, StoreError> {
        if self.inner.shared.lately.no_faults(after) {
            return Ok(Vec::new());
        }
        let room_id = room_id.clone();
        self.read(move |conn| {
            let some = "WHERE r.room_id = ?1 AND f.stream > ?2 AND f.stream <= ?3";
            find(conn, some, params![room_id.as_str(), after, until])
        })
        .await
    }

    async fn all_faults(&self) -> Result<Vec<HubFault>, StoreError> {
        self.read(|conn| find(conn, "", [])).await
    }
}

fn put(tx: &mut Tx<'_>, fault: &HubFault) -> Result<(), StoreError> {
    let Some(room) = rows::room(tx.conn, &fault.room_id)? else { return Ok(()) };
    let known = "SELECT 1 FROM hub_fault WHERE room = ?1 AND event_id = ?2 AND kind = ?3";
    if rows::integer(tx.conn, known, params![room.id, fault.event_id.as_str(), fault.kind])?.is_some() {
        return Ok(());
    }
    let stream = tx.next_stream();
    tx.conn
        .prepare_cached(
            "INSERT INTO hub_fault (stream, room, hub, event_id, kind, detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            stream,
            room.id,
            fault.hub.as_str(),
            fault.event_id.as_str(),
            fault.kind,
            fault.detail,
            fault.at
        ])?;
    tx.conn
        .prepare_cached(
            "DELETE FROM hub_fault WHERE room = ?1 AND stream <=
                 (SELECT stream FROM hub_fault WHERE room = ?1 ORDER BY stream DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![room.id, i64::try_from(MAX_FAULTS_PER_ROOM).unwrap_or(i64::MAX)])?;
    // It is news of the room.
    tx.conn.prepare_cached("UPDATE room SET newest_stream = ?2 WHERE id = ?1")?.execute([room.id, stream])?;
    tx.effects.rooms.push((room.id, stream));
    tx.effects.faults = stream;
    // The row may be gone one day; its stream position must not be given out a second time.
    tx.conn.prepare_cached("UPDATE stream_floor SET stream = ?1")?.execute([stream])?;
    Ok(())
}

fn find(conn: &Connection, which: &str, params: impl Params) -> Result<Vec<HubFault>, StoreError> {
    let sql = format!(
        "SELECT r.room_id, f.hub, f.event_id, f.kind, f.detail, f.at, f.stream
         FROM hub_fault f JOIN room r ON r.id = f.room {which} ORDER BY f.stream"
    );
    rows::all(&mut conn.prepare_cached(&sql)?, params, read)
}

fn read(row: &Row<'_>) -> Result<HubFault, StoreError> {
    Ok(HubFault {
        room_id: rows::id(row, 0)?,
        hub: rows::id(row, 1)?,
        event_id: rows::id(row, 2)?,
        kind: row.get(3)?,
        detail: row.get(4)?,
        at: row.get(5)?,
        stream: row.get(6)?,
    })
}
