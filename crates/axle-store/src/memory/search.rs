//! Full-text search: every event is looked through.

use async_trait::async_trait;

use super::MemoryStore;
use crate::search::searchable_text;
use crate::{EventStatus, MessageSearch, SearchMatches, SearchQuery, StoreError, StoredEvent};

#[async_trait]
impl MessageSearch for MemoryStore {
    async fn searchable_to(&self) -> Result<i64, StoreError> {
        Ok(self.lock().data.searchable_to)
    }

    async fn make_searchable(&self, after: i64, limit: usize) -> Result<i64, StoreError> {
        // Not held, and it does not fail: it comes at any time, and tests mean other writes.
        let data = &mut self.lock().data;
        let next = data.by_stream.range(after.saturating_add(1)..).map(|(stream, _)| *stream).nth(limit);
        let to = next.map_or(data.stream, |next| next - 1).max(after);
        data.searchable_to = data.searchable_to.max(to);
        Ok(to)
    }

    async fn search_messages(&self, query: &SearchQuery) -> Result<SearchMatches, StoreError> {
        let inner = self.lock();
        let data = &inner.data;
        let until = query.until.min(data.searchable_to);
        let newest = data.by_stream.range(..=until).rev().filter_map(|(_, event_id)| data.event(event_id));
        let mut events: Vec<StoredEvent> =
            newest.filter(|event| is_found(event, query)).take(query.limit).cloned().collect();
        let more = events.last().filter(|_| events.len() >= query.limit).map(|event| event.stream - 1);
        events.truncate(query.limit);
        Ok(SearchMatches { events, more })
    }
}

fn is_found(event: &StoredEvent, query: &SearchQuery) -> bool {
    let counts = matches!(event.status, EventStatus::Accepted | EventStatus::Outlier) && event.redacted_by.is_none();
    let wanted = counts && query.rooms.contains(&event.room_id);
    let Some((key, text)) = searchable_text(&event.json).filter(|_| wanted) else { return false };
    let text = words(&text);
    let has = |word: &String| {
        let phrase = words(word);
        phrase.is_empty() || text.windows(phrase.len()).any(|window| window == phrase)
    };
    let says_something = query.words.iter().any(|word| !words(word).is_empty());
    says_something && query.keys.contains(&key) && query.words.iter().all(has)
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}
