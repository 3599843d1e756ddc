//! A server whose disk is an older copy. In rooms whose hub it is, it asks the others for what it has forgotten, and makes
//! nothing new until they have answered.

use std::collections::BTreeSet;

use axle_protocol::{EventId, RoomId};
use axle_room::Verified;

use super::{Call, Ctx, Effect, Fact, Node, Out, Timer, bytes};
use crate::defects::Defect;
use crate::disk::{Disk, Write};
use crate::wire::{NodeId, Request, Response};

/// How long until who gave no answer is asked again, in milliseconds.
const PAUSE_MS: u64 = 2_000;

/// One round of questions about a room.
#[derive(Debug, Default)]
pub(super) struct Round {
    asked: usize,
    events: usize,
    silent: usize,
}

/// What who wants to change a room that lacks something is answered.
pub(super) fn try_again() -> Response {
    Response::error(429, "M_LIMIT_EXCEEDED", "this server still asks others for what the room lacks")
}

impl Node {
    /// Puts an older copy of the disk in the place of this one. The server must be down.
    pub fn put_back(&mut self, copy: Disk, servers: usize) {
        let newer = std::mem::replace(&mut self.disk, copy);
        let others: Vec<NodeId> = (0..servers).filter(|node| *node != self.id).collect();
        self.disk.devices.put_back(newer.devices, self.me.name.as_str(), &others);
        self.disk.restored = self.disk.rooms.keys().map(|room_id| (room_id.clone(), BTreeSet::new())).collect();
    }

    /// Whether nothing may be made of what somebody wants in a room.
    pub(super) fn holds_off(&self, ctx: &mut Ctx<'_>, room_id: &RoomId) -> bool {
        let holds = self.disk.restored.contains_key(room_id) && ctx.plan.defect != Some(Defect::OpenAtOnce);
        if holds {
            ctx.out.push(Out::Fact(Fact::Covered("who wants something of a restored room is to try again")));
        }
        holds
    }

    pub(super) fn complete_rooms(&mut self, ctx: &mut Ctx<'_>) {
        let rooms: Vec<RoomId> = self.disk.restored.keys().cloned().collect();
        rooms.iter().for_each(|room_id| self.ask_all(ctx, room_id));
    }

    /// Begins a round: everybody in the room is asked what follows, and who has not told all. By the part that they have told
    /// they may be out of the room, and have come back since; so it is noted first, for after a crash, who is asked. Where
    /// others are the hub there is nobody to be asked.
    pub(super) fn ask_all(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId) {
        let Some(room) = self.take_room(ctx, room_id) else { return };
        let joined = room.state().joined_servers().filter_map(|server| ctx.directory.node(server.as_str()));
        let mut others: BTreeSet<NodeId> = joined.filter(|node| *node != self.id && room.is_hub()).collect();
        self.put_room(room);
        let Some(noted) = self.disk.restored.get(room_id).cloned() else { return };
        others.extend(self.mem.unfinished.entry(room_id.clone()).or_insert_with(|| noted.clone()).iter());
        if !others.is_subset(&noted) {
            return self.enqueue(ctx, Write::Asked(room_id.clone(), others), vec![Effect::AskAll(room_id.clone())]);
        }
        self.mem.rounds.insert(room_id.clone(), Round { asked: others.len(), ..Round::default() });
        if others.is_empty() {
            self.end_round(ctx, room_id);
        }
        others.into_iter().for_each(|of| self.ask_following(ctx, room_id, of));
    }

    /// Asks a server for what follows on what is durable here.
    pub(super) fn ask_following(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, of: NodeId) {
        let log = self.disk.rooms.get(room_id);
        let Some(after) = log.and_then(|log| log.timeline.values().next_back()).cloned() else { return };
        let request = Request::Following { room_id: room_id.clone(), after };
        self.request(ctx, of, request, Call::Following(room_id.clone(), of));
    }

