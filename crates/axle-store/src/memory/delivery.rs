//! Queues towards other servers.

use std::collections::BTreeSet;

use async_trait::async_trait;
use axle_protocol::event::Hash;
use axle_protocol::{RoomId, ServerName};

use super::MemoryStore;
use super::data::{Data, Destination, Interval};
use crate::{
    Announcement, ClientTxnState, Delivery, DestinationStatus, InboundResponse, ParkedEvent, PendingEvent, PendingLpdu,
    StoreError, StoredEvent,
};

#[async_trait]
impl Delivery for MemoryStore {
    async fn pending_destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        Ok(self.statuses().into_iter().filter(|status| status.pending > 0).map(|status| status.destination).collect())
    }

    async fn pending_events(
        &self,
        destination: &ServerName,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PendingEvent>, StoreError> {
        let Some(known) = self.destination(destination) else { return Ok(Vec::new()) };
        let inner = self.lock();
        let events = pending(&inner.data, destination, after.max(known.cursor));
        let found = events.take(limit).map(|event| PendingEvent {
            stream: event.stream,
            event_id: event.event_id.clone(),
            room_id: event.room_id.clone(),
            json: event.json.clone(),
        });
        Ok(found.collect())
    }

    fn acknowledge(&self, destination: &ServerName, stream: i64) {
        self.change_destination(destination, |known| known.cursor = known.cursor.max(stream));
    }

    fn record_attempt(&self, destination: &ServerName, at: i64, error: Option<String>) {
        self.change_destination(destination, |known| {
            known.failing_since = error.as_ref().map(|_| known.failing_since.unwrap_or(at));
            known.last_error = error;
        });
    }

    async fn park(&self, parked: ParkedEvent) -> Result<(), StoreError> {
        self.write(move |data| {
            data.parked.retain(|old| (&old.destination, &old.event_id) != (&parked.destination, &parked.event_id));
            data.parked.push(parked);
            Ok(())
        })
        .await
    }

    async fn parked(&self) -> Result<Vec<ParkedEvent>, StoreError> {
        Ok(self.lock().data.parked.clone())
    }

    async fn destinations(&self) -> Result<Vec<DestinationStatus>, StoreError> {
        let mut statuses = self.statuses();
        for lpdu in self.lock().data.lpdus.values() {
            let lpdu: serde_json::Value = serde_json::from_str(&lpdu.json).unwrap_or_default();
            let hub = lpdu["hub_server"].as_str().and_then(|name| ServerName::parse(name).ok());
            hub.into_iter().for_each(|hub| DestinationStatus::add_lpdus(&mut statuses, hub, 1));
        }
        Ok(statuses)
    }

    async fn destination_rooms(&self, destination: &ServerName) -> Result<Vec<(RoomId, i64)>, StoreError> {
        let locked = self.lock();
        let is_open = |interval: &Interval| interval.destination == *destination && interval.until.is_none();
        let rooms = locked.data.rooms.iter().filter(|(_, room)| room.intervals.iter().any(is_open));
        let mut rooms: Vec<_> = rooms.map(|(room_id, room)| (room_id.clone(), room.newest_stream)).collect();
        rooms.sort_unstable();
        Ok(rooms)
    }

    async fn queue_lpdu(&self, lpdu: PendingLpdu) -> Result<i64, StoreError> {
        self.write(move |data| Ok(data.queue_lpdu(lpdu))).await
    }

    async fn pending_lpdus(&self, room_id: Option<&RoomId>) -> Result<Vec<PendingLpdu>, StoreError> {
        let wanted = |lpdu: &&PendingLpdu| room_id.is_none_or(|room_id| lpdu.room_id == *room_id);
        Ok(self.lock().data.lpdus.values().filter(wanted).cloned().collect())
    }

    async fn refuse_lpdu(&self, lpdu_hash: &Hash, reason: &str) -> Result<(), StoreError> {
        let (hash, outcome) = (*lpdu_hash, ClientTxnState::Refused(reason.to_owned()));
        self.write(move |data| {
            data.finish_lpdu(&hash, &outcome);
            Ok(())
        })
        .await
    }

    async fn announcement_destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        let inner = self.lock();
        let all: BTreeSet<&ServerName> = inner.data.announcements.iter().map(|it| &it.destination).collect();
        Ok(all.into_iter().cloned().collect())
    }

    async fn announcements(&self, destination: &ServerName, limit: usize) -> Result<Vec<Announcement>, StoreError> {
        let inner = self.lock();
        let all = inner.data.announcements.iter().filter(|it| it.destination == *destination);
        Ok(all.take(limit).cloned().collect())
    }

    async fn announced(&self, announcement: &Announcement) -> Result<(), StoreError> {
        let announcement = announcement.clone();
        self.write(move |data| {
            data.announcements.retain(|known| *known != announcement);
            Ok(())
        })
        .await
    }

    async fn inbound_response(
        &self,
        origin: &ServerName,
        endpoint: &str,
        txn_id: &str,
    ) -> Result<Option<InboundResponse>, StoreError> {
        let inner = self.lock();
        let unwritten = inner.volatile.responses.iter().rev();
        let mut unwritten = unwritten.filter(|it| (&it.0, &*it.1, &*it.2) == (origin, endpoint, txn_id));
        if let Some((_, _, _, response)) = unwritten.next() {
            return Ok(Some(response.clone()));
        }
        let kept = inner.data.responses.get(&(origin.clone(), endpoint.to_owned()));
        let found = kept.and_then(|kept| kept.iter().rev().find(|(id, _)| id == txn_id));
        Ok(found.map(|(_, response)| response.clone()))
    }

    fn record_inbound(&self, origin: &ServerName, endpoint: &str, txn_id: &str, response: InboundResponse) {
        let response = (origin.clone(), endpoint.to_owned(), txn_id.to_owned(), response);
        self.lock().volatile.responses.push(response);
    }
}

