//! What users do.

use axle_mls::RoomEncryption;
use axle_protocol::auth::Membership;
use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, RoomId, UserId};
use axle_room::{Accepted, Change, InviteSource, Known, Lookup, Prepared, Refusal, Room, is_own_leave};
use serde_json::{Map, Value, json};

use super::{Call, Ctx, Effect, Fact, Node, Out, Timer, bytes};
use crate::defects::Defect;
use crate::disk::{ClientState, ClientTxn, Write};
use crate::plan::RoomPlan;
use crate::wire::Request;

/// Something that a user does in a room.
#[derive(Debug, Clone)]
pub enum Deed {
    /// Says something.
    Say(String),
    /// Sets the topic.
    Topic(String),
    /// Changes a membership, their own or another's.
    Member(String, Membership),
    /// Changes who may come in.
    JoinRule(&'static str),
    /// Gives a level to somebody.
    Level(String, i64),
    /// Takes something back.
    Redact(EventId),
    /// Sends what a device has made: a commit or a message.
    Send(&'static str, Map<String, Value>),
}

/// How long the hub may take to answer to a leave, in milliseconds.
const LEAVE_PATIENCE_MS: u64 = 5_000;

/// The field of `content` that names the client's request.
pub const REQUEST: &str = "request";

impl Deed {
    fn template(&self, room_id: &RoomId, sender: &UserId, now: u64, txn: &str) -> Template {
        let (event_type, state_key, mut content) = match self {
            Self::Say(text) => ("m.room.message", None, json!({ "body": text, "msgtype": "m.text" })),
            Self::Topic(topic) => ("m.room.topic", Some(String::new()), json!({ "topic": topic })),
            Self::Member(target, membership) => {
                ("m.room.member", Some(target.clone()), json!({ "membership": membership.as_str() }))
            }
            Self::JoinRule(rule) => ("m.room.join_rules", Some(String::new()), json!({ "join_rule": rule })),
            Self::Level(user, level) => {
                let users = json!({ "users": { creator(room_id, sender): 100, user: level } });
                ("m.room.power_levels", Some(String::new()), users)
            }
            Self::Redact(target) => ("m.room.redaction", None, json!({ "redacts": target })),
            Self::Send(kind, content) => (*kind, None, Value::Object(content.clone())),
        };
        // So that the checker sees which events a client's request has become.
        content[REQUEST] = txn.into();
        Template {
            room_id: room_id.clone(),
            event_type: event_type.into(),
            state_key,
            sender: sender.clone(),
            origin_server_ts: i64::try_from(now).unwrap_or(i64::MAX),
            content: match content {
                Value::Object(content) => content,
                _ => Map::new(),
            },
        }
    }
}

/// What a client asks of its server.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// The room.
    pub room_id: RoomId,
    /// Whose client it is.
    pub sender: UserId,
    /// What it wants.
    pub deed: Deed,
    /// What it calls the request; the same when it asks again.
    pub txn: ClientTxn,
}

impl Node {
    /// Makes a room, as one change.
    pub fn create_room(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, plan: &RoomPlan) {
        let Some(user) = user(self, 0) else { return };
        let mut room = self.new_room(ctx, room_id.clone(), plan.version);
        let mut whole = Change::default();
        let contents = [
            ("m.room.create", creation(plan, ctx)),
            ("m.room.member", json!({ "membership": "join" })),
            ("m.room.power_levels", json!({ "users": { user.as_str(): 100 } })),
            ("m.room.join_rules", json!({ "join_rule": plan.join_rule })),
        ];
        for (event_type, content) in contents {
            let state_key = if event_type == "m.room.member" { user.to_string() } else { String::new() };
            let template = Template {
                room_id: room_id.clone(),
                event_type: event_type.into(),
                state_key: Some(state_key),
                sender: user.clone(),
                origin_server_ts: i64::try_from(ctx.now).unwrap_or(0),
                content: content.as_object().cloned().unwrap_or_default(),
            };
            match room.send_local(&self.me, template, &Known::default()) {
                Ok(Accepted::Appended { change, .. }) => whole.merge(change),
                other => ctx.out.push(Out::Fact(Fact::Wrong(format!("no room can be made: {other:?}")))),
            }
        }
        self.store(ctx, &room, whole, vec![]);
        self.put_room(room);
    }

