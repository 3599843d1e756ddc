//! Every server's name and key, and the events seen so far.
//!
//! Checking a signature costs more than everything else in a run. It has one outcome for given bytes, so each event is
//! checked once, whoever gets it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use axle_protocol::signing::KeySource;
use axle_protocol::{Event, KeyId, RoomVersion, ServerName, SigningKey, VerifyKey};
use axle_room::{Identity, Verified, VerifyError};

use crate::wire::NodeId;

/// The servers of a run.
pub struct Directory {
    identities: Vec<Identity>,
    keys: BTreeMap<ServerName, (KeyId, VerifyKey)>,
    checked: RefCell<BTreeMap<Arc<str>, Checked>>,
}

/// An event that was parsed and checked.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The event.
    pub event: Event,
    /// How the check went.
    pub outcome: Result<Verified, VerifyError>,
}

impl Directory {
    /// Names and keys of so many servers, from a seed.
    pub fn new(servers: usize, seed: u64) -> Self {
        let identities: Vec<Identity> = (0..servers).filter_map(|i| identity(i, seed)).collect();
        let keys = identities.iter().map(|me| (me.name.clone(), (me.key.id().clone(), me.key.verify_key())));
        Self { keys: keys.collect(), identities, checked: RefCell::default() }
    }

    /// A server's name and key.
    pub fn identity(&self, node: NodeId) -> Option<&Identity> {
        self.identities.get(node)
    }

    /// The server of this name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.identities.iter().position(|me| me.name.as_str() == name)
    }

    /// Parses and checks an event.
    pub fn check(&self, json: &Arc<str>, version: RoomVersion) -> Option<Checked> {
        if let Some(checked) = self.checked.borrow().get(json) {
            return Some(checked.clone());
        }
        let event = Event::parse(json.as_bytes(), version).ok()?;
        let checked = Checked { outcome: Verified::check(event.clone(), self), event };
        self.checked.borrow_mut().insert(Arc::clone(json), checked.clone());
        Some(checked)
    }

    /// An event that must be good.
    pub fn verified(&self, json: &Arc<str>, version: RoomVersion) -> Option<Verified> {
        self.check(json, version)?.outcome.ok()
    }
}

impl KeySource for Directory {
    fn verify_key(&self, server: &ServerName, key: &KeyId, _: i64) -> Option<VerifyKey> {
        self.keys.get(server).filter(|(id, _)| id == key).map(|(_, key)| key.clone())
    }
}

fn identity(node: NodeId, seed: u64) -> Option<Identity> {
    let mut rng = crate::rng::Rng::new(seed ^ node as u64).fork(9);
    let mut bytes = [0; 32];
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.next().to_le_bytes()));
    let name = ServerName::parse(format!("s{node}.example")).ok()?;
    Some(Identity { name, key: SigningKey::from_seed(KeyId::parse("ed25519:1").ok()?, &bytes) })
}
