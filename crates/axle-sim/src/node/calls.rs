//! Our own requests, and what their answers do.

use std::sync::Arc;

use axle_protocol::{Event, EventId, RoomId, RoomVersion, ServerName};
use axle_room::{Filled, JoinAnswer, PreparedInvite, Refusal, Room, Verified};

use super::{Ctx, Effect, Fact, Node, Out, Timer, bytes, verified_all};
use crate::defects::Defect;
use crate::wire::{GroupTold, NodeId, Request, Response};

/// How long an answer is waited for.
pub(super) const TIMEOUT_MS: u64 = 15_000;
/// How long until a gap is tried again.
const BACKFILL_RETRY_MS: u64 = 2_000;

/// What an answer is for.
#[derive(Debug)]
pub enum Call {
    /// A transaction.
    Transaction(ServerName),
    /// The events of a gap.
    Backfill(RoomId, EventId),
    /// What is behind the join by which this server came in again.
    Behind(RoomId, EventId),
    /// What follows in a room of an older disk, as this server has it.
    Following(RoomId, NodeId),
    /// The state behind a gap that cannot be filled.
    Bridge(RoomId),
    /// A join.
    Join {
        /// The room.
        room_id: RoomId,
        /// Its version.
        version: RoomVersion,
        /// What was sent.
        lpdu: Event,
    },
    /// A signature under an invite.
    Invite {
        /// The room.
        room_id: RoomId,
        /// The invite.
        prepared: Box<PreparedInvite>,
        /// Who waits for it: the participant whose user invites.
        reply: Option<(NodeId, u64)>,
    },
    /// What a device of ours asked about a group, or claimed.
    Device(usize, u64),
    /// An EDU.
    Edu(u64),
    /// Something whose answer changes nothing here.
    Other,
}

impl Node {
    pub(super) fn handle_response(&mut self, ctx: &mut Ctx<'_>, number: u64, response: Response) {
        let Some(call) = self.mem.calls.remove(&number) else { return };
        match call {
            Call::Transaction(name) => self.transaction_answered(ctx, &name, response),
            Call::Backfill(room_id, from) => self.backfilled(ctx, room_id, &from, response),
            Call::Behind(room_id, from) => self.told_behind(ctx, &room_id, &from, response),
            Call::Following(room_id, of) => self.told_following(ctx, &room_id, of, response),
            Call::Bridge(room_id) => self.bridged(ctx, room_id, response),
            Call::Join { room_id, version, lpdu } => self.joined(ctx, room_id, version, lpdu, response),
            Call::Invite { room_id, prepared, reply } => {
                self.invite_answered(ctx, &room_id, *prepared, reply, response)
            }
            Call::Device(device, number) => {
                let told = match response {
                    Response::Group(told) => told,
                    Response::Error { status: 404, error, .. } => GroupTold::Denied(error),
                    _ => GroupTold::Unanswered,
                };
                ctx.out.push(Out::Told(device, number, told));
            }
            Call::Edu(id) => self.edu_answered(ctx, id, &response),
            Call::Other => {}
        }
    }

    pub(super) fn handle_call_timeout(&mut self, ctx: &mut Ctx<'_>, number: u64) {
        self.handle_response(ctx, number, Response::error(0, "", "no answer"));
    }

    /// Looks whether something waits in a room, and asks for what is missing.
    pub(super) fn start_backfill(&mut self, ctx: &mut Ctx<'_>, room_id: RoomId) {
        let Some(room) = self.take_room(ctx, &room_id) else { return };
        let known = self.known(&room, []);
        if let Some(from) = room.backfill_from(&known) {
            self.ask_backfill(ctx, &room, from);
        }
        self.put_room(room);
    }

    pub(super) fn ask_backfill(&mut self, ctx: &mut Ctx<'_>, room: &Room, from: EventId) {
        let Some(hub) = room.hub().and_then(|hub| ctx.directory.node(hub.as_str())) else { return };
        if !self.mem.backfilling.insert(room.id().clone()) {
            return;
        }
        let room_id = room.id().clone();
        if ctx.plan.defect == Some(Defect::NoBackfill) {
            return self.ask_state(ctx, room);
        }
        let request = Request::Backfill { room_id: room_id.clone(), from: from.clone() };
        self.request(ctx, hub, request, Call::Backfill(room_id, from));
    }

