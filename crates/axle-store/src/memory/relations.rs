//! Relations between events.

use std::collections::HashSet;

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId, UserId};

use super::MemoryStore;
use super::data::{Related, Room};
use crate::{
    Aggregation, Direction, EventStatus, MAX_EDITS, MAX_REFERENCES, MAX_RELATION_DEPTH, REFERENCE, REPLACE,
    RelationQuery, Relations, StoreError, StoredEvent, THREAD, Target, Thread, ThreadPlace,
};

#[async_trait]
impl Relations for MemoryStore {
    async fn aggregations(
        &self,
        room_id: &RoomId,
        targets: &[Target],
        reader: &UserId,
        before: i64,
    ) -> Result<Vec<(EventId, Aggregation)>, StoreError> {
        let inner = self.lock();
        let Some(room) = inner.data.rooms.get(room_id) else { return Ok(Vec::new()) };
        let aggregated = targets.iter().filter_map(|target| {
            let aggregation = aggregate(room, target, reader, before)?;
            Some((target.event_id.clone(), aggregation))
        });
        Ok(aggregated.collect())
    }

    async fn relations(&self, room_id: &RoomId, query: &RelationQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let inner = self.lock();
        let Some(room) = inner.data.rooms.get(room_id) else { return Ok(Vec::new()) };
        let mut targets = HashSet::from([&query.target]);
        for _ in 1..if query.recurse { MAX_RELATION_DEPTH } else { 1 } {
            let next: Vec<&EventId> = in_order(room)
                .filter(|(related, _, _)| targets.contains(&related.relation.target))
                .map(|(_, event, _)| &event.event_id)
                .collect();
            targets.extend(next);
        }
        let mut found: Vec<StoredEvent> = in_order(room)
            .filter(|(related, _, position)| {
                targets.contains(&related.relation.target)
                    && query.rel_type.as_ref().is_none_or(|rel_type| *rel_type == related.relation.rel_type)
                    && query.event_type.as_ref().is_none_or(|event_type| *event_type == related.event_type)
                    && query.from.is_none_or(|from| (*position < from) == (query.direction == Direction::Backward))
            })
            .map(|(_, event, _)| event.clone())
            .collect();
        if query.direction == Direction::Backward {
            found.reverse();
        }
        found.truncate(query.limit);
        Ok(found)
    }

    async fn threads(
        &self,
        room_id: &RoomId,
        reader: &UserId,
        before: i64,
        limit: usize,
    ) -> Result<Vec<ThreadPlace>, StoreError> {
        let inner = self.lock();
        let Some(room) = inner.data.rooms.get(room_id) else { return Ok(Vec::new()) };
        let mut threads: Vec<ThreadPlace> = Vec::new();
        for (related, _, latest) in in_order(room).filter(|(related, _, _)| related.relation.rel_type == THREAD) {
            let root = &related.relation.target;
            let known = threads.iter().position(|thread| thread.root == *root).map(|index| threads.remove(index));
            let participated = related.sender == *reader || known.is_some_and(|known| known.participated);
            threads.push(ThreadPlace { root: root.clone(), latest, participated });
        }
        threads.retain(|thread| thread.latest < before);
        threads.reverse();
        threads.truncate(limit);
        Ok(threads)
    }
}

/// The relations that count, in the room's order: with the event that has each, and its position.
fn in_order(room: &Room) -> impl Iterator<Item = (&Related, &StoredEvent, i64)> {
    room.order.iter().filter_map(|(position, id)| {
        let counts = |event: &&StoredEvent| event.status == EventStatus::Accepted && event.redacted_by.is_none();
        Some((room.relations.get(id)?, room.events.get(id).filter(counts)?, *position))
    })
}

/// `None`: nothing of these kinds relates to it.
fn aggregate(room: &Room, target: &Target, reader: &UserId, before: i64) -> Option<Aggregation> {
    let of_kind = |kind: &'static str| {
        in_order(room).filter(move |(related, _, position)| {
            related.relation.rel_type == kind && related.relation.target == target.event_id && *position < before
        })
    };
    let edits = of_kind(REPLACE).filter(|(related, _, _)| related.sender.as_str() == target.sender);
    let mut edits: Vec<StoredEvent> = edits.map(|(_, event, _)| event.clone()).collect();
    edits.reverse();
    edits.truncate(MAX_EDITS);
    let references = of_kind(REFERENCE).take(MAX_REFERENCES).map(|(_, event, _)| event.clone()).collect();
    let thread = of_kind(THREAD).last().map(|(_, latest, _)| Thread {
        latest: latest.clone(),
        count: u64::try_from(of_kind(THREAD).count()).unwrap_or(u64::MAX),
        participated: of_kind(THREAD).any(|(related, _, _)| related.sender == *reader),
    });
    let any = [REPLACE, REFERENCE, THREAD].into_iter().any(|kind| of_kind(kind).next().is_some());
    any.then_some(Aggregation { edits, thread, references })
}