    /// A client of ours asks for something, perhaps again.
    pub fn act(&mut self, ctx: &mut Ctx<'_>, plan: &RoomPlan, request: &ClientRequest) {
        let ClientRequest { room_id, sender, deed, txn } = request;
        if self.was_asked(ctx, room_id, txn) {
            return;
        }
        if self.holds_off(ctx, room_id) {
            return self.refused(ctx, txn, "to be tried again");
        }
        let template = deed.template(room_id, sender, ctx.now, txn);
        match self.take_room(ctx, room_id) {
            Some(mut room) if room.is_hub() => {
                self.act_as_hub(ctx, &mut room, template, txn);
                self.put_room(room);
            }
            Some(mut room) if room.is_participating() => {
                self.act_as_participant(ctx, &mut room, template, txn);
                self.put_room(room);
            }
            room => {
                room.into_iter().for_each(|room| self.put_room(room));
                match template.event_type.as_str() {
                    "m.room.member" => self.act_from_outside(ctx, room_id, plan, template),
                    _ => self.refused(ctx, txn, "the sender is not in the room"),
                }
            }
        }
    }

    /// Whether a request is one that we know. If it has been carried out, the client gets the same answer.
    fn was_asked(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, txn: &ClientTxn) -> bool {
        if ctx.plan.defect == Some(Defect::NoClientTxnDedupe) {
            return false;
        }
        // On disk is what came of it since.
        let known = self.disk.client_txns.get(txn).or_else(|| self.mem.client_txns.get(txn));
        let Some(known) = known.cloned() else { return false };
        ctx.out.push(Out::Fact(Fact::Covered("a client asks again")));
        let fact = match known {
            ClientState::Done(event_id) => Fact::ClientAnswered(room_id.clone(), event_id, Some(txn.clone())),
            ClientState::Refused(reason) => Fact::ClientRefused(txn.clone(), reason),
            ClientState::Pending(_) => return true,
        };
        self.enqueue(ctx, Write::Barrier, vec![Effect::Fact(fact)]);
        true
    }

    fn act_as_hub(&mut self, ctx: &mut Ctx<'_>, room: &mut Room, template: Template, txn: &ClientTxn) {
        let target = template.content.get("redacts").and_then(Value::as_str).and_then(|id| EventId::parse(id).ok());
        let devices = self.devices_for(room, &template);
        let lookup = Lookup { events: target.into_iter().collect(), devices, ..Lookup::default() };
        let known = self.disk.known(room.id(), &lookup);
        if room.invite_target_of(&template).is_some() {
            match room.prepare_invite(&self.me, InviteSource::Local(template), &known) {
                Ok(Prepared::Ask(prepared)) => self.ask_target(ctx, *prepared, None),
                Ok(Prepared::Duplicate(_)) => {}
                Err(refusal) => self.refused(ctx, txn, &refusal.to_string()),
            }
            return;
        }
        match room.send_local(&self.me, template, &known) {
            Ok(Accepted::Appended { event, change }) => {
                let event_id = event.event_id().clone();
                self.mem.client_txns.insert(txn.clone(), ClientState::Done(event_id.clone()));
                let fact = Fact::ClientAnswered(room.id().clone(), event_id, Some(txn.clone()));
                self.store_for(ctx, room, change, Some(txn.clone()), vec![Effect::Fact(fact)]);
            }
            Ok(Accepted::Duplicate(_)) => {}
            Err(refusal) => self.refused(ctx, txn, &refusal.to_string()),
        }
    }

