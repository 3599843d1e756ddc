//! What other servers told, for a while; and what was made of what is stored.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

/// A bounded memory that takes room only for what is in it.
pub(crate) fn bounded<K: Hash + Eq, V>(most: NonZeroUsize) -> LruCache<K, V> {
    // The other way to make one has room for all at once.
    let mut cache = LruCache::unbounded();
    cache.resize(most);
    cache
}

/// A bounded memory of answers, each with an end. What was not asked for the longest is forgotten first.
pub(crate) struct Cache<K: Hash + Eq, V>(Mutex<LruCache<K, (Instant, V)>>);

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(crate) fn new(most: NonZeroUsize) -> Self {
        Self(Mutex::new(bounded(most)))
    }

    /// What is known and still good.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (end, value) = entries.get(key)?;
        (*end > Instant::now()).then(|| value.clone())
    }

    /// Remembers it for so long.
    pub(crate) fn put(&self, key: K, value: V, lifetime: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, (Instant::now() + lifetime, value));
    }
}

/// A bounded memory of what was made of things in the store that may change there.
pub(crate) struct Derived<K: Hash + Eq, V>(Mutex<LruCache<K, (i64, Arc<V>)>>);

impl<K: Hash + Eq, V> Derived<K, V> {
    pub(crate) fn new(most: NonZeroUsize) -> Self {
        Self(Mutex::new(bounded(most)))
    }

    /// What is known, and the stream position up to which changes are in it.
    pub(crate) fn get(&self, key: &K) -> Option<(i64, Arc<V>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Remembers what was read after this stream position was the last.
    pub(crate) fn put(&self, key: K, as_of: i64, value: Arc<V>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, (as_of, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_when_they_are_old_or_many() {
        let cache = Cache::new(NonZeroUsize::new(2).unwrap());
        cache.put("old", 1, Duration::ZERO);
        assert_eq!(cache.get(&"old"), None);
        for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
            cache.put(key, value, Duration::from_secs(3600));
        }
        assert_eq!([cache.get(&"a"), cache.get(&"b"), cache.get(&"c")], [None, Some(2), Some(3)]);
    }
}
