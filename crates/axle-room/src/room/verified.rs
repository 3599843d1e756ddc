//! Events whose signatures and hashes have been checked.

use axle_protocol::Event;
use axle_protocol::event::{RequiredSignature, Verification};
use axle_protocol::signing::{KeySource, SignatureStatus};

/// An event with every signature it needs, and with content that its hashes cover. The commands of a room take
/// nothing else, so an unchecked event cannot reach one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    event: Event,
    content_changed: bool,
}

/// A signature that an event needs is not there, or not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signature of {} is {}", needed.server, name(*status))]
pub struct VerifyError {
    /// Which signature.
    pub needed: RequiredSignature,
    /// What is wrong with it. [`SignatureStatus::UnknownKey`] may be cured by fetching keys.
    pub status: SignatureStatus,
}

impl Verified {
    /// Checks signatures and hashes. An event whose hashes do not match is replaced by its redacted copy
    /// ("Receiving Events/PDUs", step 3).
    pub fn check(event: Event, keys: &dyn KeySource) -> Result<Self, VerifyError> {
        let verification = event.verify(keys);
        Self::from_verification(event, verification)
    }

    /// The same from a check made elsewhere, such as on a pool of threads. It must be of this event.
    pub fn from_verification(event: Event, verification: Verification) -> Result<Self, VerifyError> {
        let bad = verification.signatures.into_iter().find(|(_, status)| *status != SignatureStatus::Ok);
        if let Some((needed, status)) = bad {
            return Err(VerifyError { needed, status });
        }
        if verification.hashes.all_match() {
            return Ok(Self { event, content_changed: false });
        }
        Ok(Self { event: event.redacted(), content_changed: true })
    }

    /// The event, or its redacted copy.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Whether the hashes did not match, so that only the redacted copy is left.
    pub fn content_changed(&self) -> bool {
        self.content_changed
    }

    /// An event from our own store: it was checked before it got there.
    pub(crate) fn stored(event: Event) -> Self {
        Self { event, content_changed: false }
    }
}

fn name(status: SignatureStatus) -> &'static str {
    match status {
        SignatureStatus::Ok => "good",
        SignatureStatus::Bad => "bad",
        SignatureStatus::Missing => "missing",
        SignatureStatus::UnknownKey => "by an unknown key",
    }
}