    fn backfilled(&mut self, ctx: &mut Ctx<'_>, room_id: RoomId, from: &EventId, response: Response) {
        let events = match response {
            Response::Events(events) => events,
            Response::Error { status: 404, .. } => Vec::new(),
            _ => return self.backfill_later(ctx, room_id),
        };
        let Some(mut room) = self.take_room(ctx, &room_id) else { return };
        let events = verified_all(ctx.directory, &events, room.version()).unwrap_or_default();
        let known = self.known(&room, events.iter().map(Verified::event));
        self.mem.backfilling.remove(&room_id);
        match room.fill_gap(from, &events, &known) {
            Filled::Closed(change) => {
                ctx.out.push(Out::Fact(Fact::Covered("a gap is filled")));
                self.store(ctx, &room, change, vec![]);
            }
            Filled::Missing { change, from } => {
                ctx.out.push(Out::Fact(Fact::Covered("a gap is larger than a page")));
                self.store(ctx, &room, change, vec![]);
                self.ask_backfill(ctx, &room, from);
            }
            Filled::Stuck(change) => {
                self.store(ctx, &room, change, vec![]);
                self.ask_state(ctx, &room);
            }
        }
        self.put_room(room);
    }

    fn ask_state(&mut self, ctx: &mut Ctx<'_>, room: &Room) {
        let Some(hub) = room.hub().and_then(|hub| ctx.directory.node(hub.as_str())) else { return };
        let Some(event_id) = room.first_waiting().map(|event| event.event_id().clone()) else { return };
        let room_id = room.id().clone();
        self.mem.backfilling.insert(room_id.clone());
        self.request(ctx, hub, Request::State { room_id: room_id.clone(), event_id }, Call::Bridge(room_id));
    }

    fn bridged(&mut self, ctx: &mut Ctx<'_>, room_id: RoomId, response: Response) {
        let (state, chain) = match response {
            Response::State { state, auth_chain } => (state, auth_chain),
            Response::Error { status: 404, .. } => Default::default(),
            _ => return self.backfill_later(ctx, room_id),
        };
        let Some(mut room) = self.take_room(ctx, &room_id) else { return };
        let state = verified_all(ctx.directory, &state, room.version()).unwrap_or_default();
        let chain = verified_all(ctx.directory, &chain, room.version()).unwrap_or_default();
        let known = self.known(&room, state.iter().chain(&chain).map(Verified::event));
        let change = room.give_up_gap(&state, &chain, &known);
        self.store(ctx, &room, change, vec![]);
        self.mem.backfilling.remove(&room_id);
        self.put_room(room);
        self.start_backfill(ctx, room_id);
    }

    fn backfill_later(&mut self, ctx: &mut Ctx<'_>, room_id: RoomId) {
        let at = ctx.now + ctx.rng.between(BACKFILL_RETRY_MS / 2, BACKFILL_RETRY_MS);
        ctx.out.push(Out::Timer(at, Timer::Backfill(room_id)));
    }

    fn joined(&mut self, ctx: &mut Ctx<'_>, room_id: RoomId, version: RoomVersion, lpdu: Event, response: Response) {
        if let Response::Joined { event, state, auth_chain } = response {
            let mut room = self.take_room(ctx, &room_id);
            let room = room.get_or_insert_with(|| self.new_room(ctx, room_id.clone(), version));
            let answer = JoinAnswer {
                lpdu,
                state: verified_all(ctx.directory, &state, version).unwrap_or_default(),
                auth_chain: verified_all(ctx.directory, &auth_chain, version).unwrap_or_default(),
                event: match ctx.directory.verified(&event, version) {
                    Some(event) => event,
                    None => return self.release(ctx, &room_id),
                },
            };
            return self.enter(ctx, room, answer);
        }
        self.release(ctx, &room_id);
    }

