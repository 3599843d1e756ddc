//! Events that are sent later.

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use super::data::Data;
use crate::{
    ClientTxnKey, DelayedEvent, DelayedEvents, DelayedOutcome, FinishedDelayedEvent, MAX_DELAYED_EVENTS_PER_USER,
    MAX_FINISHED_DELAYED_EVENTS_PER_USER, PutDelayedEvent, StoreError,
};

/// An event, when it is due, and what became of it.
pub(super) struct Delayed {
    event: DelayedEvent,
    due: i64,
    txn: Option<ClientTxnKey>,
    finished: Option<(DelayedOutcome, i64)>,
}

#[async_trait]
impl DelayedEvents for MemoryStore {
    async fn put_delayed_event(
        &self,
        event: DelayedEvent,
        txn: Option<ClientTxnKey>,
    ) -> Result<PutDelayedEvent, StoreError> {
        self.write(move |data| {
            let known = data.delayed.iter().find(|known| txn.is_some() && known.txn == txn);
            if let Some(known) = known {
                return Ok(PutDelayedEvent::Known(known.event.delay_id.clone()));
            }
            if data.waiting(&event.user_id).len() >= MAX_DELAYED_EVENTS_PER_USER {
                return Ok(PutDelayedEvent::Full);
            }
            let due = event.running_since.saturating_add(event.delay_ms);
            data.delayed.push(Delayed { event, due, txn, finished: None });
            Ok(PutDelayedEvent::Scheduled)
        })
        .await
    }

    async fn delayed_event(&self, delay_id: &str) -> Result<Option<DelayedEvent>, StoreError> {
        Ok(self.lock().data.waiting_as(delay_id).map(|delayed| delayed.event.clone()))
    }

    async fn delayed_events(&self, user_id: &UserId) -> Result<Vec<DelayedEvent>, StoreError> {
        Ok(self.lock().data.waiting(user_id))
    }

    async fn finished_delayed_events(&self, user_id: &UserId) -> Result<Vec<FinishedDelayedEvent>, StoreError> {
        let inner = self.lock();
        let of_user = inner.data.delayed.iter().rev().filter(|delayed| delayed.event.user_id == *user_id);
        let finished = of_user.filter_map(|delayed| {
            let (outcome, at) = delayed.finished.clone()?;
            Some(FinishedDelayedEvent { event: delayed.event.clone(), outcome, at })
        });
        let mut finished: Vec<_> = finished.collect();
        finished.sort_by_key(|finished| std::cmp::Reverse(finished.at));
        Ok(finished)
    }

    async fn restart_delayed_event(&self, delay_id: &str, now: i64) -> Result<bool, StoreError> {
        let delay_id = delay_id.to_owned();
        self.write(move |data| {
            let Some(delayed) = data.waiting_as(&delay_id) else { return Ok(false) };
            delayed.event.running_since = now;
            delayed.due = now.saturating_add(delayed.event.delay_ms);
            Ok(true)
        })
        .await
    }

    async fn postpone_delayed_event(&self, delay_id: &str, until: i64) -> Result<(), StoreError> {
        let delay_id = delay_id.to_owned();
        self.write(move |data| {
            if let Some(delayed) = data.waiting_as(&delay_id) {
                delayed.due = delayed.due.max(until);
            }
            Ok(())
        })
        .await
    }

    async fn finish_delayed_event(
        &self,
        delay_id: &str,
        outcome: DelayedOutcome,
        now: i64,
    ) -> Result<bool, StoreError> {
        let delay_id = delay_id.to_owned();
        self.write(move |data| {
            let Some(delayed) = data.waiting_as(&delay_id) else { return Ok(false) };
            delayed.finished = Some((outcome, now));
            let user_id = delayed.event.user_id.clone();
            let is_finished = |delayed: &Delayed| delayed.event.user_id == user_id && delayed.finished.is_some();
            while data.delayed.iter().filter(|delayed| is_finished(delayed)).count()
                > MAX_FINISHED_DELAYED_EVENTS_PER_USER
            {
                let places = data.delayed.iter().enumerate().filter(|(_, delayed)| is_finished(delayed));
                let oldest = places.min_by_key(|(_, delayed)| delayed.finished.as_ref().map(|(_, at)| *at));
                let Some(oldest) = oldest.map(|(place, _)| place) else { break };
                data.delayed.remove(oldest);
            }
            Ok(true)
        })
        .await
    }

    async fn due_delayed_events(&self, now: i64, limit: usize) -> Result<Vec<DelayedEvent>, StoreError> {
        let inner = self.lock();
        let due = inner.data.delayed.iter().filter(|delayed| delayed.finished.is_none() && delayed.due <= now);
        let mut due: Vec<&Delayed> = due.collect();
        due.sort_by_key(|delayed| delayed.due);
        Ok(due.into_iter().take(limit).map(|delayed| delayed.event.clone()).collect())
    }

    async fn next_delayed_event(&self) -> Result<Option<i64>, StoreError> {
        let inner = self.lock();
        let waiting = inner.data.delayed.iter().filter(|delayed| delayed.finished.is_none());
        Ok(waiting.map(|delayed| delayed.due).min())
    }
}

impl Data {
    /// Forgets what a user wanted to be sent.
    pub(super) fn forget_delayed(&mut self, user_id: &UserId) {
        self.delayed.retain(|delayed| delayed.event.user_id != *user_id);
    }

    fn waiting(&self, user_id: &UserId) -> Vec<DelayedEvent> {
        let waits = |delayed: &&Delayed| delayed.event.user_id == *user_id && delayed.finished.is_none();
        self.delayed.iter().filter(waits).map(|delayed| delayed.event.clone()).collect()
    }

    fn waiting_as(&mut self, delay_id: &str) -> Option<&mut Delayed> {
        self.delayed.iter_mut().find(|delayed| delayed.event.delay_id == delay_id && delayed.finished.is_none())
    }
}
