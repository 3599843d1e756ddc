//! What administrators have begun, and what came of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Jobs whose outcome is remembered, until the server is started again.
const MAX_REMEMBERED: usize = 1_000;

/// Jobs that were begun since the server was started, by their ids, the oldest first.
#[derive(Debug)]
pub(crate) struct Jobs<T>(Mutex<VecDeque<(String, T)>>);

impl<T> Default for Jobs<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Jobs<T> {
    /// Remembers one.
    pub(super) fn put(&self, id: &str, job: T) {
        self.put_unless(id, job, |_| false);
    }

    /// Remembers one, unless there is one like this; whether it did.
    pub(super) fn put_unless(&self, id: &str, job: T, is_like_it: impl Fn(&T) -> bool) -> bool {
        let mut jobs = self.lock();
        if jobs.iter().any(|(_, other)| is_like_it(other)) {
            return false;
        }
        jobs.push_back((id.to_owned(), job));
        while jobs.len() > MAX_REMEMBERED {
            jobs.pop_front();
        }
        true
    }

    /// Changes one that is still remembered.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut T)) {
        if let Some((_, job)) = self.lock().iter_mut().find(|(known, _)| known == id) {
            change(job);
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<T> {
        self.lock().iter().find(|(known, _)| known == id).map(|(_, job)| job.clone())
    }

    pub(super) fn find(&self, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
        self.lock().iter().filter(|(_, job)| is_wanted(job)).map(|(_, job)| job.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(String, T)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
