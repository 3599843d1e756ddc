//! A hub that lies, once, in one room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, RoomId, ServerName};
use axle_room::outbound::{Cursor, Item, Source};
use axle_room::{Accepted, Known, Room, Route, Verified};
use serde_json::{Value, json};

use super::clients::user;
use super::{Ctx, Node, bytes};
use crate::disk::item;
use crate::plan::Lie;
use crate::wire::NodeId;

/// The lying side of a hub.
#[derive(Debug)]
pub struct Liar {
    lie: Lie,
    /// Whether its auth rules allow anything at the moment.
    pub(super) lax: Arc<AtomicBool>,
    victim: Option<ServerName>,
    /// What the victim must not get.
    withheld: Option<EventId>,
    /// What the victim gets instead of an event.
    instead: BTreeMap<EventId, Arc<str>>,
    /// What the victim gets besides.
    extra: Vec<Item>,
}

/// What was done, to be compared with what was noticed.
#[derive(Debug, Clone)]
pub struct Lied {
    /// How.
    pub lie: Lie,
    /// Where.
    pub room_id: RoomId,
    /// To whom.
    pub victim: NodeId,
    /// The room's last event before.
    pub before: EventId,
    /// The event that it is about: one that no honest log has, or that the victim does not get.
    pub about: EventId,
}

impl Node {
    /// Makes this hub a liar to be.
    pub fn corrupt(&mut self, lie: Lie) {
        self.liar = Some(Liar {
            lie,
            lax: Arc::default(),
            victim: None,
            withheld: None,
            instead: BTreeMap::new(),
            extra: Vec::new(),
        });
    }

    /// Lies to a participant. `None` if there is no occasion.
    pub fn lie(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, victim: NodeId) -> Option<Lied> {
        let lie = self.liar.as_ref()?.lie;
        let before = self.mem.rooms.get(room_id).and_then(Room::head).map(|head| head.event_id.clone());
        let mut room = self.take_room(ctx, room_id)?;
        let before = before.or_else(|| room.head().map(|head| head.event_id.clone()))?;
        let about = self.perform(ctx, &mut room, lie, victim);
        self.put_room(room);
        let liar = self.liar.as_mut()?;
        liar.victim = ctx.directory.identity(victim).map(|peer| peer.name.clone());
        Some(Lied { lie, room_id: room_id.clone(), victim, before, about: about? })
    }

    /// What the victim is told in place of what is true.
    pub(super) fn as_told(&mut self, name: &ServerName, after: Cursor, mut items: Vec<Item>) -> Vec<Item> {
        let Some(liar) = &mut self.liar else { return items };
        if liar.victim.as_ref() != Some(name) {
            return items;
        }
        items.retain(|item| liar.withheld.as_ref() != Some(&item.event_id));
        for item in &mut items {
            if let Some(json) = liar.instead.get(&item.event_id) {
                item.json = Arc::clone(json);
            }
        }
        if liar.lie == Lie::Reordered {
            items.reverse();
        }
        let extra = liar.extra.drain(..).map(|extra| Item { source: Source::Event(after.event), ..extra });
        extra.chain(items).collect()
    }

    pub(super) fn withholds(&self, ctx: &Ctx<'_>, to: NodeId, event: &Event) -> bool {
        let Some(liar) = &self.liar else { return false };
        let is_victim = ctx.directory.identity(to).is_some_and(|peer| liar.victim.as_ref() == Some(&peer.name));
        is_victim && liar.withheld.as_ref() == Some(event.event_id())
    }

    fn perform(&mut self, ctx: &mut Ctx<'_>, room: &mut Room, lie: Lie, victim: NodeId) -> Option<EventId> {
        match lie {
            Lie::Forbidden => self.forbid(ctx, room),
            Lie::Replayed => self.replay(ctx, room),
            Lie::Forged => self.forge(ctx, room, victim),
            Lie::Reordered => {
                (0..3).for_each(|i| {
                    self.say(ctx, room, &format!("in order {i}"));
                });
                self.say(ctx, room, "the last")
            }
            Lie::Dropped => {
                let id = self.say(ctx, room, "withheld")?;
                self.liar.as_mut()?.withheld = Some(id.clone());
                Some(id)
            }
            Lie::Tampered => {
                let id = self.say(ctx, room, "the truth")?;
                let json = self.last_json(&id)?.replace("the truth", "a lie!!!!");
                self.liar.as_mut()?.instead.insert(id.clone(), json.into());
                Some(id)
            }
            Lie::TwoHistories => self.fork(ctx, room),
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

    /// Makes an event of the victim's user, with a signature of its own.
    fn forge(&mut self, ctx: &mut Ctx<'_>, room: &mut Room, victim: NodeId) -> Option<EventId> {
        let name = ctx.directory.identity(victim)?.name.clone();
        let sender = axle_protocol::UserId::parse(format!("@u0:{name}")).ok()?;
        let template = Template { sender, ..self.message(ctx, room, 0, "as if")? };
        let lpdu = template.into_lpdu(room.version(), &self.me.name, &name, &self.me.key).ok()?;
        let auth_events = lpdu.select_auth_events(room.state());
        let parents = [room.head()?.event_id.clone()];
        let event = lpdu.complete(&auth_events, &parents, &self.me.name, &self.me.key).ok()?;
        self.liar.as_mut()?.extra.push(item(Source::Event(0), &event));
        Some(event.event_id().clone())
    }

    /// Tells the victim something else with the same parent.
    fn fork(&mut self, ctx: &mut Ctx<'_>, room: &mut Room) -> Option<EventId> {
        let parents = [room.head()?.event_id.clone()];
        let template = self.message(ctx, room, 0, "what you are told")?;
        let auth_events = template.select_auth_events(room.state());
        let other = template.into_pdu(room.version(), &auth_events, &parents, &self.me.name, &self.me.key).ok()?;
        let id = self.say(ctx, room, "what the others are told")?;
        self.liar.as_mut()?.instead.insert(id, bytes(&other));
        Some(other.event_id().clone())
    }

    fn message(&self, ctx: &Ctx<'_>, room: &Room, number: u64, text: &str) -> Option<Template> {
        Some(Template {
            room_id: room.id().clone(),
            event_type: "m.room.message".into(),
            state_key: None,
            sender: user(self, number)?,
            origin_server_ts: i64::try_from(ctx.now).ok()?,
            content: json!({ "body": text }).as_object()?.clone(),
        })
    }

    /// The bytes of an event that is being written.
    fn last_json(&self, id: &EventId) -> Option<String> {
        let queued = self.queue.iter().chain(&self.flushing).map(|(write, _)| write);
        let events = queued.filter_map(|write| match write {
            crate::disk::Write::Change(_, _, change) => Some(&change.events),
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
