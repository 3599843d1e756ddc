//! Pushers of local users.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Row, params};

use super::SqliteStore;
use super::error::damaged;
use super::rows::{self, all, integer, one};
use super::writer::Tx;
use crate::{MAX_PUSHERS_PER_USER, NewPusher, PushProgress, Pusher, Pushers, PutPusher, StoreError};

/// The columns that [`read`] reads.
const COLUMNS: &str = "id, user_id, device_id, app_id, pushkey, json, set_ts, cursor, badge, failing_since";

#[async_trait]
impl Pushers for SqliteStore {
    async fn put_pusher(&self, pusher: NewPusher, addition: bool) -> Result<PutPusher, StoreError> {
        self.write(move |tx| put(tx, &pusher, addition)).await
    }

    async fn pushers(&self, user_id: &UserId) -> Result<Vec<Pusher>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM pusher WHERE user_id = ?1 ORDER BY id");
            all(&mut conn.prepare_cached(&sql)?, [user_id.as_str()], read)
        })
        .await
    }

    async fn all_pushers(&self) -> Result<Vec<Pusher>, StoreError> {
        self.read(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM pusher ORDER BY id");
            all(&mut conn.prepare_cached(&sql)?, [], read)
        })
        .await
    }

    async fn push_progress(&self, id: i64, progress: PushProgress) -> Result<bool, StoreError> {
        let badge = progress.badge.map(|badge| i64::try_from(badge).unwrap_or(i64::MAX));
        self.write(move |tx| {
            let sql = "UPDATE pusher SET cursor = ?2, badge = ?3, failing_since = ?4 WHERE id = ?1";
            let params = params![id, progress.cursor, badge, progress.failing_since];
            Ok(tx.conn.prepare_cached(sql)?.execute(params)? == 1)
        })
        .await
    }

    async fn remove_pusher(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.conn.prepare_cached("DELETE FROM pusher WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
        .await
    }
}

fn put(tx: &Tx<'_>, pusher: &NewPusher, addition: bool) -> Result<PutPusher, StoreError> {
    let user = pusher.user_id.as_str();
    // Between the check of its token and this the device may have been logged out.
    let device = "SELECT 1 FROM device WHERE user_id = ?1 AND device_id = ?2";
    if integer(tx.conn, device, [user, &pusher.device_id])?.is_none() {
        return Ok(PutPusher::NoDevice);
    }
    let own = "SELECT id, cursor, badge FROM pusher WHERE user_id = ?1 AND app_id = ?2 AND pushkey = ?3";
    let key = [user, &pusher.app_id, &pusher.pushkey];
    let own = one(&mut tx.conn.prepare_cached(own)?, key, |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    if own.is_none() {
        let count = integer(tx.conn, "SELECT count(*) FROM pusher WHERE user_id = ?1", [user])?.unwrap_or(0);
        if usize::try_from(count).map_err(damaged)? >= MAX_PUSHERS_PER_USER {
            return Ok(PutPusher::Full);
        }
    }
    let mut ended: Vec<i64> = own.iter().map(|(id, ..)| *id).collect();
    if !addition {
        let others = "SELECT id FROM pusher WHERE app_id = ?1 AND pushkey = ?2 AND user_id <> ?3";
        let key = [&*pusher.app_id, &pusher.pushkey, user];
        let mut others = tx.conn.prepare_cached(others)?;
        ended.extend(all(&mut others, key, |row| Ok(row.get::<_, i64>(0)?))?);
    }
    let mut delete = tx.conn.prepare_cached("DELETE FROM pusher WHERE id = ?1")?;
    for id in &ended {
        delete.execute([id])?;
    }
    let (cursor, badge) = match own {
        Some((_, cursor, badge)) => (cursor, badge),
        None => (tx.effects.stream, None),
    };
    let insert = format!(
        "INSERT INTO pusher (user_id, device_id, app_id, pushkey, json, set_ts, cursor, badge)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING {COLUMNS}"
    );
    let params =
        params![user, pusher.device_id, pusher.app_id, pusher.pushkey, pusher.json, pusher.set_ts, cursor, badge];
    let stored = one(&mut tx.conn.prepare_cached(&insert)?, params, read)?;
    let pusher = stored.ok_or_else(|| damaged("a pusher that was stored is not there"))?;
    Ok(PutPusher::Set { pusher: Box::new(pusher), ended })
}

fn read(row: &Row<'_>) -> Result<Pusher, StoreError> {
    let badge: Option<i64> = row.get(8)?;
    Ok(Pusher {
        id: row.get(0)?,
        set: NewPusher {
            user_id: rows::id(row, 1)?,
            device_id: row.get(2)?,
            app_id: row.get(3)?,
            pushkey: row.get(4)?,
            json: row.get(5)?,
            set_ts: row.get(6)?,
        },
        progress: PushProgress {
            cursor: row.get(7)?,
            badge: badge.map(u64::try_from).transpose().map_err(damaged)?,
            failing_since: row.get(9)?,
        },
    })
}
