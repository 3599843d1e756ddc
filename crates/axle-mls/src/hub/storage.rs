//! Where `PublicGroup` puts its parts: in memory, each already in the form that a snapshot has.

use std::sync::{Mutex, MutexGuard, PoisonError};

use openmls_traits::public_storage::PublicStorageProvider;
use openmls_traits::storage::{CURRENT_VERSION, traits};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The parts of one group, encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parts {
    tree: Vec<u8>,
    context: Vec<u8>,
    interim_transcript_hash: Vec<u8>,
    confirmation_tag: Vec<u8>,
    /// References and proposals, in the order they were queued.
    proposals: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parts {
    /// How long the encoded tree is.
    pub(super) fn tree_bytes(&self) -> usize {
        self.tree.len()
    }
}

/// The storage of one group: openmls names the group in every call, and it is always the same.
#[derive(Debug, Default)]
pub(super) struct Storage(Mutex<Parts>);

/// A part could not be encoded, or what was kept is not its encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a part of the group's state cannot be read or written: {0}")]
pub struct StorageError(#[from] postcard::Error);

impl Storage {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Mutex::new(parts))
    }

    pub(super) fn parts(&self) -> MutexGuard<'_, Parts> {
        // Each write is one assignment: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, StorageError> {
    Ok(postcard::to_allocvec(value)?)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageError> {
    Ok(postcard::from_bytes(bytes)?)
}

fn part<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, StorageError> {
    if bytes.is_empty() { Ok(None) } else { decode(bytes).map(Some) }
}

impl PublicStorageProvider<CURRENT_VERSION> for Storage {
    type PublicError = StorageError;

    fn write_tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
        tree: &T,
    ) -> Result<(), StorageError> {
        self.parts().tree = encode(tree)?;
        Ok(())
    }

    fn write_interim_transcript_hash<
        G: traits::GroupId<CURRENT_VERSION>,
        H: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        hash: &H,
    ) -> Result<(), StorageError> {
        self.parts().interim_transcript_hash = encode(hash)?;
        Ok(())
    }

    fn write_context<G: traits::GroupId<CURRENT_VERSION>, C: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
        context: &C,
    ) -> Result<(), StorageError> {
        self.parts().context = encode(context)?;
        Ok(())
    }

    fn write_confirmation_tag<G: traits::GroupId<CURRENT_VERSION>, T: traits::ConfirmationTag<CURRENT_VERSION>>(
        &self,
        _: &G,
        tag: &T,
    ) -> Result<(), StorageError> {
        self.parts().confirmation_tag = encode(tag)?;
        Ok(())
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        P: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        reference: &R,
        proposal: &P,
    ) -> Result<(), StorageError> {
        let entry = (encode(reference)?, encode(proposal)?);
        self.parts().proposals.push(entry);
        Ok(())
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        P: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Vec<(R, P)>, StorageError> {
        let parts = self.parts();
        parts.proposals.iter().map(|(reference, proposal)| Ok((decode(reference)?, decode(proposal)?))).collect()
    }

    fn tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<T>, StorageError> {
        part(&self.parts().tree)
    }

    fn group_context<G: traits::GroupId<CURRENT_VERSION>, C: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<C>, StorageError> {
        part(&self.parts().context)
    }

    fn interim_transcript_hash<
        G: traits::GroupId<CURRENT_VERSION>,
        H: traits::InterimTranscriptHash<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Option<H>, StorageError> {
        part(&self.parts().interim_transcript_hash)
    }

    fn confirmation_tag<G: traits::GroupId<CURRENT_VERSION>, T: traits::ConfirmationTag<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<T>, StorageError> {
        part(&self.parts().confirmation_tag)
    }

    fn delete_tree<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), StorageError> {
        self.parts().tree.clear();
        Ok(())
    }

    fn delete_confirmation_tag<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), StorageError> {
        self.parts().confirmation_tag.clear();
        Ok(())
    }

    fn delete_context<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), StorageError> {
        self.parts().context.clear();
        Ok(())
    }

    fn delete_interim_transcript_hash<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), StorageError> {
        self.parts().interim_transcript_hash.clear();
        Ok(())
    }

    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
        reference: &R,
    ) -> Result<(), StorageError> {
        let reference = encode(reference)?;
        self.parts().proposals.retain(|(other, _)| *other != reference);
        Ok(())
    }

    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), StorageError> {
        self.parts().proposals.clear();
        Ok(())
    }
}
