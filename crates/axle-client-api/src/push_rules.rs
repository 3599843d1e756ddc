//! Push rules: the predefined ones, and what users made of them.
//!
//! They are kept as the account data `m.push_rules` from the first change on. Whatever is kept, the predefined rules of
//! this version of the server are among them.

mod predefined;

use axle_protocol::{MatrixError, UserId};
use ruma::push::{AnyPushRuleRef, RuleKind, Ruleset};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::account_data::{self, Key};
use crate::error::{ApiError, ApiResult};
use crate::session::Session;
use crate::state::Api;

/// The type of the account data that they are.
pub(crate) const EVENT_TYPE: &str = "m.push_rules";

/// The kinds of rules. ruma leaves out those of which there are none; clients are used to all of them.
const KINDS: [&str; 5] = ["override", "content", "room", "sender", "underride"];

#[derive(Deserialize)]
struct Stored {
    global: Ruleset,
}

/// What the rules are in account data and in the answer to `GET pushrules/`.
#[derive(Debug, Serialize)]
pub(crate) struct Content {
    pub(crate) global: Map<String, Value>,
}

/// A user's rules.
pub(crate) async fn of(api: &Api, user_id: &UserId) -> ApiResult<Ruleset> {
    let stored = account_data::get(api, key(user_id)).await?;
    effective(user_id, stored.as_ref().map(|stored| &*stored.content))
}

/// The rules of which this content is kept.
pub(crate) fn effective(user_id: &UserId, stored: Option<&str>) -> ApiResult<Ruleset> {
    let predefined = predefined::of(user_id)?;
    let Some(stored) = stored else { return Ok(predefined) };
    let Stored { mut global } = serde_json::from_str(stored).map_err(unreadable)?;
    global.update_with_server_default(predefined);
    Ok(global)
}

/// Rules as clients get them.
pub(crate) fn content(rules: &Ruleset) -> ApiResult<Content> {
    let mut global = match serde_json::to_value(rules).map_err(unreadable)? {
        Value::Object(global) => global,
        _ => Map::new(),
    };
    for kind in KINDS {
        global.entry(kind).or_insert_with(|| Value::Array(Vec::new()));
    }
    Ok(Content { global })
}

/// The same in JSON.
pub(crate) fn json(rules: &Ruleset) -> ApiResult<String> {
    serde_json::to_string(&content(rules)?).map_err(unreadable)
}

/// Changes a user's rules. Their devices learn of it by sync.
pub(crate) async fn change(
    api: &Api,
    session: &Session,
    change: impl Fn(&mut Ruleset) -> Result<(), MatrixError> + Send + Sync,
) -> ApiResult<()> {
    api.limits.changes.take(session.user_id.as_str())?;
    change_of(api, &session.user_id, change).await
}

/// The same without limits.
pub(crate) async fn change_of(
    api: &Api,
    user_id: &UserId,
    change: impl Fn(&mut Ruleset) -> Result<(), MatrixError> + Send + Sync,
) -> ApiResult<()> {
    account_data::change(api, key(user_id), |stored| {
        let mut rules = effective(user_id, stored)?;
        change(&mut rules)?;
        json(&rules).map(Some)
    })
    .await
}

/// One rule. 404 `M_NOT_FOUND`: there is none.
pub(crate) fn find<'a>(rules: &'a Ruleset, kind: RuleKind, rule_id: &str) -> Result<AnyPushRuleRef<'a>, MatrixError> {
    rules.get(kind, rule_id).ok_or_else(unknown_rule)
}

/// The answer for a rule that is not there.
pub(crate) fn unknown_rule() -> MatrixError {
    MatrixError::not_found("There is no such push rule.")
}

fn key(user_id: &UserId) -> Key<'_> {
    Key { user_id, room_id: None, event_type: EVENT_TYPE }
}

fn unreadable(error: serde_json::Error) -> ApiError {
    tracing::error!(%error, "push rules cannot be read or written");
    MatrixError::unknown("The server cannot read your push rules.").into()
}
