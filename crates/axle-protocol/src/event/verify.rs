//! Checking an event's hashes and signatures ("Receiving Events/PDUs", "Checking Signatures").

use super::{Event, EventKind};
use crate::id::ServerName;
use crate::signing::{KeySource, SignatureStatus, check_bytes};

/// A signature that an event must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredSignature {
    /// Who must have signed.
    pub server: ServerName,
    /// Which form of the event: the partial or the finished one.
    pub form: EventKind,
}

/// Whether the hashes that the event carries are true. `None`: it carries none, and needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashes {
    /// `hashes.lpdu.sha256`.
    pub lpdu: Option<bool>,
    /// `hashes.sha256`.
    pub content: Option<bool>,
}

impl Hashes {
    /// Whether nothing was changed. If not, only the redacted copy may be used.
    pub fn all_match(self) -> bool {
        self.lpdu != Some(false) && self.content != Some(false)
    }
}

/// The outcome of [`Event::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Each needed signature and how its check went.
    pub signatures: Vec<(RequiredSignature, SignatureStatus)>,
    /// The hashes.
    pub hashes: Hashes,
}

impl Verification {
    /// Whether every needed signature is good.
    pub fn is_signed(&self) -> bool {
        self.signatures.iter().all(|(_, status)| *status == SignatureStatus::Ok)
    }

    /// Whether signatures and hashes are all good.
    pub fn is_valid(&self) -> bool {
        self.is_signed() && self.hashes.all_match()
    }
}

impl Event {
    /// Which servers must have signed, and what.
    pub fn required_signatures(&self) -> Vec<RequiredSignature> {
        let sender = self.sender().server_name();
        match (self.kind(), self.hub_server()) {
            (EventKind::Lpdu, _) => vec![RequiredSignature { server: sender, form: EventKind::Lpdu }],
            (EventKind::Pdu, Some(hub)) if *hub != sender => vec![
                RequiredSignature { server: sender, form: EventKind::Lpdu },
                RequiredSignature { server: hub.clone(), form: EventKind::Pdu },
            ],
            (EventKind::Pdu, _) => vec![RequiredSignature { server: sender, form: EventKind::Pdu }],
        }
    }

    /// Checks hashes and every needed signature. Signatures of other servers are not looked at.
    pub fn verify(&self, keys: &dyn KeySource) -> Verification {
        let required = self.required_signatures();
        let signatures = required.into_iter().map(|needed| {
            let status = self.check_signature(&needed, keys);
            (needed, status)
        });
        Verification { signatures: signatures.collect(), hashes: self.check_hashes() }
    }

    /// Checks the hashes only.
    pub fn check_hashes(&self) -> Hashes {
        Hashes {
            lpdu: self.lpdu_hash().map(|claimed| *claimed == self.computed_lpdu_hash()),
            content: self.content_hash().map(|claimed| *claimed == self.computed_content_hash()),
        }
    }

    /// Checks one signature.
    pub fn check_signature(&self, needed: &RequiredSignature, keys: &dyn KeySource) -> SignatureStatus {
        let Some(own) = self.0.signatures.get(needed.server.as_str()) else { return SignatureStatus::Missing };
        let bytes = match needed.form {
            EventKind::Pdu => self.redacted_input(),
            EventKind::Lpdu => match self.redacted_lpdu_input() {
                Some(bytes) => bytes,
                None => return SignatureStatus::Missing,
            },
        };
        let pairs = own.iter().map(|(id, signature)| (id.as_str(), signature.as_str()));
        check_bytes(bytes.as_bytes(), &needed.server, pairs, keys, self.origin_server_ts())
    }
}
