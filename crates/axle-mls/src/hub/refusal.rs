//! Why a hub does not take a commit, a proposal, a message or a report.

use axle_protocol::{EventId, UserId};

use crate::credential::Credential;

/// Why not. Each has a code for programs, which does not change; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not the encoding of what it should be.
    #[error("{0} is not what it should be")]
    Malformed(&'static str),
    /// The group is another room's.
    #[error("the message is for another group")]
    WrongGroup,
    /// The room has no group yet: its first commit is still to come.
    #[error("the room has no group yet")]
    NoGroup,
    /// It was made for an epoch that is not, or not any more, the group's.
    #[error("the group is in epoch {current}")]
    WrongEpoch {
        /// The epoch that holds.
        current: u64,
    },
    /// `prev_commit_event_id` is not the newest commit.
    #[error("the newest commit is {current:?}")]
    WrongParent {
        /// The newest commit.
        current: Option<EventId>,
    },
    /// The leaf it names as its sender is empty.
    #[error("the sender is not in the group")]
    NotAMember,
    /// The event was sent by another user than the one whose device made the message.
    #[error("the message was made by {0}, who did not send it")]
    WrongSender(UserId),
    /// The device has made a commit that others could not apply.
    #[error("the device is in quarantine")]
    Quarantined,
    /// A signature is wrong.
    #[error("a signature is wrong")]
    Signature,
    /// Something that RFC 9420 forbids.
    #[error("not valid: {0}")]
    Invalid(String),
    /// A device is to be added that speaks another ciphersuite or version.
    #[error("the ciphersuite is not the group's")]
    Ciphersuite,
    /// A device is to be added that cannot do what the group needs.
    #[error("the capabilities are insufficient")]
    Capabilities,
    /// The user is not joined to the room.
    #[error("{0} is not joined to the room")]
    NotJoined(UserId),
    /// Nothing is known of the device yet.
    #[error("the device {} of {} is not known", .0.device_id, .0.user_id)]
    DeviceUnknown(Box<Credential>),
    /// The device is gone, or has published another credential.
    #[error("the device {} of {} has not published this credential", .0.device_id, .0.user_id)]
    DeviceInvalid(Box<Credential>),
    /// A leaf's credential cannot be read, or becomes another device's.
    #[error("the credential is malformed")]
    Credential,
    /// The device is in the group.
    #[error("the device {} of {} is in the group", .0.device_id, .0.user_id)]
    AlreadyMember(Box<Credential>),
    /// The device may stay: its user is joined, and it is not the committer's own.
    #[error("the device {} of {} may not be removed", .0.device_id, .0.user_id)]
    RemovalNotAllowed(Box<Credential>),
    /// These devices have to be removed before anything else: their users are not joined any more, or they are gone.
    #[error("{} devices have to be removed", .0.len())]
    RemovalDue(Vec<Credential>),
    /// Proposals are to be inline in this room.
    #[error("proposals by reference are not allowed in this room")]
    ProposalByReference,
    /// The commit names a proposal that does not wait here.
    #[error("the commit names a proposal that is not queued")]
    ProposalUnknown,
    /// These proposals, PublicMessages, wait and have to be in the commit, and beside it in the event, in this order.
    #[error("{} queued proposals have to be committed", .0.len())]
    ProposalsMissing(Vec<Vec<u8>>),
    /// A type of proposal that has no place in a room.
    #[error("this type of proposal is not allowed")]
    ProposalType,
    /// Another proposal that waits stands against it.
    #[error("a queued proposal stands against it")]
    ProposalConflict,
    /// As many proposals wait as may. A commit makes room.
    #[error("too many proposals are queued")]
    QueueFull,
    /// The authenticated data is no [`crate::event::RoomBinding`].
    #[error("the authenticated data does not bind it to the room")]
    Unbound,
    /// It is bound to other auth events.
    #[error("it is bound to other events than {0:?}")]
    WrongAuthEvents(Vec<EventId>),
    /// It is bound to another member event than the one it came with, or to one although it came alone.
    #[error("it is bound to another member event")]
    WrongMemberEvent,
    /// The GroupInfo is not the one that the commit leads to, or its signature is not the committer's.
    #[error("the public group state is not what the commit leads to")]
    GroupInfo,
    /// The state that it was checked on is not the group's any more.
    #[error("the group has changed meanwhile")]
    Outdated,
    /// A report that can be of no use: its commit is old, or others have built on it.
    #[error("the report is of no use")]
    ReportUseless,
}

/// Codes of what a client itself has made wrong: one without faults is never refused with these, whatever others do.
pub const OWN_FAULTS: [&str; 12] = [
    "malformed",
    "wrong_group",
    "wrong_sender",
    "signature",
    "invalid",
    "ciphersuite",
    "capabilities",
    "credential",
    "proposal_by_reference",
    "proposal_type",
    "unbound",
    "group_info",
];

impl Refusal {
    /// The code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongGroup => "wrong_group",
            Self::NoGroup => "no_group",
            Self::WrongEpoch { .. } => "wrong_epoch",
            Self::WrongParent { .. } => "wrong_parent",
            Self::NotAMember => "not_a_member",
            Self::WrongSender(_) => "wrong_sender",
            Self::Quarantined => "quarantined",
            Self::Signature => "signature",
            Self::Invalid(_) => "invalid",
            Self::Ciphersuite => "ciphersuite",
            Self::Capabilities => "capabilities",
            Self::NotJoined(_) => "not_joined",
            Self::DeviceUnknown(_) => "device_unknown",
            Self::DeviceInvalid(_) => "device_invalid",
            Self::Credential => "credential",
            Self::AlreadyMember(_) => "already_member",
            Self::RemovalNotAllowed(_) => "removal_not_allowed",
            Self::RemovalDue(_) => "removal_due",
            Self::ProposalByReference => "proposal_by_reference",
            Self::ProposalUnknown => "proposal_unknown",
            Self::ProposalsMissing(_) => "proposals_missing",
            Self::ProposalType => "proposal_type",
            Self::ProposalConflict => "proposal_conflict",
            Self::QueueFull => "queue_full",
            Self::Unbound => "unbound",
            Self::WrongAuthEvents(_) => "wrong_auth_events",
            Self::WrongMemberEvent => "wrong_member_event",
            Self::GroupInfo => "group_info",
            Self::Outdated => "outdated",
            Self::ReportUseless => "report_useless",
        }
    }
}