impl MemoryStore {
    /// How each destination does that gets rooms' events.
    fn statuses(&self) -> Vec<DestinationStatus> {
        let names: Vec<ServerName> = self.lock().data.destinations.keys().cloned().collect();
        let status = |name: ServerName| {
            let known = self.destination(&name)?;
            let pending = pending(&self.lock().data, &name, known.cursor).count() as u64;
            let Destination { cursor: acknowledged, failing_since, last_error } = known;
            Some(DestinationStatus { destination: name, pending, acknowledged, failing_since, last_error })
        };
        names.into_iter().filter_map(status).collect()
    }

    /// A destination as it stands, durable or not.
    fn destination(&self, name: &ServerName) -> Option<Destination> {
        let inner = self.lock();
        inner.volatile.destinations.get(name).or_else(|| inner.data.destinations.get(name)).cloned()
    }

    fn change_destination(&self, name: &ServerName, change: impl FnOnce(&mut Destination)) {
        let Some(mut known) = self.destination(name) else { return };
        change(&mut known);
        self.lock().volatile.destinations.insert(name.clone(), known);
    }
}

impl Data {
    fn queue_lpdu(&mut self, lpdu: PendingLpdu) -> i64 {
        if let Some(known) = self.lpdus.values().find(|known| known.lpdu_hash == lpdu.lpdu_hash) {
            return known.id;
        }
        self.last_lpdu += 1;
        let id = self.last_lpdu;
        if let Some(key) = &lpdu.client_txn {
            let pending = ClientTxnState::Pending { room_id: lpdu.room_id.clone(), lpdu_hash: lpdu.lpdu_hash };
            let state = self.txns.entry(key.clone()).or_insert_with(|| pending.clone());
            if !matches!(state, ClientTxnState::Done(_)) {
                *state = pending;
            }
        }
        self.lpdus.insert(id, PendingLpdu { id, ..lpdu });
        id
    }
}

/// What a destination is to get beyond a stream position.
fn pending<'a>(data: &'a Data, destination: &'a ServerName, after: i64) -> impl Iterator<Item = &'a StoredEvent> {
    let beyond = data.by_stream.range(after.saturating_add(1)..).filter_map(|(_, id)| data.event(id));
    beyond.filter(move |event| data.rooms.get(&event.room_id).is_some_and(|room| room.is_for(event, destination)))
}
