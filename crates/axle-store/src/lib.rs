//! Where Axle keeps rooms, accounts and queues: one trait in the words of the domain, and its implementations.
//!
//! [`Store`] is the whole of it. [`sqlite`] is what a server runs on; [`memory`] keeps everything in memory and injects
//! faults, for tests. Both pass the same suite.
//!
//! Three orders are kept apart: *stream* order is arrival at this server, over all rooms, and grows only; *position* is
//! a room's own order, signed by its hub, below zero for history fetched later; DAG edges are in the events themselves.

mod account_data;
mod accounts;
mod administration;
mod application_services;
mod dehydrated;
mod delayed_events;
mod delivery;
mod device_keys;
mod device_lists;
mod devices;
mod directory;
mod edus;
mod error;
mod faults;
mod forgotten;
mod groups;
mod guests;
mod key_backups;
mod keys;
mod log;
mod login_tokens;
mod media;
mod media_administration;
mod notice_rooms;
mod oauth;
mod one_time_keys;
mod operator;
mod profiles;
mod pushers;
mod receipts;
mod relations;
mod remote_media;
mod reports;
mod restored;
mod room_lists;
mod search;
mod snapshot;
mod to_device;
mod url_previews;
mod user_directory;
mod user_tokens;

pub mod memory;
pub mod sqlite;

pub use account_data::{AccountData, Expected, MAX_ACCOUNT_DATA_PER_USER, PutAccountData, UserData};
pub use accounts::{Accounts, ClientTxn, ClientTxnKey, ClientTxnState, ErasedUsers, RegistrationToken, Standing, User};
pub use administration::{AccountOrder, AccountQuery, Administration, FoundAccounts};
pub use application_services::{ApplicationServices, ServiceProgress};
pub use dehydrated::{DehydratedDevice, DehydratedDevices};
pub use delayed_events::{
    DelayedEvent, DelayedEvents, DelayedOutcome, FinishedDelayedEvent, MAX_DELAYED_EVENTS_PER_USER,
    MAX_FINISHED_DELAYED_EVENTS_PER_USER, PutDelayedEvent,
};
pub use delivery::{
    Announcement, Delivery, DestinationStatus, InboundResponse, ParkedEvent, PendingEvent, PendingLpdu,
};
pub use device_keys::{CrossSigningKey, DeviceKeys, KeySignature, KeyUpload, KeyUsage, PublishedDevice, UserKeys};
pub use device_lists::{DeviceLists, MAX_REMOTE_LISTS, RemoteDevices, ToldDevices, UntoldDevices};
pub use devices::{Device, Devices, LastSeen, Tokens};
pub use directory::{ListPart, ListedRoom, MAX_ALIASES_PER_ROOM, PutAlias, RoomAlias, RoomDescription, RoomDirectory};
pub use edus::{EduQueues, MAX_EDUS_PER_DESTINATION, NewEdu, PendingEdu};
pub use error::StoreError;
pub use faults::{HubFault, HubFaults, MAX_FAULTS_PER_ROOM};
pub use forgotten::ForgottenRooms;
pub use groups::{GroupEpoch, GroupStates, MAX_GROUP_EPOCHS};
pub use guests::Guests;
pub use key_backups::{BackupKey, KeyBackup, KeyBackups, KeyQuality, PutAuthData, PutBackupKeys, WhichKeys};
pub use keys::{ServerKeys, StoredKey};
pub use log::{
    Append, Appended, DeliveryChange, Direction, EventStatus, NewEvent, OutOfRoom, RoomHead, RoomLog, RoomSnapshot,
    StateBefore, StateEntry, StoredEvent, SyncRoom, UserRoom,
};
pub use login_tokens::{LoginToken, LoginTokens, MAX_LOGIN_TOKENS_PER_DEVICE};
pub use media::{Media, MediaContent, MediaItem, MediaState, MediaThumbnail, MediaUploaded};
pub use media_administration::{FoundMedia, MediaAdministration, MediaUsage, RemovedMedia, UploadedMedia};
pub use notice_rooms::NoticeRooms;
pub use oauth::{
    DeviceAuthorization, MAX_DEVICE_AUTHORIZATIONS, MAX_OAUTH_CLIENTS, OAuth, OAuthCode, OAuthGrant,
    PolledAuthorization, TakenCode, TokenOwner,
};
pub use one_time_keys::{
    ClaimedKey, KeyCounts, KeyEnd, KeyName, KeyNames, KeyWithdrawal, NewKey, OneTimeKeys, WantedKey,
};
pub use operator::{Operator, RoomSummary};
pub use profiles::{MAX_PROFILE_FIELDS_BYTES, Profile, ProfileField, Profiles};
pub use pushers::{MAX_PUSHERS_PER_USER, NewPusher, PushProgress, Pusher, Pushers, PutPusher};
pub use receipts::{Receipt, ReceiptType, Receipts, RoomReceipts};
pub use relations::{
    Aggregation, MAX_EDITS, MAX_REFERENCES, MAX_RELATED, MAX_RELATION_DEPTH, REFERENCE, REPLACE, Relation,
    RelationQuery, Relations, THREAD, Target, Thread, ThreadPlace,
};
pub use remote_media::{RemoteMedia, RemoteMediaAge, RemoteMediaItem};
pub use reports::{KeptReport, MAX_REPORTS_PER_USER, Report, Reports};
pub use restored::RestoredRooms;
pub use room_lists::{DescribedUserRoom, RoomLists, StatePattern};
pub use search::{MessageSearch, SearchKey, SearchMatches, SearchQuery};
pub use snapshot::{ReadingWork, Snapshots, read_at_once};
pub use to_device::{MAX_RECEIVED_TO_DEVICE, NewToDevice, ReceivedToDevice, ToDevice, ToDeviceQueues};
pub use url_previews::{MAX_URL_PREVIEWS, UrlPreview, UrlPreviews};
pub use user_directory::{FoundUser, FoundUsers, UserDirectory};
pub use user_tokens::{MAX_USER_TOKENS_PER_ADMIN, UserToken, UserTokens};

