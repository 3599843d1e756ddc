//! Account data: what clients keep for their user, globally and in rooms.

use axle_protocol::limits::MAX_ID_BYTES;
use axle_protocol::{MatrixError, RoomId, UserId};
use axle_store::{AccountData, Expected, MAX_ACCOUNT_DATA_PER_USER, PutAccountData};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::push_rules;
use crate::receipts;
use crate::state::Api;

/// The largest content of one entry, in bytes of JSON.
const MAX_CONTENT_BYTES: usize = 128 * 1024;
/// How often a change is made anew because another request of the user came between.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// Types that have endpoints of their own, and where those are.
const SERVER_CONTROLLED: [(&str, &str); 2] =
    [(receipts::FULLY_READ, "/rooms/{roomId}/read_markers"), (push_rules::EVENT_TYPE, "/pushrules")];

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    /// Whose.
    pub(crate) user_id: &'a UserId,
    /// `None`: it is global.
    pub(crate) room_id: Option<&'a RoomId>,
    /// `type`.
    pub(crate) event_type: &'a str,
}

/// What a client is told that it does not have.
pub(crate) fn not_there() -> MatrixError {
    MatrixError::not_found("There is no account data of this type.")
}

/// Refuses the types that clients cannot set like any other: 405 `M_BAD_JSON`.
pub(crate) fn check_settable(event_type: &str) -> Result<(), MatrixError> {
    match SERVER_CONTROLLED.iter().find(|(controlled, _)| *controlled == event_type) {
        Some((_, path)) => {
            let error = format!("{event_type} cannot be set as account data. Use {path}.");
            Err(MatrixError::new(405, "M_BAD_JSON", error))
        }
        None => Ok(()),
    }
}

/// Content that a client sent: a JSON object, kept as it is written.
pub(crate) fn parse(json: &RawValue) -> Result<&str, MatrixError> {
    serde_json::from_str::<Map<String, Value>>(json.get()).map_err(|error| MatrixError::bad_json(error.to_string()))?;
    Ok(json.get())
}

/// Reads an entry's content.
pub(crate) async fn get(api: &Api, key: Key<'_>) -> ApiResult<Option<AccountData>> {
    Ok(api.store.account_data(key.user_id, key.room_id, key.event_type).await?)
}

/// Stores content, whatever was there before.
pub(crate) async fn put(api: &Api, key: Key<'_>, content: &str) -> ApiResult<()> {
    match store(api, key, content, Expected::Anything).await? {
        PutAccountData::Stored(_) => Ok(()),
        PutAccountData::Full => Err(full().into()),
        PutAccountData::Unexpected => Err(busy().into()),
    }
}

/// Makes new content out of what is there; `None` leaves it as it is. `change` runs again when another request of the
/// user has changed the entry meanwhile.
pub(crate) async fn change(
    api: &Api,
    key: Key<'_>,
    change: impl Fn(Option<&str>) -> ApiResult<Option<String>> + Send + Sync,
) -> ApiResult<()> {
    for _ in 0..MAX_ATTEMPTS {
        let known = get(api, key).await?;
        let Some(content) = change(known.as_ref().map(|known| &*known.content))? else { return Ok(()) };
        let expected = known.map_or(Expected::Nothing, |known| Expected::Stream(known.stream));
        match store(api, key, &content, expected).await? {
            PutAccountData::Stored(_) => return Ok(()),
            PutAccountData::Full => return Err(full().into()),
            PutAccountData::Unexpected => {}
        }
    }
    Err(busy().into())
}

/// Stores content if what is there is what is expected.
pub(crate) async fn store(api: &Api, key: Key<'_>, content: &str, expected: Expected) -> ApiResult<PutAccountData> {
    if key.event_type.len() > MAX_ID_BYTES {
        return Err(MatrixError::too_large(format!("A type has at most {MAX_ID_BYTES} bytes.")).into());
    }
    if content.len() > MAX_CONTENT_BYTES {
        let error = format!("Account data of one type has at most {MAX_CONTENT_BYTES} bytes.");
        return Err(MatrixError::too_large(error).into());
    }
    let entry = AccountData {
        room_id: key.room_id.cloned(),
        event_type: key.event_type.to_owned(),
        content: content.into(),
        stream: 0,
    };
    let put = api.store.put_account_data(key.user_id, entry, expected).await?;
    if matches!(put, PutAccountData::Stored(_)) {
        api.notifier.wake(key.user_id);
    }
    Ok(put)
}

/// The answer where there are too many entries.
pub(crate) fn full() -> MatrixError {
    MatrixError::too_large(format!("You have {MAX_ACCOUNT_DATA_PER_USER} entries of account data already."))
}

/// The answer where others were faster again and again.
pub(crate) fn busy() -> MatrixError {
    MatrixError::unknown("Too many requests change this at once. Try again.")
}
