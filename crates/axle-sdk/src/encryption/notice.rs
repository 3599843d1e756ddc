//! What encryption has to tell beside the events.

use std::path::PathBuf;

use axle_mls::Layering;

use crate::Event;

/// Something that happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A message that came before its keys can be read now, or it is known that it never will be: this takes the place of
    /// the encrypted event.
    Decrypted {
        /// The room.
        room_id: String,
        /// The event, with its real type and content if it can be read.
        event: Box<Event>,
    },
    /// How a room is encrypted has changed, or is known now.
    Status {
        /// The room.
        room_id: String,
        /// How it is.
        status: RoomStatus,
    },
    /// A device came into a room's group, of a user whose other devices are known already. Warn the user.
    NewDevice {
        /// The room.
        room_id: String,
        /// Whose.
        user_id: String,
        /// Which.
        device_id: String,
    },
    /// A known device shows another key than before. Warn the user, and loudly if it was verified.
    KeyChanged {
        /// Whose.
        user_id: String,
        /// Which.
        device_id: String,
        /// Whether the user had compared the key before.
        was_verified: bool,
    },
    /// A device in the group is none that its user's server publishes. Warn the user.
    Unpublished {
        /// The room.
        room_id: String,
        /// Whose it says it is.
        user_id: String,
        /// Which.
        device_id: String,
    },
    /// A commit was made in another room than this device knows: the hub, or the own server, shows it to others differently.
    /// Warn the user, loudly. Nothing is sent to the room until [`super::Encryption::proceed`].
    Misled {
        /// The room.
        room_id: String,
        /// The commit.
        event_id: String,
        /// What does not fit, for people.
        reason: String,
    },
    /// There is something of this device in the room that its store knows nothing of: the store is an older copy, or somebody
    /// uses another copy of it. Warn the user, loudly. New keys are taken before anything is sent.
    PutBack {
        /// The room.
        room_id: String,
    },
    /// Something does not work, and is tried again later.
    Trouble {
        /// The room, if it concerns one.
        room_id: Option<String>,
        /// For people.
        reason: String,
    },
}

/// How a room is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomStatus {
    /// Not at all.
    Plain,
    /// In a way that this version does not know.
    Unknown(String),
    /// By MLS.
    Encrypted(GroupStatus),
}

/// Where this device stands in the group of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// How the room layers MLS.
    pub layering: Layering,
    /// The epoch; `None` while this device is not in the group.
    pub epoch: Option<u64>,
    /// Devices in the group, this one too.
    pub devices: usize,
}

/// A device as this device sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub device_id: String,
    /// Whether it is this device.
    pub is_this: bool,
    /// What to compare with what the other device shows.
    pub safety_code: String,
    /// What the user has said of it.
    pub trust: Trust,
}

/// What the user has said of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nothing.
    Unverified,
    /// That its code is right.
    Verified,
    /// That its code was right; but the key is another one now.
    ChangedSince,
}

/// Where a device keeps its keys, and with what they are sealed.
#[derive(Clone)]
pub struct KeyPlace {
    /// The file.
    pub path: PathBuf,
    /// 32 bytes, to be kept elsewhere.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for KeyPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPlace({})", self.path.display())
    }
}
