//! What a client asks for. ruma's types have no place for all filters.

use std::collections::BTreeMap;

use axle_protocol::MatrixError;
use serde::Deserialize;

/// Lists in a request. MSC4186 asks for so many; a set of them fits into a [`u128`].
pub(super) const MAX_LISTS: usize = 100;
/// Entries of `required_state` in the lists of a request, all together, and in one subscription: a room may have to be
/// looked through for each of them.
const MAX_REQUIRED_STATE: usize = 500;
/// Entries of one filter, and ranges of one list.
const MAX_ENTRIES: usize = 500;
/// The longest name of a connection, and of a list, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// The query of a request.
#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    /// Where the client is; `None`: it begins.
    pub(crate) pos: Option<String>,
    /// How long it waits for news, in milliseconds.
    #[serde(default)]
    pub(crate) timeout: u64,
}

/// The body of a request.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    /// Which of the device's connections this is.
    pub(crate) conn_id: Option<String>,
    /// Said again in the answer.
    pub(crate) txn_id: Option<String>,
    #[serde(default)]
    pub(super) lists: BTreeMap<String, List>,
    #[serde(default)]
    pub(super) room_subscriptions: BTreeMap<String, Subscription>,
    #[serde(default)]
    pub(crate) extensions: Extensions,
}

/// A part of the user's rooms, in their order.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    /// First and last index, both included.
    #[serde(default)]
    pub(super) ranges: Vec<(u64, u64)>,
    #[serde(default)]
    pub(super) required_state: Vec<(String, String)>,
    pub(super) timeline_limit: u64,
    #[serde(default)]
    pub(super) filters: Filters,
}

/// A room that the client wants to know of wherever it is.
#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    #[serde(default)]
    pub(super) required_state: Vec<(String, String)>,
    pub(super) timeline_limit: u64,
}

/// Which rooms a list has. All of it has to hold; empty sets say nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    pub(super) is_dm: Option<bool>,
    pub(super) is_encrypted: Option<bool>,
    #[serde(alias = "is_invited")]
    pub(super) is_invite: Option<bool>,
    /// `None` is a room without a type.
    pub(super) room_types: Vec<Option<String>>,
    pub(super) not_room_types: Vec<Option<String>>,
    pub(super) tags: Vec<String>,
    pub(super) not_tags: Vec<String>,
    pub(super) spaces: Vec<String>,
}

/// What is wanted beside rooms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Extensions {
    pub(crate) to_device: ToDevice,
    pub(super) e2ee: E2ee,
    pub(super) account_data: OfRooms,
    pub(super) receipts: OfRooms,
    pub(super) typing: OfRooms,
}

/// Messages for the device.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ToDevice {
    enabled: Option<bool>,
    /// The most messages in one answer.
    pub(super) limit: Option<u64>,
    /// Up to where the client has them.
    pub(crate) since: Option<String>,
}

/// Keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct E2ee {
    enabled: Option<bool>,
}

/// Something that belongs to rooms.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OfRooms {
    enabled: Option<bool>,
    /// Of the rooms that these lists show; `None`: that any list shows.
    pub(super) lists: Option<Vec<String>>,
    /// Of these rooms that are subscribed to; `None`: of all of them.
    pub(super) rooms: Option<Vec<String>>,
}

impl Request {
    /// Refuses what asks for too much.
    pub(crate) fn check(&self) -> Result<(), MatrixError> {
        let long = |name: &&String| name.len() > MAX_NAME_BYTES;
        if self.conn_id.iter().chain(self.lists.keys()).any(|name| long(&name)) {
            return Err(MatrixError::invalid_param(format!("A name has at most {MAX_NAME_BYTES} bytes.")));
        }
        if self.lists.len() > MAX_LISTS {
            return Err(MatrixError::invalid_param(format!("A request has at most {MAX_LISTS} lists.")));
        }
        let in_lists = self.lists.values().map(|list| list.required_state.len()).sum();
        let in_rooms = self.room_subscriptions.values().map(|room| room.required_state.len());
        if in_rooms.chain([in_lists]).any(|entries: usize| entries > MAX_REQUIRED_STATE) {
            let error = format!("A request has at most {MAX_REQUIRED_STATE} entries of required state.");
            return Err(MatrixError::invalid_param(error));
        }
        if self.lists.values().any(|list| list.ranges.len() > MAX_ENTRIES || list.filters.longest() > MAX_ENTRIES) {
            return Err(MatrixError::invalid_param(format!("A filter has at most {MAX_ENTRIES} entries.")));
        }
        Ok(())
    }

    /// Whether rooms are asked for at all.
    pub(super) fn wants_rooms(&self) -> bool {
        !self.lists.is_empty() || !self.room_subscriptions.is_empty()
    }
}

impl Filters {
    fn longest(&self) -> usize {
        let lengths =
            [self.room_types.len(), self.not_room_types.len(), self.tags.len(), self.not_tags.len(), self.spaces.len()];
        lengths.into_iter().max().unwrap_or_default()
    }

    /// Whether the tags of rooms are looked at.
    pub(super) fn needs_tags(&self) -> bool {
        !self.tags.is_empty() || !self.not_tags.is_empty()
    }
}

impl ToDevice {
    pub(crate) fn enabled(&self) -> bool {
        self.enabled == Some(true)
    }
}

impl E2ee {
    pub(super) fn enabled(&self) -> bool {
        self.enabled == Some(true)
    }
}

impl OfRooms {
    pub(super) fn enabled(&self) -> bool {
        self.enabled == Some(true)
    }
}
