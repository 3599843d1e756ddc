//! What others see of local users.

use async_trait::async_trait;
use axle_protocol::UserId;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::rows::{all, one};
use crate::profiles::FIELD_OVERHEAD_BYTES;
use crate::{MAX_PROFILE_FIELDS_BYTES, Profile, ProfileField, Profiles, StoreError};

#[async_trait]
impl Profiles for SqliteStore {
    async fn profile(&self, user_id: &UserId) -> Result<Profile, StoreError> {
        let user_id = user_id.clone();
        let found = self.read(move |conn| {
            let mut find = conn.prepare_cached("SELECT displayname, avatar_url FROM profile WHERE user_id = ?1")?;
            one(&mut find, [user_id.as_str()], |row| Ok(Profile { displayname: row.get(0)?, avatar_url: row.get(1)? }))
        });
        Ok(found.await?.unwrap_or_default())
    }

    async fn put_profile(&self, user_id: &UserId, profile: Profile) -> Result<(), StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "INSERT OR REPLACE INTO profile (user_id, displayname, avatar_url) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![user_id.as_str(), profile.displayname, profile.avatar_url])?;
            Ok(())
        })
        .await
    }

    async fn profile_fields(&self, user_id: &UserId) -> Result<Vec<ProfileField>, StoreError> {
        let user_id = user_id.clone();
        self.read(move |conn| fields(conn, &user_id)).await
    }

    async fn put_profile_field(&self, user_id: &UserId, field: ProfileField) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |tx| {
            let others = fields(tx.conn, &user_id)?.into_iter().filter(|other| other.name != field.name);
            let bytes = |field: &ProfileField| field.name.len() + field.json.len() + FIELD_OVERHEAD_BYTES;
            if others.map(|other| bytes(&other)).sum::<usize>() + bytes(&field) > MAX_PROFILE_FIELDS_BYTES {
                return Ok(false);
            }
            tx.conn
                .prepare_cached("INSERT OR REPLACE INTO profile_field (user_id, name, json) VALUES (?1, ?2, ?3)")?
                .execute([user_id.as_str(), &field.name, &field.json])?;
            Ok(true)
        })
        .await
    }

    async fn remove_profile_field(&self, user_id: &UserId, name: &str) -> Result<(), StoreError> {
        let (user_id, name) = (user_id.clone(), name.to_owned());
        self.write(move |tx| {
            tx.conn
                .prepare_cached("DELETE FROM profile_field WHERE user_id = ?1 AND name = ?2")?
                .execute([user_id.as_str(), &name])?;
            Ok(())
        })
        .await
    }
}

fn fields(conn: &Connection, user_id: &UserId) -> Result<Vec<ProfileField>, StoreError> {
    let mut find = conn.prepare_cached("SELECT name, json FROM profile_field WHERE user_id = ?1 ORDER BY name")?;
    all(&mut find, [user_id.as_str()], |row| Ok(ProfileField { name: row.get(0)?, json: row.get(1)? }))
}
