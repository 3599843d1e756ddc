//! What binds a commit or proposal to the room: its authenticated data in [`crate::Layering::Bound`].

use std::collections::BTreeSet;

use axle_protocol::EventId;
use tls_codec::{Serialize as _, TlsDeserializeBytes, TlsSerialize, TlsSize, VLByteVec};

use crate::limits::{MAX_BINDING_BYTES, MAX_BOUND_EVENTS};
use crate::wire::decode;

/// The events of the room that a commit or proposal was made under. Its signature covers them, so that a hub which
/// shows its members different rooms is found out.
///
/// ```text
/// struct {
///     uint8 version = 1;
///     opaque auth_event_id<V>;              /* the id as text */
///     AuthEventId auth_events<V>;           /* sorted, each once */
///     optional<MemberEvent> member_event;   /* opaque lpdu_hash[32] */
/// } RoomBinding;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomBinding {
    /// The auth events of the `m.mls.commit` event, and the member events of the users whose devices it adds.
    pub auth_events: BTreeSet<EventId>,
    /// The LPDU hash of the member event that is appended with it. At that time it has no id yet.
    pub member_event: Option<[u8; 32]>,
}

#[derive(TlsSerialize, TlsDeserializeBytes, TlsSize)]
struct Encoded {
    version: u8,
    auth_events: Vec<VLByteVec>,
    member_event: Option<[u8; 32]>,
}

const VERSION: u8 = 1;

impl RoomBinding {
    /// Reads authenticated data; `None` if it is anything else, or longer than it may be.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_BINDING_BYTES {
            return None;
        }
        let encoded: Encoded = decode(bytes)?;
        if encoded.version != VERSION || encoded.auth_events.len() > MAX_BOUND_EVENTS {
            return None;
        }
        let id = |bytes: &VLByteVec| EventId::parse(std::str::from_utf8(bytes.as_slice()).ok()?).ok();
        let auth_events: Vec<_> = encoded.auth_events.iter().map(id).collect::<Option<_>>()?;
        if !auth_events.is_sorted_by(|a, b| a < b) {
            return None;
        }
        Some(Self { auth_events: auth_events.into_iter().collect(), member_event: encoded.member_event })
    }

    /// Writes authenticated data.
    pub fn encode(&self) -> Vec<u8> {
        let id = |id: &EventId| VLByteVec::new(id.as_str().as_bytes().to_vec());
        let encoded = Encoded {
            version: VERSION,
            auth_events: self.auth_events.iter().map(id).collect(),
            member_event: self.member_event,
        };
        // Fails above 2^30 bytes only.
        encoded.tls_serialize_detached().unwrap_or_default()
    }
}