    fn enter(&mut self, ctx: &mut Ctx<'_>, room: &mut Room, answer: JoinAnswer) {
        let all = answer.state.iter().chain(&answer.auth_chain).chain([&answer.event]);
        let all: Vec<Event> = all.map(|event| event.event().clone()).collect();
        let known = self.known(room, &all);
        let room_id = room.id().clone();
        let fact = Out::Fact(Fact::JoinAnswered(room_id.clone(), answer.event.event().event_id().clone()));
        match room.join(answer, &known) {
            Ok(change) => {
                // Its echo may have been faster: then the answer is not looked at.
                ctx.out.extend((!change.is_empty()).then_some(fact));
                self.store(ctx, room, change, vec![Effect::Release(room_id.clone()), Effect::LookBehind(room_id)]);
            }
            Err(refusal) => {
                ctx.out.push(fact);
                match refusal {
                    Refusal::Unsound(_) if ctx.plan.defect == Some(Defect::Unwatchful) => {}
                    Refusal::Unsound(fault) => ctx.out.push(Out::Fact(Fact::Fault(room_id.clone(), fault))),
                    refusal => ctx.out.push(Out::Trace(format!("s{}: the join is refused: {refusal}", self.id))),
                }
                self.enqueue(ctx, crate::disk::Write::Barrier, vec![Effect::Release(room_id)]);
            }
        }
        if room.head().is_some() {
            let empty = Room::new(self.me.name.clone(), room.id().clone(), room.version());
            self.put_room(std::mem::replace(room, empty));
        }
    }

    /// A join has ended, well or not, and is durable: what came meanwhile is taken. Not before, since what the room asks of
    /// the disk must be there.
    pub(super) fn release(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId) {
        self.mem.joining.remove(room_id);
        for envelope in std::mem::take(&mut self.mem.held) {
            if let crate::wire::Body::Request(request) = envelope.body {
                self.handle_request(ctx, envelope.from, envelope.call, request);
            }
        }
    }

    fn invite_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        room_id: &RoomId,
        prepared: PreparedInvite,
        reply: Option<(NodeId, u64)>,
        response: Response,
    ) {
        let Some(mut room) = self.take_room(ctx, room_id) else { return };
        let outcome = match response {
            Response::Invited(json) => self.finish_invite(ctx, &mut room, prepared, &json),
            Response::Error { status, error, .. } => Err(format!("{status}: {error}")),
            _ => Err("an odd answer".into()),
        };
        match (outcome, reply) {
            (Ok(effects), None) => self.enqueue(ctx, crate::disk::Write::Barrier, effects),
            (Ok(mut effects), Some((to, call))) => {
                effects.push(Effect::Respond(to, call, Response::Done));
                self.enqueue(ctx, crate::disk::Write::Barrier, effects);
            }
            (Err(error), Some((to, call))) => {
                self.respond(ctx, to, call, Response::error(403, "M_FORBIDDEN", error));
            }
            (Err(_), None) => {}
        }
        self.put_room(room);
    }

    fn finish_invite(
        &mut self,
        ctx: &mut Ctx<'_>,
        room: &mut Room,
        prepared: PreparedInvite,
        json: &Arc<str>,
    ) -> Result<Vec<Effect>, String> {
        let answer = Event::parse(json.as_bytes(), room.version()).map_err(|error| error.to_string())?;
        let signed = prepared.check_answer(&answer, ctx.directory).ok_or("not the invite that was asked for")?;
        let known = self.known(room, [prepared.pdu()]);
        let asked = prepared.pdu().event_id().clone();
        let accepted = room.finish_invite(&self.me, prepared, Some(signed), &known).map_err(|r| r.to_string())?;
        let event_id = accepted.event_id().clone();
        let accepted_anew = matches!(accepted, axle_room::Accepted::Appended { .. }) && event_id != asked;
        if let Some(change) = accepted.change() {
            self.store(ctx, room, change, vec![]);
        }
        if accepted_anew {
            ctx.out.push(Out::Fact(Fact::Covered("an invite is made anew on a room that went on")));
        }
        let fact = Fact::ClientAnswered(room.id().clone(), event_id, None);
        Ok(vec![Effect::Fact(fact)])
    }

    /// Sends an invite that one of our users makes in a room of another hub.
    pub(super) fn ask_hub_to_invite(&mut self, ctx: &mut Ctx<'_>, hub: NodeId, lpdu: &Event) {
        let request = Request::Invite { room_id: lpdu.room_id().clone(), event: bytes(lpdu) };
        self.request(ctx, hub, request, Call::Other);
    }
}