    pub(super) fn told_following(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, of: NodeId, response: Response) {
        let events = match response {
            Response::Events(events) => events,
            // It does not have what we have, or is in the room no more.
            Response::Error { status: 400 | 403 | 404 | 405, .. } => Vec::new(),
            _ => return self.answered(ctx, room_id, of, false),
        };
        let Some(mut room) = self.take_room(ctx, room_id) else { return };
        let version = room.version();
        let events: Vec<Verified> = events.iter().filter_map(|json| ctx.directory.verified(json, version)).collect();
        let mut known = self.known(&room, events.iter().map(Verified::event));
        let kept = self.disk.rooms.get(room_id).map(|log| &log.groups);
        let state = |epoch| Some((epoch, kept?.get(&epoch)?.state.clone()));
        known.groups = room.replay_epochs(events.iter().map(Verified::event)).into_iter().filter_map(state).collect();
        let replayed = room.replay(&self.me, &events, &known);
        let count = replayed.change.events.len();
        if let Some(refusal) = replayed.refused {
            ctx.out.push(Out::Trace(format!("s{}: what s{of} tells of {room_id} is refused: {refusal}", self.id)));
        }
        if count > 0 {
            ctx.out.push(Out::Fact(Fact::Covered("a hub gets back what it has forgotten")));
            self.mem.rounds.entry(room_id.clone()).or_default().events += count;
            self.store(ctx, &room, replayed.change, vec![Effect::AskFollowing(room_id.clone(), of)]);
        }
        self.put_room(room);
        if count == 0 {
            self.answered(ctx, room_id, of, true);
        }
    }

    /// A server has told all that it has, or gave no answer.
    fn answered(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, of: NodeId, has_told: bool) {
        let unfinished = self.mem.unfinished.entry(room_id.clone()).or_default();
        match has_told {
            true => unfinished.remove(&of),
            false => unfinished.insert(of),
        };
        let Some(round) = self.mem.rounds.get_mut(room_id) else { return };
        round.asked = round.asked.saturating_sub(1);
        round.silent += usize::from(!has_told);
        if round.asked == 0 || (has_told && ctx.plan.defect == Some(Defect::GoOnEarly)) {
            self.end_round(ctx, room_id);
        }
    }

    /// The room goes on when everybody has told all. The real server does not wait for ever; here everybody comes back.
    fn end_round(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId) {
        match self.mem.rounds.remove(room_id) {
            None => {}
            Some(_) if ctx.plan.defect == Some(Defect::GoOnEarly) => {
                self.enqueue(ctx, Write::Complete(room_id.clone()), vec![]);
            }
            Some(Round { events: 0, silent: 0, .. }) => self.enqueue(ctx, Write::Complete(room_id.clone()), vec![]),
            // Who has come into the room with what is known now may know more.
            Some(Round { events: 1.., .. }) => self.ask_all(ctx, room_id),
            Some(_) => ctx.out.push(Out::Timer(ctx.now + PAUSE_MS, Timer::Complete(room_id.clone()))),
        }
    }

    /// What follows in a hub's own order: for the hub only.
    pub(super) fn following(&mut self, ctx: &mut Ctx<'_>, to: NodeId, room_id: &RoomId, after: &EventId) -> Response {
        let Some(room) = self.take_room(ctx, room_id) else {
            return Response::error(404, "M_NOT_FOUND", "no such room");
        };
        let is_hub = !room.is_hub() && room.hub().and_then(|hub| ctx.directory.node(hub.as_str())) == Some(to);
        let has_gap = room.waiting() > 0;
        self.put_room(room);
        if !is_hub {
            return Response::error(403, "M_FORBIDDEN", "only the hub is told");
        }
        match self.disk.following(room_id, after, ctx.plan.page) {
            Some(events) if !has_gap || !events.is_empty() => Response::Events(events.iter().map(bytes).collect()),
            // There will be more to tell.
            _ if has_gap => try_again(),
            _ => self.unknown_event(ctx, room_id),
        }
    }

    pub(super) fn backfill_if_known(
        &self,
        ctx: &mut Ctx<'_>,
        to: NodeId,
        room_id: &RoomId,
        from: &EventId,
    ) -> Response {
        if self.disk.backfill(room_id, from, 1).is_none() {
            return self.unknown_event(ctx, room_id);
        }
        self.backfill(ctx, to, room_id, from)
    }

    pub(super) fn state_if_known(&self, ctx: &mut Ctx<'_>, room_id: &RoomId, event_id: &EventId) -> Response {
        if self.disk.state_before(room_id, event_id).is_none() {
            return self.unknown_event(ctx, room_id);
        }
        self.state(room_id, event_id)
    }

    /// What is not here may be among what was forgotten.
    fn unknown_event(&self, ctx: &mut Ctx<'_>, room_id: &RoomId) -> Response {
        if self.disk.restored.contains_key(room_id) {
            ctx.out.push(Out::Fact(Fact::Covered("a restored hub is asked for what it has forgotten")));
            if ctx.plan.defect != Some(Defect::DenyForgotten) {
                return try_again();
            }
        }
        Response::error(404, "M_NOT_FOUND", "no such event")
    }
}
