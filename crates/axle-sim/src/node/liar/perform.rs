//! The lies that a hub tells when it wants to, one function each. They return the event that the lie is about.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axle_protocol::auth::AuthState as _;
use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, RoomId, UserId};
use axle_room::outbound::Source;
use axle_room::{Accepted, Known, Room, Route, Verified};
use serde_json::{Value, json};

use super::{head_of, user};
use crate::disk::{Write, item};
use crate::lies::Lie;
use crate::node::{Ctx, Node, bytes};
use crate::wire::NodeId;

/// An id that no event has.
const NOBODYS_ID: &str = "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Node {
    pub(super) fn perform(&mut self, ctx: &mut Ctx<'_>, room: &mut Room, lie: Lie, victim: NodeId) -> Option<EventId> {
        match lie {
            Lie::Forbidden => self.forbid(ctx, room),
            Lie::WrongAuthEvents => self.misauthorise(ctx, room),
            Lie::OutdatedAuthEvents => self.authorise_by_old(ctx, room),
            Lie::WrongHub => self.borrow_hub(ctx, room),
            Lie::Forged => self.forge(ctx, room, victim),
            Lie::Tampered => self.tamper(ctx, room),
            Lie::Replayed => self.replay(ctx, room),
            Lie::Withheld => self.withhold(ctx, room),
            Lie::MadeUpParent => self.make_up_parent(ctx, room),
            Lie::TwoHistories => self.fork(ctx, room),
            Lie::Reordered => {
                (0..3).for_each(|i| {
                    self.say(ctx, room, &format!("in order {i}"));
                });
                self.say(ctx, room, "the last")
            }
            // Their occasion is something that a participant does.
            Lie::AlteredEcho | Lie::Swallowed | Lie::WrongState | Lie::OldState => None,
        }
    }

    /// Power levels by somebody who is not in the room.
    pub(super) fn nobodys_levels(&self, room_id: &RoomId, join: &Event) -> Option<Event> {
        let template = Template {
            room_id: room_id.clone(),
            event_type: "m.room.power_levels".into(),
            state_key: Some(String::new()),
            sender: user(self, 99)?,
            origin_server_ts: join.origin_server_ts(),
            content: json!({ "users": { user(self, 99)?.as_str(): 100 } }).as_object()?.clone(),
        };
        let log = self.disk.rooms.get(room_id)?;
        let (_, create) = log.ordered().next()?;
        let auth_events = [create.event_id().clone()];
        template.into_pdu(join.version(), &auth_events, join.prev_events(), &self.me.name, &self.me.key).ok()
    }

    /// The bytes of power levels that have been replaced before a join, and of those that are current at it.
    pub(super) fn old_levels(&self, room_id: &RoomId, join: &Event) -> Option<(Arc<str>, Arc<str>)> {
        let log = self.disk.rooms.get(room_id)?;
        let before = log.ordered().map(|(_, event)| event).take_while(|event| event.event_id() != join.event_id());
        let levels: Vec<&Event> = before.filter(|event| event.event_type() == "m.room.power_levels").collect();
        match levels[..] {
            [.., old, current] => Some((bytes(old), bytes(current))),
            _ => None,
        }
    }

    /// Says something as whoever of us is in the room.
    fn say(&mut self, ctx: &mut Ctx<'_>, room: &mut Room, text: &str) -> Option<EventId> {
        for number in 0..2 {
            let template = self.message(ctx, room, number, text)?;
            if let Ok(Accepted::Appended { event, change }) = room.send_local(&self.me, template, &Known::default()) {
                self.store(ctx, room, change, vec![]);
                return Some(event.event_id().clone());
            }
        }
        None
    }

    /// Something that a user of ours who is in the room might say.
    fn speech(&self, ctx: &Ctx<'_>, room: &Room, text: &str) -> Option<Template> {
        let mut templates = (0..2).filter_map(|number| self.message(ctx, room, number, text));
        templates.find(|template| room.state().membership(template.sender.as_str()).as_str() == "join")
    }

    /// Sends an event that is in no log to the victim.
    fn slip(&mut self, event: &Event) -> Option<EventId> {
        self.liar.as_mut()?.extra.push(item(Source::Event(0), event));
        Some(event.event_id().clone())
    }

    fn forbid(&mut self, ctx: &mut Ctx<'_>, room: &mut Room) -> Option<EventId> {
        let lax = Arc::clone(&self.liar.as_ref()?.lax);
        let stranger = Template { sender: user(self, 99)?, ..self.message(ctx, room, 0, "I am not in this room")? };
        lax.store(true, Ordering::Relaxed);
        let accepted = room.send_local(&self.me, stranger, &Known::default());
        lax.store(false, Ordering::Relaxed);
        let Ok(Accepted::Appended { event, change }) = accepted else { return None };
        self.store(ctx, room, change, vec![]);
        Some(event.event_id().clone())
    }

    /// Names an event as authorising that does not.
    fn misauthorise(&mut self, ctx: &mut Ctx<'_>, room: &Room) -> Option<EventId> {
        let template = self.speech(ctx, room, "by the power of a message")?;
        let mut auth_events = template.select_auth_events(room.state());
        let log = self.disk.rooms.get(room.id())?;
        let message = log.ordered().map(|(_, event)| event).filter(|event| !event.is_state()).last()?;
        auth_events.push(message.event_id().clone());
        let parents = [head_of(room)?];
        let event = template.into_pdu(room.version(), &auth_events, &parents, &self.me.name, &self.me.key).ok()?;
        self.slip(&event)
    }

    /// Is silent about the power levels.
    fn authorise_by_old(&mut self, ctx: &mut Ctx<'_>, room: &Room) -> Option<EventId> {
        let template = self.speech(ctx, room, "as if there were no levels")?;
        let (levels, _) = room.state().power_levels()?;
        let auth_events: Vec<EventId> =
            template.select_auth_events(room.state()).into_iter().filter(|id| id != levels).collect();
        let parents = [head_of(room)?];
        let event = template.into_pdu(room.version(), &auth_events, &parents, &self.me.name, &self.me.key).ok()?;
        self.slip(&event)
    }

    /// Another server, in league with us, finishes an LPDU of one of our users.
    fn borrow_hub(&mut self, ctx: &mut Ctx<'_>, room: &Room) -> Option<EventId> {
        let other =
            (0..ctx.plan.servers).find(|node| *node != self.id).and_then(|node| ctx.directory.identity(node))?;
        let template = self.speech(ctx, room, "through another hub")?;
        let lpdu = template.into_lpdu(room.version(), &other.name, &self.me.name, &self.me.key).ok()?;
        let auth_events = lpdu.select_auth_events(room.state());
        let event = lpdu.complete(&auth_events, &[head_of(room)?], &other.name, &other.key).ok()?;
        self.slip(&event)
    }

    /// Makes an event of the victim's user, with a signature of its own.
    fn forge(&mut self, ctx: &mut Ctx<'_>, room: &Room, victim: NodeId) -> Option<EventId> {
        let name = ctx.directory.identity(victim)?.name.clone();
        let sender = UserId::parse(format!("@u0:{name}")).ok()?;
        let template = Template { sender, ..self.message(ctx, room, 0, "as if")? };
        let lpdu = template.into_lpdu(room.version(), &self.me.name, &name, &self.me.key).ok()?;
        let auth_events = lpdu.select_auth_events(room.state());
        let event = lpdu.complete(&auth_events, &[head_of(room)?], &self.me.name, &self.me.key).ok()?;
        self.slip(&event)
    }

    fn make_up_parent(&mut self, ctx: &mut Ctx<'_>, room: &Room) -> Option<EventId> {
        let template = self.speech(ctx, room, "after what nobody has")?;
        let auth_events = template.select_auth_events(room.state());
        let parents = [EventId::parse(NOBODYS_ID).ok()?];
        let event = template.into_pdu(room.version(), &auth_events, &parents, &self.me.name, &self.me.key).ok()?;
        self.slip(&event)
    }

    fn withhold(&mut self, ctx: &mut Ctx<'_>, room: &mut Room) -> Option<EventId> {
        let id = self.say(ctx, room, "withheld")?;
        self.liar.as_mut()?.withheld = Some(id.clone());
        Some(id)
    }

    fn tamper(&mut self, ctx: &mut Ctx<'_>, room: &mut Room) -> Option<EventId> {
        let id = self.say(ctx, room, "the truth")?;
        let json = self.last_json(&id)?.replace("the truth", "a lie!!!!");
        self.liar.as_mut()?.instead.insert(id.clone(), json.into());
        Some(id)
    }

    /// Appends the newest LPDU again.
    fn replay(&mut self, ctx: &mut Ctx<'_>, room: &mut Room) -> Option<EventId> {
        let log = self.disk.rooms.get(room.id())?;
        let is_message = |event: &&Event| event.lpdu_hash().is_some() && !event.is_state();
        let event = log.ordered().map(|(_, event)| event).filter(is_message).last()?;
        let lpdu = lpdu_of(event)?;
        let origin = event.sender().server_name();
        let lpdu = Verified::check(lpdu, ctx.directory).ok()?;
        room.forget_recent();
        let accepted = room.accept_lpdu(&self.me, &lpdu, &origin, Route::Transaction, &Known::default());
        let Ok(Accepted::Appended { event, change }) = accepted else { return None };
        self.store(ctx, room, change, vec![]);
        Some(event.event_id().clone())
    }

    /// Tells the victim something else with the same parent.
    fn fork(&mut self, ctx: &mut Ctx<'_>, room: &mut Room) -> Option<EventId> {
        let parents = [head_of(room)?];
        let template = self.speech(ctx, room, "what you are told")?;
        let auth_events = template.select_auth_events(room.state());
        let other = template.into_pdu(room.version(), &auth_events, &parents, &self.me.name, &self.me.key).ok()?;
        let id = self.say(ctx, room, "what the others are told")?;
        self.liar.as_mut()?.instead.insert(id, bytes(&other));
        Some(other.event_id().clone())
    }

    /// The bytes of an event that is being written.
    fn last_json(&self, id: &EventId) -> Option<String> {
        let queued = self.queue.iter().chain(&self.flushing).map(|(write, _)| write);
        let events = queued.filter_map(|write| match write {
            Write::Change(_, _, change, _) => Some(&change.events),
            _ => None,
        });
        let placed = events.flatten().find(|placed| placed.event.event_id() == id)?;
        Some(placed.event.json().to_owned())
    }
}

/// The LPDU that a finished event was made from.
fn lpdu_of(event: &Event) -> Option<Event> {
    let mut value: Value = serde_json::from_str(event.json()).ok()?;
    let object = value.as_object_mut()?;
    object.remove("auth_events");
    object.remove("prev_events");
    object.get_mut("hashes")?.as_object_mut()?.remove("sha256");
    let sender = event.sender().server_str().to_owned();
    object.get_mut("signatures")?.as_object_mut()?.retain(|server, _| *server == sender);
    Event::parse(value.to_string().as_bytes(), event.version()).ok()
}
