//! Answers with many keys, page by page: a backup may be larger than what should be in memory at once.

use axle_protocol::UserId;
use axle_store::{BackupKey, StoreError, WhichKeys};
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::try_unfold;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;

use crate::error::ApiResult;
use crate::key_backup;
use crate::state::Api;

/// Keys that are read at once.
const KEYS_PER_PAGE: usize = 500;

/// The query of these requests.
#[derive(Deserialize)]
pub(super) struct Query {
    pub(super) version: String,
}

/// Answers with the keys of all rooms, `{"rooms":{ROOM:{"sessions":{SESSION:KEY}}}}`, or of one, without the rooms
/// around them.
pub(super) async fn keys(api: Api, user_id: UserId, of: &str, which: WhichKeys) -> ApiResult<Response> {
    let version = key_backup::version(of)?;
    let page = api.store.backup_keys(&user_id, version, which.clone(), None, KEYS_PER_PAGE).await?;
    let page = page.ok_or_else(key_backup::no_backup)?;
    let by_room = which == WhichKeys::All;
    let text = if by_room { r#"{"rooms":{"# } else { r#"{"sessions":{"# }.to_owned();
    let reading = Reading { api, user_id, version, which, page: Some(page), text, by_room, last_room: None };
    let body = Body::from_stream(try_unfold(reading, Reading::next));
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Keys that are read on while the client takes the answer.
struct Reading {
    api: Api,
    user_id: UserId,
    version: i64,
    which: WhichKeys,
    /// What is to be written next; `None`: the answer is complete.
    page: Option<Vec<BackupKey>>,
    /// What was written and not yet sent.
    text: String,
    by_room: bool,
    /// The room of the last key that was written.
    last_room: Option<String>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let Some(page) = self.page.take() else { return Ok(None) };
        page.iter().for_each(|key| self.write(key));
        match page.last() {
            Some(last) if page.len() == KEYS_PER_PAGE => {
                let after = Some((last.room_id.clone(), last.session_id.clone()));
                let (store, which) = (&self.api.store, self.which.clone());
                let next = store.backup_keys(&self.user_id, self.version, which, after, KEYS_PER_PAGE).await?;
                // The answer breaks off: half a backup must not look like a whole one.
                let gone = || StoreError::Invalid("the backup was deleted while it was read".into());
                self.page = Some(next.ok_or_else(gone)?);
            }
            _ => self.end(),
        }
        Ok(Some((std::mem::take(&mut self.text).into(), self)))
    }

    fn write(&mut self, key: &BackupKey) {
        let is_first = self.last_room.is_none();
        if self.last_room.as_ref() != Some(&key.room_id) {
            self.last_room = Some(key.room_id.clone());
            if self.by_room {
                let end_of_room = if is_first { "" } else { "}}," };
                self.text += &format!(r#"{end_of_room}{}:{{"sessions":{{"#, json!(key.room_id));
            }
        } else {
            self.text.push(',');
        }
        self.text += &format!("{}:{}", json!(key.session_id), key.json);
    }

    fn end(&mut self) {
        if self.by_room && self.last_room.is_some() {
            self.text += "}}";
        }
        self.text += "}}";
    }
}
