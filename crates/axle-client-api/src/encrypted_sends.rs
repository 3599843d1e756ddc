//! Which devices have sent something encrypted lately.
//!
//! A client puts the keys of what it sends into its backup of keys. Those made with matrix-rust-sdk (Element X) do that when an
//! answer to their sliding sync about keys comes, and there is none as long as there is nothing to tell: then whoever logs
//! in elsewhere meanwhile cannot read what was sent just now. So such a sync is answered when its device has sent something.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use axle_protocol::UserId;
use lru::LruCache;

use crate::cache::bounded;
use crate::session::Session;
use crate::state::Api;

/// The type of what is encrypted.
const EVENT_TYPE: &str = "m.room.encrypted";
/// Devices of which it is kept. One that is forgotten is answered later.
const MAX_DEVICES: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();

/// Up to which place in stream order devices have sent something.
pub(crate) struct EncryptedSends(Mutex<LruCache<(UserId, String), i64>>);

impl Default for EncryptedSends {
    fn default() -> Self {
        Self(Mutex::new(bounded(MAX_DEVICES)))
    }
}

impl EncryptedSends {
    /// Whether the device has sent something after this place.
    pub(crate) fn any_since(&self, session: &Session, stream: i64) -> bool {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.get(&session.device()).is_some_and(|sent| *sent > stream)
    }
}

/// The device that sends something of this type, if that is encrypted.
pub(crate) fn sender(session: &Session, event_type: &str) -> Option<(UserId, String)> {
    (event_type == EVENT_TYPE).then(|| session.device())
}

/// A device has sent something encrypted: its sync is to be answered.
pub(crate) async fn sent(api: &Api, device: (UserId, String)) {
    // The event is sent, whatever becomes of this.
    let Ok(stream) = api.store.max_stream().await else { return };
    let user_id = device.0.clone();
    api.encrypted_sends.0.lock().unwrap_or_else(PoisonError::into_inner).put(device, stream);
    api.notifier.wake(&user_id);
}
