//! Where a client keeps its groups: anything that keeps bytes under keys, and a seal for what has none of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::random::OpenMlsRand as _;
use openmls_traits::types::{AeadType, HashType};

use crate::crypto::crypto;

/// The store could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreError(pub String);

/// A change of one key: a new value, or none any more.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// Keeps bytes under keys. The values are secrets: a store that is not encrypted itself belongs into a [`Sealed`].
///
/// Forward secrecy depends on a store that forgets: what was replaced or removed must not be readable any more.
pub trait KeyValue: Send {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Makes all of these changes durable, or none.
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// Makes unreadable what was replaced or removed since the last time. A store that does so with each change has nothing
    /// to do here; for others this is to be called soon after changes, when nobody waits.
    fn forget(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A store in memory, for tests and for clients that are not to outlive their process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>);

impl MemoryStore {
    /// Everything in it.
    pub fn dump(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another store with the same content.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.dump())))
    }
}

impl KeyValue for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes {
            match value {
                Some(value) => drop(values.insert(key.clone(), value.clone())),
                None => drop(values.remove(key)),
            }
        }
        Ok(())
    }
}

/// Encrypts what another store keeps: values by AES-256-GCM, each bound to its key; keys by HMAC-SHA-256, so that they do
/// not show which rooms there are.
pub struct Sealed<S> {
    inner: S,
    name_key: Vec<u8>,
    value_key: Vec<u8>,
}

const NONCE_BYTES: usize = 12;

impl<S: KeyValue> Sealed<S> {
    /// Seals with a secret of 32 random bytes, which the caller keeps elsewhere.
    pub fn new(inner: S, secret: &[u8; 32]) -> Result<Self, StoreError> {
        let derive = |label: &[u8]| {
            let key = crypto().hkdf_expand(HashType::Sha2_256, secret, label, 32).map_err(|_| failed())?;
            Ok(key.as_slice().to_vec())
        };
        Ok(Self { inner, name_key: derive(b"axle store names")?, value_key: derive(b"axle store values")? })
    }

    fn name(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        let name = crypto().hmac(HashType::Sha2_256, &self.name_key, key).map_err(|_| failed())?;
        Ok(name.as_slice().to_vec())
    }

    fn seal(&self, name: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce: [u8; NONCE_BYTES] = crypto().random_array().map_err(|_| failed())?;
        let sealed = crypto().aead_encrypt(AeadType::Aes256Gcm, &self.value_key, value, &nonce, name);
        Ok([&nonce[..], &sealed.map_err(|_| failed())?].concat())
    }

    fn open(&self, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(failed)?;
        crypto().aead_decrypt(AeadType::Aes256Gcm, &self.value_key, sealed, nonce, name).map_err(|_| failed())
    }
}

impl<S: KeyValue> KeyValue for Sealed<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let name = self.name(key)?;
        self.inner.get(&name)?.map(|sealed| self.open(&name, &sealed)).transpose()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let seal = |(key, value): &Change| {
            let name = self.name(key)?;
            let value = value.as_ref().map(|value| self.seal(&name, value)).transpose()?;
            Ok((name, value))
        };
        let sealed: Vec<Change> = changes.iter().map(seal).collect::<Result<_, _>>()?;
        self.inner.apply(&sealed)
    }

    fn forget(&mut self) -> Result<(), StoreError> {
        self.inner.forget()
    }
}

fn failed() -> StoreError {
    StoreError("a value could not be sealed or opened".into())
}
