//! Other implementations of MLS as members of our groups, with our hub between: ts-mls, in TypeScript, and mls-rs.

mod mls_rs;
mod scenarios;
mod ts_mls;
mod world;

use axle_mls::Credential;
use axle_mls::event::{CommitContent, RoomBinding};
use axle_mls::member::HubState;
use axle_protocol::RoomId;

/// A device that another implementation makes a member. A binding is there in the bound layering only.
trait Foreign {
    fn credential(&self) -> &Credential;

    fn key_package(&mut self) -> Vec<u8>;

    /// Establishes a group with a first commit.
    fn create(&mut self, room: &RoomId, binding: Option<&RoomBinding>) -> Made;

    fn join(&mut self, welcome: &[u8], ratchet_tree: &[u8]);

    /// Joins by a commit of its own; with `resync`, in the place that it has in the group already.
    fn join_external(&mut self, hub: &HubState, resync: bool, binding: Option<&RoomBinding>) -> Made;

    fn propose(&mut self, change: &Change, binding: Option<&RoomBinding>) -> Vec<u8>;

    /// Commits changes, and the proposals that wait at the hub.
    fn commit(&mut self, changes: &[Change], queued: &[Vec<u8>], binding: Option<&RoomBinding>) -> Made;

    /// The hub has taken the last commit of this device, or refused it.
    fn settle(&mut self, taken: bool);

    /// Applies a commit of another; whether it has removed this device.
    fn process(&mut self, content: &CommitContent) -> bool;

    fn encrypt(&mut self, plaintext: &[u8]) -> Vec<u8>;

    /// `None`: it cannot be decrypted.
    fn decrypt(&mut self, ciphertext: &[u8]) -> Option<Vec<u8>>;

    fn authenticator(&mut self) -> Vec<u8>;
}

enum Change {
    /// By a KeyPackage.
    Add(Vec<u8>),
    Remove(Credential),
}

/// A commit of a foreign device.
struct Made {
    message: Vec<u8>,
    /// The whole GroupInfo, or in the bound layering after the first commit a PartialGroupInfo.
    group_state: Vec<u8>,
    welcome: Option<Vec<u8>>,
}

/// An implementation, and where it is not as RFC 9420 says.
trait Implementation {
    fn device(&mut self, user_id: &str, device_id: &str) -> Box<dyn Foreign>;

    /// Whether it reads the extension external_senders as a vector.
    fn knows_external_senders(&self) -> bool;

    /// Whether its commits with a single Remove, or with Updates of others, have the path that RFC 9420 demands.
    fn makes_the_paths_that_others_need(&self) -> bool;
}