/// Everything that is kept. Every method that writes returns only when what it wrote survives a crash, unless its
/// documentation says otherwise.
pub trait Store:
    RoomLog
    + GroupStates
    + RoomLists
    + Relations
    + Delivery
    + ServerKeys
    + Accounts
    + Guests
    + Devices
    + OAuth
    + LoginTokens
    + UserTokens
    + Profiles
    + UserDirectory
    + UserData
    + DeviceKeys
    + OneTimeKeys
    + DeviceLists
    + EduQueues
    + ToDeviceQueues
    + KeyBackups
    + DehydratedDevices
    + DelayedEvents
    + HubFaults
    + Media
    + RemoteMedia
    + MediaAdministration
    + UrlPreviews
    + Receipts
    + Pushers
    + MessageSearch
    + RoomDirectory
    + ForgottenRooms
    + NoticeRooms
    + Reports
    + ApplicationServices
    + Administration
    + Operator
    + RestoredRooms
    + Snapshots
    + Send
    + Sync
    + 'static
{
}

impl<T> Store for T where
    T: RoomLog
        + GroupStates
        + RoomLists
        + Relations
        + Delivery
        + ServerKeys
        + Accounts
        + Guests
        + Devices
        + OAuth
        + LoginTokens
        + UserTokens
        + Profiles
        + UserDirectory
        + UserData
        + DeviceKeys
        + OneTimeKeys
        + DeviceLists
        + EduQueues
        + ToDeviceQueues
        + KeyBackups
        + DehydratedDevices
        + DelayedEvents
        + HubFaults
        + Media
        + RemoteMedia
        + MediaAdministration
        + UrlPreviews
        + Receipts
        + Pushers
        + MessageSearch
        + RoomDirectory
        + ForgottenRooms
        + NoticeRooms
        + Reports
        + ApplicationServices
        + Administration
        + Operator
        + RestoredRooms
        + Snapshots
        + Send
        + Sync
        + 'static
{
}
