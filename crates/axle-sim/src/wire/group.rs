//! What clients and servers say to each other about groups and devices.

use std::sync::Arc;

use axle_mls::Credential;
use axle_mls::event::WelcomeContent;
use axle_protocol::event::Template;
use axle_protocol::{EventId, UserId};
use serde_json::{Map, Value};

/// What a device asks about its room's group, of its server, which asks the hub.
#[derive(Debug, Clone)]
pub enum GroupAsk {
    /// The group as it is now, or after a commit.
    State {
        /// The commit.
        after: Option<EventId>,
    },
    /// A member event and what it is paired with, as one or not at all.
    Pair {
        /// The member event.
        member: MemberHalf,
        /// What goes with it.
        with: OtherHalf,
    },
    /// A proposal for the next commit.
    Propose(Vec<u8>),
    /// A report on a commit, in JSON.
    Report(String),
}

/// A member event that was prepared to be one half of a pair.
#[derive(Debug, Clone)]
pub enum MemberHalf {
    /// Of a user of the hub.
    Template(Template),
    /// Of a participant's user.
    Lpdu(Arc<str>),
}

/// The other half of a pair.
#[derive(Debug, Clone)]
pub enum OtherHalf {
    /// The content of a commit, from a client.
    Commit(Map<String, Value>),
    /// A commit, from a participant.
    Lpdu(Arc<str>),
    /// A proposal.
    Proposal(Vec<u8>),
}

/// What a device is told.
#[derive(Debug, Clone)]
pub enum GroupTold {
    /// The group.
    State(Box<GroupState>),
    /// Both halves are in the room; a proposal has no event.
    Paired {
        /// The commit.
        commit: Option<EventId>,
    },
    /// KeyPackages, each with its device. Who is not named has none.
    Claimed(Vec<(usize, Vec<u8>)>),
    /// It is done.
    Done,
    /// The group has gone back to this epoch.
    RolledBack(u64),
    /// The group does not take it: the code of the refusal.
    Refused(String),
    /// It is not done for another reason.
    Denied(String),
    /// Nobody knows what became of it.
    Unanswered,
}

/// The state of a group, as its hub shows it.
#[derive(Debug, Clone)]
pub struct GroupState {
    /// The epoch.
    pub epoch: u64,
    /// The commit that led to it.
    pub commit: EventId,
    /// Its GroupInfo.
    pub group_info: Vec<u8>,
    /// Its tree.
    pub ratchet_tree: Vec<u8>,
    /// Proposals that wait.
    pub proposals: Vec<Vec<u8>>,
    /// Devices that have to be removed.
    pub due: Vec<Credential>,
}

/// An EDU that is kept until its destination has taken it.
#[derive(Debug, Clone)]
pub enum Edu {
    /// The devices that a user publishes.
    Devices {
        /// The user.
        user: UserId,
        /// Counts changes: an older list does not replace a newer one.
        version: u64,
        /// All of them.
        devices: Vec<Credential>,
    },
    /// A Welcome for a device.
    Welcome(usize, WelcomeContent),
}
