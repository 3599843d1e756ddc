//! The answers of a hub about a group, read.

use axle_mls::Layering;
use axle_mls::event::RoomBinding;
use axle_mls::hub::HubSender;
use axle_mls::limits::{MAX_BOUND_EVENTS, MAX_QUEUED_PROPOSALS};
use axle_mls::member::HubState;
use axle_protocol::{EventId, ServerName, UserId, VerifyKey, base64};
use serde_json::{Map, Value};

use super::EncryptionError;

/// Devices that are to be removed, at most; the next commit removes more.
const MAX_DUE: usize = 512;

type Result<T> = std::result::Result<T, EncryptionError>;

/// A room's group as its hub has it.
pub(super) struct GroupAnswer {
    pub(super) state: HubState,
    /// How it stands to the room, if that is a way that is known here.
    pub(super) layering: Option<Layering>,
    /// What waits for the next commit.
    pub(super) proposals: Vec<Vec<u8>>,
    /// Whose devices have to leave, by user and device.
    pub(super) removals_due: Vec<(UserId, String)>,
}

/// What a commit says of the room.
pub(super) struct BindingAnswer {
    pub(super) binding: RoomBinding,
    /// The hub as the first commit names it; only the hub itself tells.
    pub(super) hub: Option<HubSender>,
    /// The prepared member event, if one was asked for.
    pub(super) member: Option<Value>,
}

impl GroupAnswer {
    pub(super) fn read(answer: &Map<String, Value>) -> Result<Self> {
        let bytes = |field| decoded(answer.get(field), "the group");
        let last_commit = event_id(answer.get("commit_event_id"))?;
        let (group_info, ratchet_tree) = (bytes("group_info")?, bytes("ratchet_tree")?);
        let proposals = list(answer, "proposals").iter().take(MAX_QUEUED_PROPOSALS);
        let device = |value: &Value| {
            let user = value.get("user_id")?.as_str().and_then(|id| UserId::parse(id).ok())?;
            Some((user, value.get("device_id")?.as_str()?.to_owned()))
        };
        Ok(Self {
            state: HubState { group_info, ratchet_tree, last_commit },
            layering: answer.get("layering").and_then(Value::as_str).and_then(Layering::parse),
            proposals: proposals.map(|value| decoded(Some(value), "a proposal")).collect::<Result<_>>()?,
            removals_due: list(answer, "removals_due").iter().take(MAX_DUE).filter_map(device).collect(),
        })
    }
}

impl BindingAnswer {
    pub(super) fn read(answer: &Map<String, Value>) -> Result<Self> {
        let auth_events = list(answer, "auth_events").iter().take(MAX_BOUND_EVENTS);
        let auth_events = auth_events.map(|id| event_id(Some(id))).collect::<Result<_>>()?;
        let hub = match answer.get("hub") {
            None | Some(Value::Null) => None,
            Some(told) => Some(hub(told).ok_or(EncryptionError::Answer("hub"))?),
        };
        let (mut member, mut member_event) = (None, None);
        if let Some(prepared) = answer.get("member").filter(|value| !value.is_null()) {
            let hash = prepared.get("lpdu_hash").and_then(Value::as_str).and_then(base64::decode_array);
            member_event = Some(hash.ok_or(EncryptionError::Answer("lpdu_hash"))?);
            member = Some(prepared.get("lpdu").cloned().ok_or(EncryptionError::Answer("lpdu"))?);
        }
        Ok(Self { binding: RoomBinding { auth_events, member_event }, hub, member })
    }
}

fn hub(value: &Value) -> Option<HubSender> {
    let name = ServerName::parse(value.get("server_name")?.as_str()?).ok()?;
    let key = VerifyKey::from_base64(value.get("key")?.as_str()?)?;
    Some(HubSender::new(&name, &key))
}

fn list<'a>(answer: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    answer.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn event_id(value: Option<&Value>) -> Result<EventId> {
    value.and_then(Value::as_str).and_then(|id| EventId::parse(id).ok()).ok_or(EncryptionError::Answer("an event id"))
}

fn decoded(value: Option<&Value>, what: &'static str) -> Result<Vec<u8>> {
    value.and_then(Value::as_str).and_then(base64::decode).ok_or(EncryptionError::Answer(what))
}