    fn act_as_participant(&mut self, ctx: &mut Ctx<'_>, room: &mut Room, template: Template, txn: &ClientTxn) {
        let is_leaving = room.is_leaving(&template.sender);
        let lpdu = match room.make_lpdu(&self.me, template) {
            Ok(lpdu) => lpdu,
            Err(refusal) => return self.refused(ctx, txn, &refusal.to_string()),
        };
        let Some(hash) = lpdu.lpdu_hash().copied() else { return };
        let hub = room.hub().and_then(|hub| ctx.directory.node(hub.as_str()));
        match hub.filter(|_| room.invite_target(&lpdu).is_some()) {
            Some(hub) => {
                room.lpdu_refused(&hash);
                if is_leaving {
                    return self.refused(ctx, txn, "a leave is on its way");
                }
                self.ask_hub_to_invite(ctx, hub, &lpdu);
            }
            None => {
                self.next_lpdu += 1;
                self.mem.client_txns.insert(txn.clone(), ClientState::Pending(hash));
                let fact = Fact::LpduQueued(room.id().clone(), hash);
                if is_own_leave(&lpdu) {
                    ctx.out.push(Out::Timer(ctx.now + LEAVE_PATIENCE_MS, Timer::Leave(lpdu.clone())));
                }
                let write = Write::QueueLpdu(self.next_lpdu, lpdu, txn.clone());
                self.enqueue(ctx, write, vec![Effect::Fact(fact)]);
            }
        }
    }

    /// The hub has not answered to a leave: who leaves is out all the same.
    pub(super) fn leave_early(&mut self, ctx: &mut Ctx<'_>, lpdu: &Event) {
        if !self.disk.lpdus.values().any(|queued| queued.event_id() == lpdu.event_id()) {
            return;
        }
        let Some(mut room) = self.take_room(ctx, lpdu.room_id()) else { return };
        match room.leave_early(lpdu) {
            Ok(change) if change.is_empty() => {}
            Ok(change) => {
                ctx.out.push(Out::Fact(Fact::Covered("a leave before the hub answers")));
                self.store(ctx, &room, change, vec![]);
            }
            Err(Refusal::Busy) => {}
            Err(refusal) => ctx.out.push(Out::Fact(Fact::Wrong(format!("a leave cannot be taken: {refusal}")))),
        }
        self.put_room(room);
    }

    fn act_from_outside(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, plan: &RoomPlan, template: Template) {
        let is_own = template.state_key.as_deref() == Some(template.sender.as_str());
        let membership = template.content.get("membership").and_then(Value::as_str).and_then(Membership::parse);
        let Some(membership) = membership.filter(|_| is_own && plan.hub != self.id) else { return };
        if !matches!(membership, Membership::Join | Membership::Knock | Membership::Leave) {
            return;
        }
        // What follows a leave must not come to the hub before it.
        let is_before = |lpdu: &Event| is_own_leave(lpdu) && *lpdu.sender() == template.sender;
        if self.disk.lpdus.values().any(|lpdu| lpdu.room_id() == room_id && is_before(lpdu)) {
            return;
        }
        let Some(hub) = ctx.directory.identity(plan.hub).map(|hub| hub.name.clone()) else { return };
        let Ok(lpdu) = template.into_lpdu(plan.version, &hub, &self.me.name, &self.me.key) else { return };
        let request = Request::SendMembership { membership, room_id: room_id.clone(), lpdu: bytes(&lpdu) };
        if membership != Membership::Join {
            return self.request(ctx, plan.hub, request, Call::Other);
        }
        if self.mem.joining.insert(room_id.clone()) {
            let call = Call::Join { room_id: room_id.clone(), version: plan.version, lpdu };
            self.request(ctx, plan.hub, request, call);
        }
    }

    fn refused(&self, ctx: &mut Ctx<'_>, txn: &ClientTxn, reason: &str) {
        ctx.out.push(Out::Fact(Fact::ClientRefused(txn.clone(), reason.to_owned())));
    }
}

/// The content of the create event.
fn creation(plan: &RoomPlan, ctx: &Ctx<'_>) -> Value {
    let mut content = json!({ "room_version": plan.version.as_str() });
    if let Some(group) = &ctx.plan.encrypted {
        content["encryption"] = RoomEncryption { layering: group.layering }.to_json();
    }
    content
}

/// A user of a server.
pub(super) fn user(node: &Node, number: u64) -> Option<UserId> {
    UserId::parse(format!("@u{number}:{}", node.me.name)).ok()
}

/// Who made the room keeps their level, whoever changes the levels.
fn creator(room_id: &RoomId, sender: &UserId) -> String {
    UserId::parse(format!("@u0:{}", room_id.server_name())).map_or_else(|_| sender.to_string(), |user| user.to_string())
}
