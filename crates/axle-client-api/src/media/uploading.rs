//! Who uploads at this moment.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axle_protocol::{MatrixError, UserId};

use crate::state::Api;

/// So many uploads of one user may be on their way at once. What has arrived of them is on the disk and in no quota yet.
const MAX_AT_ONCE: usize = 16;
/// When a client that has too many of them may try again, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

/// How many uploads of each user are on their way.
#[derive(Default)]
pub(crate) struct Uploading(Mutex<HashMap<UserId, usize>>);

/// An upload that is on its way.
pub(super) struct OnItsWay {
    api: Api,
    user_id: UserId,
}

impl OnItsWay {
    /// 429 `M_LIMIT_EXCEEDED` if the user has too many of them.
    pub(super) fn begin(api: &Api, user_id: &UserId) -> Result<Self, MatrixError> {
        let mut counts = api.uploading.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(user_id.clone()).or_default();
        if *count >= MAX_AT_ONCE {
            return Err(MatrixError::limit_exceeded(RETRY_AFTER_MS));
        }
        *count += 1;
        Ok(Self { api: api.clone(), user_id: user_id.clone() })
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let mut counts = self.api.uploading.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.user_id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.user_id);
            }
        }
    }
}
