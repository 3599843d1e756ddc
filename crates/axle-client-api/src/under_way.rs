//! What several want at once is done once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use axle_protocol::MatrixError;
use tokio::sync::watch;

use crate::background::Background;

/// When a client may try again if too much is under way, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

type Tasks<K, V> = Mutex<HashMap<K, watch::Receiver<Option<V>>>>;

/// What is under way, by what it is for.
pub(crate) struct UnderWay<K, V> {
    tasks: Arc<Tasks<K, V>>,
    most: usize,
}

impl<K, V> UnderWay<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// For so many different things at once.
    pub(crate) fn new(most: usize) -> Self {
        Self { tasks: Arc::default(), most }
    }

    /// What comes of `work`, or of what is under way for the same already. It goes on when the client goes away: others may
    /// wait for it. 429 `M_LIMIT_EXCEEDED` if too much is under way.
    pub(crate) async fn share<F>(
        &self,
        background: &Background,
        key: K,
        work: impl FnOnce() -> F,
    ) -> Result<V, MatrixError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut outcome = self.begin(background, key, work)?;
        let done = outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        // An error: the task broke off.
        done.ok().flatten().ok_or_else(|| MatrixError::unknown("This could not be done."))
    }

    fn begin<F>(
        &self,
        background: &Background,
        key: K,
        work: impl FnOnce() -> F,
    ) -> Result<watch::Receiver<Option<V>>, MatrixError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = tasks.get(&key) {
            return Ok(outcome.clone());
        }
        if tasks.len() >= self.most {
            return Err(MatrixError::limit_exceeded(RETRY_AFTER_MS));
        }
        let (tell, outcome) = watch::channel(None);
        tasks.insert(key.clone(), outcome.clone());
        let (entry, work) = (Entry { tasks: Arc::clone(&self.tasks), key }, work());
        background.spawn(async move {
            let done = work.await;
            // Whoever comes now finds it where it is kept.
            drop(entry);
            tell.send_replace(Some(done));
        });
        Ok(outcome)
    }
}

/// Takes a task off the list when it ends, however it ends.
struct Entry<K: Hash + Eq, V> {
    tasks: Arc<Tasks<K, V>>,
    key: K,
}

impl<K: Hash + Eq, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
