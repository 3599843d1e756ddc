//! A hub that lies, once, in one room.

mod perform;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axle_protocol::event::{Hash, Template};
use axle_protocol::{Event, EventId, RoomId, ServerName};
use axle_room::outbound::{Cursor, Item, Source};
use axle_room::{Change, Room, Verified};
use serde_json::{Value, json};

use super::clients::user;
use super::{Ctx, Fact, Node, Out, bytes};
use crate::lies::Lie;
use crate::wire::NodeId;

/// The lying side of a hub.
#[derive(Debug)]
pub struct Liar {
    lie: Lie,
    /// Whether its auth rules allow anything at the moment.
    pub(super) lax: Arc<AtomicBool>,
    /// The room in which it lies, once its time has come.
    room_id: Option<RoomId>,
    victim: Option<ServerName>,
    told: bool,
    /// What the victim must not get.
    withheld: Option<EventId>,
    /// What the victim gets instead of an event.
    instead: BTreeMap<EventId, Arc<str>>,
    /// What the victim gets besides.
    extra: Vec<Item>,
    /// The LPDU that is taken and not appended.
    swallowed: Option<Hash>,
    /// The join whose answer is the lie, however often it is asked for.
    join: Option<EventId>,
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
    /// The honest event in whose place the victim has another.
    pub replaced: Option<EventId>,
    /// The LPDU that was not appended.
    pub swallowed: Option<Hash>,
    /// The join whose answer was the lie.
    pub join: Option<EventId>,
}

impl Node {
    /// Makes this hub a liar to be.
    pub fn corrupt(&mut self, lie: Lie) {
        self.liar = Some(Liar {
            lie,
            lax: Arc::default(),
            room_id: None,
            victim: None,
            told: false,
            withheld: None,
            instead: BTreeMap::new(),
            extra: Vec::new(),
            swallowed: None,
            join: None,
        });
    }

    /// From now on lies, to a participant; or to whoever joins next.
    pub fn lie(&mut self, ctx: &mut Ctx<'_>, room_id: &RoomId, victim: Option<NodeId>) {
        let victim_name = victim.and_then(|victim| ctx.directory.identity(victim)).map(|peer| peer.name.clone());
        let Some(liar) = self.liar.as_mut() else { return };
        let lie = liar.lie;
        (liar.room_id, liar.victim) = (Some(room_id.clone()), victim_name.clone());
        let (Some(victim), Some(name)) = (victim, victim_name) else { return };
        let Some(mut room) = self.take_room(ctx, room_id) else { return };
        if !room.state().has_server(name.as_str()) {
            // The victim does not know yet that it has left: it would not hear the lie.
            return self.put_room(room);
        }
        if let (Some(before), Some(about)) = (head_of(&room), self.perform(ctx, &mut room, lie, victim)) {
            self.admit(ctx, Lied::new(lie, room_id, victim, before, about));
        }
        self.put_room(room);
        self.wake(ctx, &name);
    }

    /// What the victim is told in place of what is true.
    pub(super) fn as_told(&mut self, name: &ServerName, after: Cursor, mut items: Vec<Item>) -> Vec<Item> {
        let Some(liar) = &mut self.liar else { return items };
        if liar.victim.as_ref() != Some(name) {
            return items;
        }
        items.retain(|item| liar.withheld.is_none() || liar.withheld != item.event_id);
        for item in &mut items {
            if let Some(json) = item.event_id.as_ref().and_then(|event_id| liar.instead.get(event_id)) {
                item.json = Arc::clone(json);
            }
        }
        if liar.lie == Lie::Reordered {
            // The hub's events; LPDUs of its users for other rooms are none of them.
            let (mut events, lpdus): (Vec<Item>, Vec<Item>) =
                items.into_iter().partition(|item| matches!(item.source, Source::Event(_)));
            events.reverse();
            items = events.into_iter().chain(lpdus).collect();
        }
        let extra = liar.extra.drain(..).map(|extra| Item { source: Source::Event(after.event), ..extra });
        extra.chain(items).collect()
    }

    /// The bytes of an event in an answer to a backfill; `None` if this server must not get it.
    pub(super) fn backfilled_as_told(&self, ctx: &Ctx<'_>, to: NodeId, event: &Event) -> Option<Arc<str>> {
        let name = ctx.directory.identity(to).map(|peer| &peer.name);
        let Some(liar) = self.liar.as_ref().filter(|liar| liar.victim.as_ref() == name) else {
            return Some(bytes(event));
        };
        let is_withheld = liar.withheld.as_ref() == Some(event.event_id());
        let changed = liar.instead.get(event.event_id()).filter(|_| liar.lie == Lie::Tampered);
        (!is_withheld).then(|| changed.cloned().unwrap_or_else(|| bytes(event)))
    }

