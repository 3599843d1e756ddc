//! Whom a user does not want to hear of ("Ignoring Users" in Matrix's specification).
//!
//! Nothing is kept beside the account data: who reads events looks it up once for an answer. State is told whoever sent it,
//! so that a room looks the same to everybody.

use std::collections::{BTreeMap, HashSet};

use axle_protocol::UserId;
use axle_store::StoredEvent;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::render::sender;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;
use crate::visibility::StateKey;

/// The type of the account data with the list.
pub(crate) const EVENT_TYPE: &str = "m.ignored_user_list";

/// Whom a user ignores.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    users: HashSet<String>,
    /// Stream position of the list. With another one it is another list.
    pub(crate) stream: i64,
}

impl Ignored {
    /// Reads a user's list. One that cannot be read ignores nobody, and nobody ignores themselves.
    pub(crate) async fn of(api: &Api, user_id: &UserId) -> ApiResult<Self> {
        #[derive(Deserialize)]
        struct Content {
            ignored_users: BTreeMap<String, IgnoredAny>,
        }
        let Some(list) = account_data::get(api, Key { user_id, room_id: None, event_type: EVENT_TYPE }).await? else {
            return Ok(Self { users: HashSet::new(), stream: BEFORE_EVERYTHING });
        };
        let users = serde_json::from_str::<Content>(&list.content).map(|content| content.ignored_users);
        let others = users.unwrap_or_default().into_keys().filter(|user| user != user_id.as_str());
        Ok(Self { users: others.collect(), stream: list.stream })
    }

    /// Whether nobody is ignored.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether a user is ignored.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.users.contains(user)
    }

    /// Whether somebody who is ignored sent an event.
    pub(crate) fn sent(&self, event: &StoredEvent) -> bool {
        !self.is_empty() && sender(event).is_some_and(|sender| self.has(&sender))
    }

    /// Whether an event is not to be told.
    pub(crate) fn hides(&self, event: &StoredEvent) -> bool {
        self.sent(event) && StateKey::of(event).is_none()
    }
}
