//! What happened in a room between what is known of it and what a sync tells.
//!
//! It is looked for from its end, page by page, and taken in from its beginning: keys are used up in the order of the log. Of a
//! long absence not all pages are kept meanwhile; they are fetched again.

use axle_protocol::RoomId;

use super::engine::Engine;
use super::incoming::GROUP_EVENTS;
use crate::{Error, Event, PageFrom};

/// Pages of history that are gone through to close a gap. What is older than that is not decrypted any more.
const MAX_PAGES: usize = 1000;
/// Of how many the events are kept until all are found.
const KEPT_PAGES: usize = 50;

/// A page of the events that a group lives on.
struct Page {
    from: PageFrom,
    /// The newest first; `None`: to be fetched again.
    events: Option<Vec<Event>>,
}

impl Engine {
    /// Takes in the events of a group that come before a point and after what is known.
    pub(super) async fn close_gap(&self, id: &RoomId, from: PageFrom) -> Result<(), Error> {
        let (pages, is_all) = self.find_gap(id, from).await?;
        for page in pages.into_iter().rev() {
            let mut events = match page.events {
                Some(events) => events,
                None => self.server.history(id.as_str(), &page.from, &GROUP_EVENTS).await?.chunk,
            };
            events.reverse();
            self.core().take_events(id, &mut events, false)?;
        }
        if !is_all {
            self.core().note_unread(id)?;
        }
        Ok(())
    }

    /// The pages of a gap, the newest first; and whether these are all, or the newest of too many.
    async fn find_gap(&self, id: &RoomId, mut from: PageFrom) -> Result<(Vec<Page>, bool), Error> {
        let mut pages: Vec<Page> = Vec::new();
        while pages.len() < MAX_PAGES {
            let page = self.server.history(id.as_str(), &from, &GROUP_EVENTS).await?;
            let is_known = self.core().knows_any(id, &page.chunk)?;
            pages.push(Page { from, events: Some(page.chunk) });
            // The newest stays: its place is another when more has happened.
            let dropped = pages.len().checked_sub(KEPT_PAGES).filter(|at| *at > 0);
            if let Some(page) = dropped.and_then(|at| pages.get_mut(at)) {
                page.events = None;
            }
            let Some(end) = page.end.filter(|_| !is_known) else { return Ok((pages, true)) };
            from = PageFrom::Before(end);
        }
        // Without their beginning they are of no use, but for those that can be read as they are.
        pages.truncate(KEPT_PAGES);
        Ok((pages, false))
    }
}
