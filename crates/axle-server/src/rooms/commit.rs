//! Makes a batch durable, and then, only then, tells whoever waits for it.

use std::sync::Arc;
use std::time::Instant;

use axle_protocol::ServerName;
use axle_room::{Delivery, Placed, Room, Status};
use axle_store::{Append, DeliveryChange, EventStatus, NewEvent, PendingEvent, StoreError};
use futures_util::future::try_join_all;

use super::{Batch, Rooms, Shared, faults, gaps, invite};

/// Stores what a batch came to.
pub(super) async fn store(shared: &Arc<Shared>, room: &Room, batch: Batch) -> Result<(), StoreError> {
    let Batch { change, lpdus, client_txns, announced, lpdus_unasked } = batch;
    faults::note(shared, room, &change.faults).await?;
    if !change.is_empty() || !client_txns.is_empty() {
        let events: Vec<NewEvent> = change.events.iter().map(new_event).collect();
        let pending: Vec<PendingEvent> =
            if room.is_hub() { pending(room, &change.events, &events) } else { Vec::new() };
        let append = Append {
            room_id: room.id().clone(),
            room_version: room.version(),
            expected_head: change.expected_head,
            events,
            deliveries: change.deliveries.iter().map(delivery_change).collect(),
            settled_lpdus: change.settled.clone(),
            client_txns,
            lpdus_unasked,
        };
        let started = Instant::now();
        let appended = shared.store.append(append).await?;
        shared.counters.appended(started.elapsed());
        deliver(shared, room, pending, &change.deliveries, &change.events, &appended.streams);
        tell(shared, room, &change.events);
        if change.events.iter().any(|placed| placed.status == Status::Waiting) {
            gaps::fill(&Rooms(shared.clone()), room.id());
        }
        for (target, invite) in announced {
            invite::announce(&Rooms(shared.clone()), target, invite);
        }
    }
    if !lpdus.is_empty() {
        // Handed over in order, stored together.
        try_join_all(lpdus.into_iter().map(|lpdu| shared.store.queue_lpdu(lpdu))).await?;
        if let Some(hub) = room.hub() {
            shared.outbound.wake_lpdus(&hub, room.id());
        }
    }
    Ok(())
}

fn new_event(placed: &Placed) -> NewEvent {
    let event = &placed.event;
    NewEvent {
        event_id: event.event_id().clone(),
        position: placed.position,
        status: match placed.status {
            Status::Accepted => EventStatus::Accepted,
            Status::Rejected => EventStatus::Rejected,
            Status::Outlier => EventStatus::Outlier,
            Status::Waiting => EventStatus::Waiting,
        },
        event_type: event.event_type().to_owned(),
        state_key: event.state_key().map(str::to_owned),
        sender: event.sender().clone(),
        origin_server_ts: event.origin_server_ts(),
        lpdu_hash: event.lpdu_hash().copied(),
        membership: placed.membership,
        redacts: placed.redacts.clone(),
        sets_state: placed.sets_state,
        json: event.json().into(),
    }
}

fn delivery_change(delivery: &Delivery) -> DeliveryChange {
    match delivery {
        Delivery::Start { destination, after } => {
            DeliveryChange::Start { destination: destination.clone(), after: *after }
        }
        Delivery::Stop { destination, at } => DeliveryChange::Stop { destination: destination.clone(), at: *at },
    }
}

/// What other servers get; the stream positions are filled in when they are known.
fn pending(room: &Room, placed: &[Placed], events: &[NewEvent]) -> Vec<PendingEvent> {
    let placed = placed.iter().zip(events).filter(|(placed, _)| placed.position.is_some());
    placed
        .map(|(_, event)| PendingEvent {
            stream: 0,
            event_id: event.event_id.clone(),
            room_id: room.id().clone(),
            json: event.json.clone(),
        })
        .collect()
}

fn deliver(
    shared: &Shared,
    room: &Room,
    pending: Vec<PendingEvent>,
    deliveries: &[Delivery],
    placed: &[Placed],
    streams: &[i64],
) {
    let us = &shared.me.name;
    let now: Vec<ServerName> = room.state().joined_servers().filter(|server| *server != us).cloned().collect();
    let spots = placed.iter().zip(streams).filter_map(|(placed, stream)| Some((placed.position?, *stream)));
    for (mut event, (position, stream)) in pending.into_iter().zip(spots) {
        event.stream = stream;
        if deliveries.is_empty() {
            shared.outbound.deliver(&now, &event);
        } else {
            shared.outbound.deliver(&destinations_at(position, &now, deliveries), &event);
        }
    }
}

/// Who gets the event at this position: who gets events after the batch, corrected by what the batch changed.
fn destinations_at(position: i64, after_batch: &[ServerName], deliveries: &[Delivery]) -> Vec<ServerName> {
    let mut destinations: Vec<ServerName> = after_batch.to_vec();
    for delivery in deliveries.iter().rev() {
        match delivery {
            // Undone backwards: before it started, the server got nothing; before it stopped, everything.
            Delivery::Start { destination, after } if position <= *after => {
                destinations.retain(|server| server != destination);
            }
            Delivery::Stop { destination, at } if position <= *at && !destinations.contains(destination) => {
                destinations.push(destination.clone());
            }
            _ => {}
        }
    }
    destinations
}

/// Wakes syncs and whoever waits for an echo.
fn tell(shared: &Shared, room: &Room, placed: &[Placed]) {
    let us = shared.me.name.as_str();
    let mut is_news = false;
    for placed in placed.iter().filter(|placed| placed.position.is_some()) {
        is_news = true;
        let event = &placed.event;
        shared.counters.accepted();
        if event.sender().server_str() == us
            && let Some(hash) = event.lpdu_hash()
        {
            shared.echoes.arrived(hash, Ok(event.event_id().clone()));
        }
        if placed.membership.is_some()
            && let Some(user) = event.state_key()
        {
            shared.wakes.wake(user);
        }
    }
    if is_news {
        wake_members(shared, room);
    }
}

/// Wakes the syncs of everyone in the room.
pub(super) fn wake_members(shared: &Shared, room: &Room) {
    let state = room.state();
    let members = state.members();
    let count = members.size_hint().0;
    let is_member = |user: &str| state.membership(user) == axle_protocol::auth::Membership::Join;
    shared.wakes.wake_members(count, members.map(|(user, _)| user), is_member);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    #[test]
    fn destinations_follow_starts_and_stops_inside_a_batch() {
        let (b, c, d) = (name("b.test"), name("c.test"), name("d.test"));
        let deliveries = [
            Delivery::Start { destination: c.clone(), after: 10 },
            Delivery::Stop { destination: d.clone(), at: 11 },
            Delivery::Stop { destination: c.clone(), at: 12 },
        ];
        let at = |position| destinations_at(position, std::slice::from_ref(&b), &deliveries);
        assert_eq!(at(10), [b.clone(), d.clone()]);
        assert_eq!(at(11), [b.clone(), c.clone(), d]);
        assert_eq!(at(12), [b.clone(), c]);
        assert_eq!(at(13), [b]);
    }
}