    /// Whether an LPDU is to be taken and not appended.
    pub(super) fn swallows(&mut self, ctx: &mut Ctx<'_>, room: &Room, from: NodeId, lpdu: &Verified) -> bool {
        let hash = lpdu.event().lpdu_hash().copied();
        if self.liar.as_ref().is_some_and(|liar| hash.is_some() && liar.swallowed == hash) {
            return true;
        }
        let is_repeated = || {
            let log = self.disk.rooms.get(room.id());
            log.is_some_and(|log| log.ordered().any(|(_, event)| event.lpdu_hash().copied() == hash))
        };
        if lpdu.event().is_state() || !self.is_time_for(ctx, Lie::Swallowed, room, from) || is_repeated() {
            return false;
        }
        let (Some(before), Some(liar)) = (head_of(room), self.liar.as_mut()) else { return false };
        liar.swallowed = hash;
        let about = lpdu.event().event_id().clone();
        let lied = Lied::new(Lie::Swallowed, room.id(), from, before, about);
        self.admit(ctx, Lied { swallowed: hash, ..lied });
        true
    }

    /// Appends an LPDU, and prepares to tell its author another content. `None` if that is not the lie.
    pub(super) fn altered(
        &mut self,
        ctx: &mut Ctx<'_>,
        room: &mut Room,
        from: NodeId,
        lpdu: &Verified,
    ) -> Option<Change> {
        if lpdu.event().is_state() || !self.is_time_for(ctx, Lie::AlteredEcho, room, from) {
            return None;
        }
        let (before, auth_events) = (head_of(room)?, lpdu.event().select_auth_events(room.state()));
        let mut content: Value = serde_json::from_str(lpdu.event().json()).ok()?;
        *content.get_mut("content")? = json!({ "body": "what you never said" });
        let altered = Event::parse(content.to_string().as_bytes(), room.version()).ok()?;
        let parents = std::slice::from_ref(&before);
        let altered = altered.complete(&auth_events, parents, &self.me.name, &self.me.key).ok()?;
        let accepted = self.accept(ctx, room, from, lpdu, axle_room::Route::Transaction).ok()?;
        let replaced = accepted.event_id().clone();
        let change = accepted.change()?;
        self.liar.as_mut()?.instead.insert(replaced.clone(), bytes(&altered));
        let lied = Lied::new(Lie::AlteredEcho, room.id(), from, before, altered.event_id().clone());
        self.admit(ctx, Lied { replaced: Some(replaced), ..lied });
        Some(change)
    }

    /// The state in the answer to a join, and more for its auth chain.
    pub(super) fn state_as_told(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: NodeId,
        join: &Event,
        state: &mut Vec<Arc<str>>,
        chain: &mut Vec<Arc<str>>,
    ) {
        let Some(liar) = self.liar.as_ref().filter(|liar| liar.lie.is_about_a_join()) else { return };
        let (lie, room_id) = (liar.lie, join.room_id().clone());
        let is_told = liar.told && liar.join.as_ref() != Some(join.event_id());
        if is_told || liar.room_id.as_ref() != Some(&room_id) {
            return;
        }
        let about = match lie {
            Lie::WrongState => self.nobodys_levels(&room_id, join).map(|event| {
                state.push(bytes(&event));
                event.event_id().clone()
            }),
            _ => self.old_levels(&room_id, join).and_then(|(old, current)| {
                let spot = state.iter_mut().find(|json| ***json == *current)?;
                chain.push(std::mem::replace(spot, old));
                Some(join.event_id().clone())
            }),
        };
        if let (Some(before), Some(about)) = (join.prev_events().first(), about) {
            self.liar.as_mut().into_iter().for_each(|liar| liar.join = Some(join.event_id().clone()));
            let lied = Lied::new(lie, &room_id, to, before.clone(), about);
            self.admit(ctx, Lied { join: Some(join.event_id().clone()), ..lied });
        }
    }

    /// The lie is told.
    fn admit(&mut self, ctx: &mut Ctx<'_>, lied: Lied) {
        if let Some(liar) = &mut self.liar {
            liar.told = true;
        }
        ctx.out.push(Out::Fact(Fact::Lied(lied)));
    }

    fn is_time_for(&self, ctx: &Ctx<'_>, lie: Lie, room: &Room, from: NodeId) -> bool {
        let name = ctx.directory.identity(from).map(|peer| &peer.name);
        self.liar.as_ref().is_some_and(|liar| {
            liar.lie == lie && !liar.told && liar.victim.as_ref() == name && liar.room_id.as_ref() == Some(room.id())
        })
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
}

impl Lied {
    fn new(lie: Lie, room_id: &RoomId, victim: NodeId, before: EventId, about: EventId) -> Self {
        let room_id = room_id.clone();
        Self { lie, room_id, victim, before, about, replaced: None, swallowed: None, join: None }
    }

    /// Whether the hub's own log has it.
    pub fn is_in_log(&self) -> bool {
        matches!(self.lie, Lie::Forbidden | Lie::Replayed)
    }
}

fn head_of(room: &Room) -> Option<EventId> {
    room.head().map(|head| head.event_id.clone())
}
