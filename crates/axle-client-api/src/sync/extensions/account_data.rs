//! Account data in a sync: what changed, read at once for all rooms and none.

use std::collections::BTreeMap;

use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::AccountData;
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{ApiError, ApiResult};
use crate::push_rules;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

/// What a user's account data became between two moments, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// What belongs to no room. From the beginning of time it has the push rules, whether they were changed or not.
    pub(crate) global: Vec<AccountData>,
    /// By room.
    pub(crate) rooms: BTreeMap<RoomId, Vec<AccountData>>,
}

impl Changes {
    /// Reads those with `since < stream <= until`; `None`: all.
    pub(crate) async fn read(api: &Api, user_id: &UserId, since: Option<i64>, until: i64) -> ApiResult<Self> {
        let after = since.unwrap_or(BEFORE_EVERYTHING);
        let mut changes = Self::default();
        for entry in api.store.account_data_changes(user_id, after, until).await? {
            match &entry.room_id {
                Some(room_id) => changes.rooms.entry(room_id.clone()).or_default().push(entry),
                None => changes.global.push(entry),
            }
        }
        changes.complete_push_rules(user_id, since.is_none())?;
        Ok(changes)
    }

    /// Puts the predefined rules among those that are kept; adds rules that nobody changed yet.
    fn complete_push_rules(&mut self, user_id: &UserId, everything: bool) -> ApiResult<()> {
        let kept = self.global.iter_mut().find(|entry| entry.event_type == push_rules::EVENT_TYPE);
        let stored = kept.as_ref().map(|entry| entry.content.clone());
        let rules = || push_rules::json(&push_rules::effective(user_id, stored.as_deref())?);
        match kept {
            Some(entry) => entry.content = rules()?.into(),
            None if everything => self.global.push(AccountData {
                room_id: None,
                event_type: push_rules::EVENT_TYPE.into(),
                content: rules()?.into(),
                stream: 0,
            }),
            None => {}
        }
        Ok(())
    }
}

/// Entries as clients get them, those whose type is wanted.
pub(crate) fn render<T>(entries: &[AccountData], wanted: impl Fn(&str) -> bool) -> ApiResult<Vec<Raw<T>>> {
    entries.iter().filter(|entry| wanted(&entry.event_type)).map(raw).collect()
}

fn raw<T>(entry: &AccountData) -> ApiResult<Raw<T>> {
    #[derive(Serialize)]
    struct Event<'a> {
        #[serde(rename = "type")]
        event_type: &'a str,
        content: &'a RawValue,
    }
    let content = serde_json::from_str(&entry.content).map_err(unreadable)?;
    let event = Event { event_type: &entry.event_type, content };
    Ok(Raw::from_json(to_raw_value(&event).map_err(unreadable)?))
}

fn unreadable(error: serde_json::Error) -> ApiError {
    tracing::error!(%error, "account data cannot be rendered");
    MatrixError::unknown("The server has account data that it cannot read.").into()
}
