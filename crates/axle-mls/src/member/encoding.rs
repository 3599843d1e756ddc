//! How a client's values are kept: in CBOR, which takes less time and less room than JSON. What was kept in JSON by an
//! earlier version is read as well, and takes the new form when it changes.
//!
//! It has to be a form that describes itself: types of openmls ask what there is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::store::StoreError;

/// The first byte of a value in CBOR. JSON never begins with it.
const CBOR: u8 = 1;

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![CBOR];
    bytes.extend(minicbor_serde::to_vec(value).map_err(malformed)?);
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.strip_prefix(&[CBOR]) {
        Some(bytes) => minicbor_serde::from_slice(bytes).map_err(malformed),
        None => serde_json::from_slice(bytes).map_err(malformed),
    }
}

/// The values of a list that [`encode`] has each encoded by itself. Lists in JSON have them as they are; in those of pairs of a
/// reference and a proposal, both in turn.
pub(super) fn items(bytes: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
    #[derive(Deserialize)]
    struct Pair {
        reference: Box<RawValue>,
        proposal: Box<RawValue>,
    }
    if bytes.first() == Some(&CBOR) {
        return decode(bytes);
    }
    let values: Vec<Box<RawValue>> = serde_json::from_slice(bytes).map_err(malformed)?;
    let parts = values.into_iter().flat_map(|value| match serde_json::from_str(value.get()) {
        Ok(Pair { reference, proposal }) => vec![reference, proposal],
        Err(_) => vec![value],
    });
    Ok(parts.map(|part| part.get().as_bytes().to_vec()).collect())
}

fn malformed(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}
