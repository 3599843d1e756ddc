//! Every limit of this crate, by name.

/// The signed device object, in JSON as it is published, in bytes.
pub const MAX_DEVICE_INFO_BYTES: usize = 16 * 1024;
/// `algorithms` of one device.
pub const MAX_DEVICE_ALGORITHMS: usize = 32;
/// `keys` of one device.
pub const MAX_DEVICE_KEYS: usize = 8;
/// A device id, in characters.
pub const MAX_DEVICE_ID_BYTES: usize = 255;
/// A KeyPackage, in bytes. Those of openmls and of ts-mls have some 500.
pub const MAX_KEY_PACKAGE_BYTES: usize = 8 * 1024;
/// From `not_before` to `not_after` of a KeyPackage, in seconds: 84 days and an hour for clocks that disagree. openmls
/// accepts no more.
pub const MAX_KEY_PACKAGE_LIFETIME_SECONDS: u64 = 84 * 24 * 60 * 60 + 60 * 60;
/// An MLS message in base64 in an event or a to-device message, decoded, in bytes. An event of 65,536 bytes has no more.
pub const MAX_MESSAGE_BYTES: usize = 48 * 1024;
/// Proposals that wait at a hub for a commit.
pub const MAX_QUEUED_PROPOSALS: usize = 64;
/// The same, in bytes, all together: with them in it, the event of a commit has at most 65,536 bytes.
pub const MAX_QUEUED_PROPOSALS_BYTES: usize = 24 * 1024;
/// Events that one [`crate::event::RoomBinding`] names: the auth events of an event, and a member event for each of as
/// many users as one commit can add.
pub const MAX_BOUND_EVENTS: usize = 256;
/// Devices that one commit adds: more do not fit into an event.
pub const MAX_ADDED_DEVICES: usize = 256;
/// One [`crate::event::RoomBinding`], in bytes.
pub const MAX_BINDING_BYTES: usize = 16 * 1024;
/// Epochs whose public state the caller keeps: to hand out the ratchet tree to who joined in them, and to go back to
/// after a commit that members cannot apply.
pub const KEPT_EPOCHS: u64 = 16;
/// Older epochs of one room whose public state the caller keeps as well, because a device that a Welcome let into them has
/// not committed since ([`crate::HubGroup::awaited_epochs`]); the newest.
pub const MAX_WELCOME_EPOCHS: usize = 64;
/// The same, the ratchet trees of these epochs all together, in bytes.
pub const MAX_WELCOME_TREES_BYTES: u64 = 16 * 1024 * 1024;
/// How long such a device is waited for, in seconds: 90 days. A KeyPackage lasts no longer than 84.
pub const MAX_WELCOME_AGE_SECONDS: u64 = 90 * 24 * 60 * 60;
/// Devices that a hub has put in quarantine in one room; the oldest is forgotten.
pub const MAX_QUARANTINED: usize = 64;
/// Reports that a hub keeps.
pub const MAX_REPORTS: usize = 256;
/// Reports of one user's devices on one commit that a hub keeps.
pub const MAX_USER_REPORTS: usize = 8;
/// Users other than the committer who have to report a commit at least before the hub takes it back.
pub const MIN_REPORTERS: usize = 2;
/// How many are enough, however many more there are.
pub const MAX_REPORTERS: usize = 4;
/// Servers that they have to be of, where the users who may report are of as many.
pub const MIN_REPORTING_SERVERS: usize = 2;
/// One report, in JSON, in bytes.
pub const MAX_REPORT_BYTES: usize = 4 * 1024;
/// A GroupInfo without the tree, or a part of it, in bytes.
pub const MAX_GROUP_INFO_BYTES: usize = 4 * 1024;
/// Epochs before the current one whose messages a client can still decrypt, if they come late.
pub const MAX_PAST_EPOCHS: usize = 2;
/// Messages of one device in one epoch that a client has passed over, of which it keeps the keys, because they may come
/// late: who reads the newest of a long absence first, and the rest afterwards.
pub const MAX_SKIPPED_MESSAGES: u32 = 100;
/// Messages of one device in one epoch that a client passes over at once.
pub const MAX_FORWARD_MESSAGES: u32 = 10_000;
/// Application messages are padded to a multiple of this, in bytes, so that their length tells less.
pub const MESSAGE_PADDING_BYTES: usize = 64;
/// A ratchet tree as a hub hands it out, in bytes: that of some 8,000 devices.
pub const MAX_RATCHET_TREE_BYTES: usize = 2 * 1024 * 1024;
