//! Stages of registration that people went through on a page of this server, because their client does not know how to
//! ("Fallback" of user-interactive authentication in Matrix's specification).
//!
//! A stage of an authentication session is noted when it is passed; before, a session is nothing here. That is kept in
//! memory: after a restart people begin anew.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use ruma::api::client::uiaa::AuthType;

use crate::cache::bounded;

/// How long it counts that a stage was passed.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Sessions that are remembered; of more, the oldest are forgotten.
const MAX_SESSIONS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// The longest id of a session, in bytes. Those of this server are shorter.
pub(crate) const MAX_SESSION_BYTES: usize = 64;

/// What was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) stage: AuthType,
    /// The registration token, if that is the stage.
    pub(crate) token: Option<String>,
}

/// The stages that were passed, by session.
pub(crate) struct Fallbacks(Mutex<LruCache<String, (Passed, Instant)>>);

impl Default for Fallbacks {
    fn default() -> Self {
        Self(Mutex::new(bounded(MAX_SESSIONS)))
    }
}

impl Fallbacks {
    /// A stage was passed. Ids of sessions have [`MAX_SESSION_BYTES`] at most.
    pub(crate) fn pass(&self, session: &str, passed: Passed) {
        self.lock().put(session.to_owned(), (passed, Instant::now() + LIFETIME));
    }

    /// What was passed in a session; `None`: nothing.
    pub(crate) fn of(&self, session: &str) -> Option<Passed> {
        let (passed, ends) = self.lock().get(session).cloned()?;
        (ends > Instant::now()).then_some(passed)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, (Passed, Instant)>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
