//! What a client is answered.

use std::collections::BTreeMap;

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, ServerName, UserId};
use ruma::events::{
    AnyGlobalAccountDataEvent, AnyRoomAccountDataEvent, AnyStrippedStateEvent, AnySyncEphemeralRoomEvent,
    AnySyncStateEvent, AnySyncTimelineEvent,
};
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::sync::extensions::e2ee::DeviceLists;
use crate::sync::response::Fault;
use crate::unread::Count;

/// The response.
#[derive(Debug, Serialize)]
pub(crate) struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) txn_id: Option<String>,
    pub(crate) pos: String,
    pub(super) lists: BTreeMap<String, ListResult>,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    pub(super) extensions: Extensions,
}

/// What a list has.
#[derive(Debug, Serialize)]
pub(super) struct ListResult {
    /// Its rooms, those out of its ranges too.
    pub(super) count: usize,
}

/// What is new in a room. What is not there did not change; or, in an `initial` one, is not there.
#[derive(Debug, Default, Serialize)]
pub(super) struct Room {
    /// Whether it is all there is, not what changed.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) initial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) membership: Option<Membership>,
    /// `Some(None)`: it was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Option<String>>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avatar: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heroes: Option<Vec<Hero>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_dm: Option<bool>,
    /// For invites and knocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invite_state: Option<Vec<Raw<AnyStrippedStateEvent>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) required_state: Vec<Raw<AnySyncStateEvent>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) timeline: Vec<Raw<AnySyncTimelineEvent>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prev_batch: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) limited: bool,
    /// Whether the timeline has events that the client may have already, because it wants more of them now.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) expanded_timeline: bool,
    /// The same under the name that it had first.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) unstable_expanded_timeline: bool,
    /// How many events, the last ones of the timeline, happened since the client's last request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) num_live: Option<usize>,
    /// When something happened that is worth a look: a greater number is later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bump_stamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) joined_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invited_count: Option<usize>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) unread: Option<Count>,
    /// Who orders the events of a linearized room.
    #[serde(rename = "im.axle.hub_server", skip_serializing_if = "Option::is_none")]
    pub(super) hub_server: Option<ServerName>,
    /// What it did that it should not have, as far as the client was not told.
    #[serde(rename = "im.axle.hub_faults", skip_serializing_if = "Vec::is_empty")]
    pub(super) hub_faults: Vec<Fault>,
}

/// Somebody after whom a room without a name is called.
#[derive(Debug, Serialize)]
pub(super) struct Hero {
    pub(super) user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) displayname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avatar_url: Option<String>,
}

/// What there is beside rooms. `None`: it was not asked for.
#[derive(Debug, Default, Serialize)]
pub(super) struct Extensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_device: Option<ToDevice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) e2ee: Option<E2ee>,
    #[serde(skip_serializing_if = "AccountData::is_empty")]
    pub(super) account_data: AccountData,
    #[serde(skip_serializing_if = "Ephemeral::is_empty")]
    pub(super) receipts: Ephemeral,
    #[serde(skip_serializing_if = "Ephemeral::is_empty")]
    pub(super) typing: Ephemeral,
}

/// Messages for the device.
#[derive(Debug, Serialize)]
pub(super) struct ToDevice {
    /// Where those after these begin.
    pub(super) next_batch: String,
    pub(super) events: Vec<Box<RawValue>>,
}

/// Keys.
#[derive(Debug, Serialize)]
pub(super) struct E2ee {
    #[serde(skip_serializing_if = "DeviceLists::is_empty")]
    pub(super) device_lists: DeviceLists,
    pub(super) device_one_time_keys_count: BTreeMap<String, u64>,
    pub(super) device_unused_fallback_key_types: Vec<String>,
    /// Whether the device has sent something encrypted, which is not told, but of use to it.
    #[serde(skip)]
    pub(super) has_sent: bool,
}

/// Account data.
#[derive(Debug, Default, Serialize)]
pub(super) struct AccountData {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) global: Vec<Raw<AnyGlobalAccountDataEvent>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) rooms: BTreeMap<RoomId, Vec<Raw<AnyRoomAccountDataEvent>>>,
}

/// One event for each room.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ephemeral {
    pub(super) rooms: BTreeMap<RoomId, Raw<AnySyncEphemeralRoomEvent>>,
}

impl Response {
    /// Whether there is nothing for which a client should be woken.
    pub(crate) fn is_empty(&self) -> bool {
        let Extensions { to_device, e2ee, account_data, receipts, typing } = &self.extensions;
        let no_keys = e2ee.as_ref().is_none_or(|e2ee| e2ee.device_lists.is_empty() && !e2ee.has_sent);
        let no_messages = to_device.as_ref().is_none_or(|to_device| to_device.events.is_empty());
        let nothing_else = no_keys && no_messages && account_data.is_empty();
        self.rooms.is_empty() && nothing_else && receipts.is_empty() && typing.is_empty()
    }
}

impl AccountData {
    fn is_empty(&self) -> bool {
        self.global.is_empty() && self.rooms.is_empty()
    }
}

impl Ephemeral {
    fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
