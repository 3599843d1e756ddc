//! EDUs that are of use now or never: who is typing, who has read what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// EDUs that wait for the transaction under way to end; what is beyond is lost.
const MAX_WAITING: usize = 500;

/// An EDU that is tried once, if the destination can be reached.
#[derive(Debug, Clone)]
pub struct FleetingEdu {
    /// What it is about: it takes the place of one about the same that still waits.
    pub subject: String,
    /// The EDU, in canonical JSON.
    pub json: Arc<str>,
}

/// What waits for one destination.
#[derive(Debug, Default)]
pub(super) struct Fleeting(Mutex<BTreeMap<String, Arc<str>>>);

impl Fleeting {
    pub(super) fn put(&self, edu: FleetingEdu) {
        let mut waiting = self.lock();
        if waiting.len() < MAX_WAITING || waiting.contains_key(&edu.subject) {
            waiting.insert(edu.subject, edu.json);
        }
    }

    /// Takes at most so many.
    pub(super) fn take(&self, limit: usize) -> Vec<Arc<str>> {
        let mut waiting = self.lock();
        std::iter::from_fn(|| waiting.pop_first().map(|(_, json)| json)).take(limit).collect()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<str>>> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edu(subject: &str, json: &str) -> FleetingEdu {
        FleetingEdu { subject: subject.into(), json: json.into() }
    }

    #[test]
    fn the_newest_of_each_subject_and_not_too_many() {
        let fleeting = Fleeting::default();
        for (subject, json) in [("a", "1"), ("b", "2"), ("a", "3")] {
            fleeting.put(edu(subject, json));
        }
        assert_eq!(fleeting.take(9).iter().map(|json| &**json).collect::<Vec<_>>(), ["3", "2"]);
        (0..MAX_WAITING + 9).for_each(|number| fleeting.put(edu(&number.to_string(), "x")));
        fleeting.put(edu("0", "y"));
        assert_eq!(&*fleeting.take(1)[0], "y");
        assert_eq!(fleeting.take(usize::MAX).len(), MAX_WAITING - 1);
    }
}
