//! Makes a batch durable, and then, only then, tells whoever waits for it.

use std::sync::Arc;
use std::time::Instant;

use axle_protocol::{EventKind, ServerName};
use axle_room::{Change, Delivery, GroupChange, Placed, Room, Settled, Status};
use axle_store::{Append, DeliveryChange, EventStatus, GroupEpoch, NewEvent, Relation, StoreError};
use futures_util::future::try_join_all;

use super::{Batch, Rooms, Shared, announce, faults, gaps, guests};

/// Stores what a batch came to.
pub(super) async fn store(shared: &Arc<Shared>, room: &Room, batch: Batch) -> Result<(), StoreError> {
    let Batch { change, lpdus, client_txns, announcements, lpdus_unasked, made_here } = batch;
    faults::note(shared, room, &change).await?;
    if !change.is_empty() || !client_txns.is_empty() {
        let append = Append {
            room_id: room.id().clone(),
            room_version: room.version(),
            expected_head: change.expected_head,
            events: change.events.iter().map(new_event).collect(),
            deliveries: change.deliveries.iter().map(delivery_change).collect(),
            settled_lpdus: change.settled.iter().map(|settled| settled.lpdu_hash).collect(),
            client_txns,
            lpdus_unasked,
            made_here,
            announcements: announcements.clone(),
            groups: change.groups.iter().map(group_epoch).collect(),
        };
        let started = Instant::now();
        shared.store.append(append).await?;
        shared.counters.appended(started.elapsed());
        if room.is_hub() {
            wake_queues(shared, room, &change);
        }
        answer_echoes(shared, &change);
        tell(shared, room, &change.events);
        guests::see_to(shared, room, &change.events);
        if change.events.iter().any(|placed| placed.status == Status::Waiting) {
            gaps::fill(&Rooms(shared.clone()), room.id());
        }
        for announcement in announcements {
            announce::tell(&Rooms(shared.clone()), &announcement.destination);
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
        // What an LPDU became is found by its hash, and an LPDU itself became nothing yet.
        lpdu_hash: event.lpdu_hash().filter(|_| event.kind() == EventKind::Pdu).copied(),
        membership: placed.membership,
        redacts: placed.redacts.clone(),
        relates_to: Relation::of(event),
        sets_state: placed.sets_state,
        json: event.json().into(),
    }
}

fn group_epoch(group: &GroupChange) -> GroupEpoch {
    let GroupChange { epoch, commit, state, is_back, awaited } = group.clone();
    GroupEpoch { epoch, commit, state, is_back, awaited }
}

fn delivery_change(delivery: &Delivery) -> DeliveryChange {
    match delivery {
        Delivery::Start { destination, after } => {
            DeliveryChange::Start { destination: destination.clone(), after: *after }
        }
        Delivery::Stop { destination, at } => DeliveryChange::Stop { destination: destination.clone(), at: *at },
    }
}

/// Wakes the queues of every server that may get something of the change. Who gets what, the store knows.
fn wake_queues(shared: &Shared, room: &Room, change: &Change) {
    if change.events.iter().all(|placed| placed.position.is_none()) {
        return;
    }
    let us = &shared.me.name;
    let mut servers: Vec<ServerName> = room.state().joined_servers().filter(|server| *server != us).cloned().collect();
    servers.extend(change.deliveries.iter().map(|delivery| delivery.destination().clone()));
    shared.outbound.wake(&servers);
}

/// Answers requests that wait for the hub. What was made of their LPDUs may have been here before.
fn answer_echoes(shared: &Shared, change: &Change) {
    let rejected = change.events.iter().filter(|placed| placed.status == Status::Rejected);
    let rejected: Vec<_> = rejected.map(|placed| placed.event.event_id()).collect();
    for Settled { lpdu_hash, event_id } in &change.settled {
        let outcome =
            if rejected.contains(&event_id) { Err("the event was rejected".to_owned()) } else { Ok(event_id.clone()) };
        shared.echoes.arrived(lpdu_hash, outcome);
    }
}

/// Wakes syncs.
fn tell(shared: &Shared, room: &Room, placed: &[Placed]) {
    let mut is_news = false;
    for placed in placed.iter().filter(|placed| placed.position.is_some()) {
        is_news = true;
        let event = &placed.event;
        shared.counters.accepted();
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
