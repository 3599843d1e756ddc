//! What became of LPDUs from before this server came in again: their hub is asked for what is behind the join.

use axle_protocol::{EventId, RoomId};
use axle_room::Verified;

use super::{Call, Ctx, Fact, Node, Out, Timer, verified_all};
use crate::coverage::FOUND_BEHIND;
use crate::wire::{Request, Response};

/// How long until who gave no answer is asked again, in milliseconds.
const PAUSE_MS: u64 = 2_000;

impl Node {
    /// Begins to ask, if something may be there.
    pub(super) fn look_behind(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId) {
        let Some(room) = self.take_room(ctx, room_id) else { return };
        let position = room.behind();
        self.put_room(room);
        let join = position.and_then(|position| self.disk.rooms.get(room_id)?.timeline.get(&position)).cloned();
        join.into_iter().for_each(|join| self.ask_behind(ctx, room_id, join));
    }

    fn ask_behind(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, from: EventId) {
        let Some(room) = self.take_room(ctx, room_id) else { return };
        let hub = room.hub().and_then(|hub| ctx.directory.node(hub.as_str()));
        self.put_room(room);
        let Some(hub) = hub else { return };
        let request = Request::Backfill { room_id: room_id.clone(), from: from.clone() };
        self.request(ctx, hub, request, Call::Behind(room_id.clone(), from));
    }

    pub(super) fn told_behind(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, from: &EventId, response: Response) {
        let events = match response {
            Response::Events(events) => events,
            Response::Error { status: 404, .. } => return,
            _ => return ctx.out.push(Out::Timer(ctx.now + PAUSE_MS, Timer::Behind(room_id.clone()))),
        };
        let Some(mut room) = self.take_room(ctx, room_id) else { return };
        let events = verified_all(ctx.directory, &events, room.version()).unwrap_or_default();
        let known = self.known(&room, events.iter().map(Verified::event));
        let behind = room.look_behind(from, &events, &known);
        if !behind.change.is_empty() {
            ctx.out.push(Out::Fact(Fact::Covered(FOUND_BEHIND)));
        }
        self.store(ctx, &room, behind.change, vec![]);
        self.put_room(room);
        behind.from.into_iter().for_each(|from| self.ask_behind(ctx, room_id, from));
    }
}
