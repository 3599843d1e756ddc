//! Groups: what devices and other servers ask about them, and what the hub does.

use std::collections::BTreeSet;
use std::sync::Arc;

use axle_mls::event::{CommitContent, ProposalContent, RoomBinding};
use axle_mls::hub::{HubSender, Report};
use axle_mls::{Credential, HubGroup};
use axle_protocol::auth::Membership;
use axle_protocol::event::Template;
use axle_protocol::{EventId, RoomId, UserId};
use axle_room::{Accepted, Change, Known, Paired, PairedWith, Refusal, Reported, Room, Route, Verified};
use serde_json::{Map, Value, json};

use super::{Call, Ctx, Effect, Node, REQUEST, bytes, restored};
use crate::defects::Defect;
use crate::disk::Write;
use crate::wire::{GroupAsk, GroupState, GroupTold, MemberHalf, NodeId, OtherHalf, Request, Response};

/// Who asks: a device of ours or another server, with what it calls its question.
#[derive(Debug, Clone, Copy)]
pub enum Asker {
    /// A device.
    Device(usize, u64),
    /// A server.
    Server(NodeId, u64),
}

/// A member event that is to be appended together with something else.
#[derive(Debug, Clone)]
pub struct MemberWish {
    /// Whom it is about.
    pub user: UserId,
    /// Leave or ban.
    pub membership: Membership,
    /// What the device calls it.
    pub mark: String,
}

/// What a device has to know to make a commit.
#[derive(Debug)]
pub struct Prepared {
    /// What it is bound to.
    pub binding: RoomBinding,
    /// On the hub: who that is.
    pub hub: Option<HubSender>,
    /// The member event that goes with it.
    pub member: Option<MemberHalf>,
}

type Judged = (Option<Change>, GroupTold);

impl Node {
    /// What a commit of a user of ours is to be bound to now that adds devices of these users.
    pub fn binding(
        &mut self,
        ctx: &mut Ctx<'_>,
        room_id: &RoomId,
        user: &UserId,
        added: &[UserId],
        member: Option<&MemberWish>,
    ) -> Option<Prepared> {
        let room = self.take_room(ctx, room_id)?;
        let prepared = self.prepare(ctx, &room, user, added, member);
        self.put_room(room);
        prepared
    }

    /// Somebody asks about a group. A participant asks its hub.
    pub fn ask_group(&mut self, ctx: &mut Ctx<'_>, asker: Asker, room_id: &RoomId, user: &UserId, ask: &GroupAsk) {
        if self.holds_off(ctx, room_id) {
            return match asker {
                Asker::Device(..) => self.tell(ctx, asker, None, GroupTold::Unanswered),
                Asker::Server(to, call) => self.respond(ctx, to, call, restored::try_again()),
            };
        }
        let Some(mut room) = self.take_room(ctx, room_id) else {
            return self.tell(ctx, asker, None, GroupTold::Denied("no such room".into()));
        };
        if room.is_hub() {
            let (change, told) = self.judge(ctx, &mut room, asker, user, ask);
            self.tell(ctx, asker, change.map(|change| (&room, change)), told);
        } else if matches!(ask, GroupAsk::Pair { .. }) && room.is_leaving(user) {
            self.tell(ctx, asker, None, GroupTold::Denied("a leave is on its way".into()));
        } else if let Asker::Device(device, number) = asker {
            self.ask_hub(ctx, &room, user, ask, Call::Device(device, number));
        } else {
            self.tell(ctx, asker, None, GroupTold::Denied("not the hub".into()));
        }
        self.put_room(room);
    }

    /// The GroupInfo that a commit would lead to; for who makes a bad copy of it.
    pub fn preview(
        &mut self,
        ctx: &mut Ctx<'_>,
        room_id: &RoomId,
        sender: &UserId,
        content: &CommitContent,
    ) -> Option<Vec<u8>> {
        let room = self.take_room(ctx, room_id)?;
        let devices = self.disk.devices.of(&room.devices_for(sender, &content.message));
        let group = room.group().and_then(|group| HubGroup::from_bytes(&group.to_bytes().ok()?).ok());
        let preview = group.and_then(|mut group| {
            let staged = group.check(content, sender, &room.group_view(&devices)).ok()?;
            let parent = group.last_commit()?.clone();
            group.merge(staged, parent).ok()?;
            Some(group.group_info().to_vec())
        });
        self.put_room(room);
        preview
    }

    /// The users whose devices matter for an event of a user of ours.
    pub(super) fn devices_for(&self, room: &Room, template: &Template) -> BTreeSet<UserId> {
        let commit =
            (template.event_type == CommitContent::EVENT_TYPE).then(|| CommitContent::parse(&template.content));
        match commit {
            Some(Ok(commit)) => room.devices_for(&template.sender, &commit.message),
            _ => BTreeSet::new(),
        }
    }

    /// Answers when everything is durable that the answer follows from.
    pub(super) fn tell(&mut self, ctx: &mut Ctx<'_>, asker: Asker, change: Option<(&Room, Change)>, told: GroupTold) {
        let effect = match asker {
            Asker::Device(device, number) => Effect::Tell(device, number, told),
            Asker::Server(to, call) => Effect::Respond(to, call, Response::Group(told)),
        };
        match change {
            Some((room, change)) => self.store(ctx, room, change, vec![effect]),
            None => self.enqueue(ctx, Write::Barrier, vec![effect]),
        }
    }

    fn prepare(
        &self,
        ctx: &Ctx<'_>,
        room: &Room,
        user: &UserId,
        added: &[UserId],
        member: Option<&MemberWish>,
    ) -> Option<Prepared> {
        let mut binding = RoomBinding { auth_events: room.binding_events(user, added), member_event: None };
        let mut half = None;
        if let Some(wish) = member {
            if wish.user == *user {
                // At that time it is another one, which has no id yet.
                room.state().get("m.room.member", user.as_str()).map(|own| binding.auth_events.remove(own));
            }
            let (name, key) = (&self.me.name, &self.me.key);
            let template = wish.template(room.id(), user, ctx.now);
            let hash = if room.is_hub() {
                // On nothing: only for its hash, into which its place does not go.
                let event = template.clone().into_pdu(room.version(), &[], &[], name, key).ok()?;
                half = Some(MemberHalf::Template(template));
                event.computed_lpdu_hash()
            } else {
                let event = template.into_lpdu(room.version(), &room.hub()?, name, key).ok()?;
                half = Some(MemberHalf::Lpdu(bytes(&event)));
                event.computed_lpdu_hash()
            };
            binding.member_event = Some(hash);
        }
        let hub = room.is_hub().then(|| HubSender::new(&self.me.name, &self.me.key.verify_key()));
        Some(Prepared { binding, hub, member: half })
    }

    fn ask_hub(&mut self, ctx: &mut Ctx<'_>, room: &Room, user: &UserId, ask: &GroupAsk, call: Call) {
        let Some(hub) = room.hub().filter(|_| room.is_participating()) else { return };
        let Some(to) = ctx.directory.node(hub.as_str()) else { return };
        let mut ask = ask.clone();
        if let GroupAsk::Pair { with, .. } = &mut ask
            && let OtherHalf::Commit(content) = with
        {
            let template = commit_template(room.id(), user, ctx.now, content.clone());
            let Ok(lpdu) = template.into_lpdu(room.version(), &hub, &self.me.name, &self.me.key) else { return };
            *with = OtherHalf::Lpdu(bytes(&lpdu));
        }
        let request = Request::Group { room_id: room.id().clone(), user: user.clone(), ask: Arc::new(ask) };
        self.request(ctx, to, request, call);
    }

    fn judge(&mut self, ctx: &Ctx<'_>, room: &mut Room, asker: Asker, user: &UserId, ask: &GroupAsk) -> Judged {
        let is_inside = match asker {
            Asker::Device(..) => room.state().membership(user.as_str()) == Membership::Join,
            Asker::Server(from, _) => ctx.directory.identity(from).is_some_and(|peer| {
                user.server_str() == peer.name.as_str() && room.state().has_server(peer.name.as_str())
            }),
        };
        if !is_inside {
            return (None, GroupTold::Denied("not in the room".into()));
        }
        let judged = match ask {
            GroupAsk::State { after } => Ok((None, self.state_of_group(room, after.as_ref()))),
            GroupAsk::Propose(message) => self.propose(room, user, message),
            GroupAsk::Report(json) => self.report(room, json),
            GroupAsk::Pair { member, with } => self.pair(ctx, room, user, member, with),
        };
        judged.unwrap_or_else(|refusal| (None, told_of(&refusal)))
    }

    fn state_of_group(&self, room: &Room, after: Option<&EventId>) -> GroupTold {
        if let Some(commit) = after {
            let group = self.disk.group_after(room.id(), commit);
            let state = group.and_then(|group| state(&group, vec![], vec![]));
            return state.unwrap_or(GroupTold::Denied("not kept".into()));
        }
        let devices = self.disk.devices.of(&room.group_users());
        let view = room.group_view(&devices);
        let now = room.group().and_then(|group| state(group, group.due_proposals(&view), group.due_removals(&view)));
        now.unwrap_or(GroupTold::Denied("no group".into()))
    }

    fn propose(&self, room: &mut Room, user: &UserId, message: &[u8]) -> Result<Judged, Refusal> {
        let devices = self.disk.devices.of(&room.devices_for(user, message));
        let content = ProposalContent { message: message.to_vec() };
        let change = room.propose(user, &content, &Known { devices, ..Known::default() })?;
        Ok((Some(change), GroupTold::Done))
    }

    fn report(&self, room: &mut Room, json: &str) -> Result<Judged, Refusal> {
        let report = Report::parse(json)?;
        let known = Known { devices: self.disk.devices.of(&room.group_users()), ..Known::default() };
        let mut reported = room.report(&self.me, report.clone(), None, &known)?;
        if let Reported::NeedsEpoch(epoch) = reported {
            let kept = self.disk.rooms.get(room.id()).and_then(|log| log.groups.get(&epoch));
            let Some(kept) = kept else { return Ok((None, GroupTold::Denied("not kept".into()))) };
            reported = room.report(&self.me, report, Some(&kept.state), &known)?;
        }
        Ok(match reported {
            Reported::Kept(change) => (Some(change), GroupTold::Done),
            Reported::RolledBack(epoch, change) => (Some(change), GroupTold::RolledBack(epoch)),
            Reported::NeedsEpoch(_) => (None, GroupTold::Denied("not kept".into())),
        })
    }

    fn pair(
        &self,
        ctx: &Ctx<'_>,
        room: &mut Room,
        user: &UserId,
        member: &MemberHalf,
        with: &OtherHalf,
    ) -> Result<Judged, Refusal> {
        let unfit = |what: &str| Refusal::Unfit(what.into());
        let verified = |json| ctx.directory.verified(json, room.version()).ok_or_else(|| unfit("not a signed event"));
        let origin = user.server_name();
        let is_apart = ctx.plan.defect == Some(Defect::PairsApart);
        let paired = match (member, with) {
            (MemberHalf::Template(member), OtherHalf::Commit(content)) => {
                let commit = commit_template(room.id(), user, ctx.now, content.clone());
                let known = self.known_devices(self.devices_for(room, &commit));
                if is_apart {
                    let member = room.send_local(&self.me, member.clone(), &known)?;
                    return Ok(apart(member, room.send_local(&self.me, commit, &known)));
                }
                room.send_pair(&self.me, member.clone(), PairedWith::Template(commit), &known)?
            }
            (MemberHalf::Template(member), OtherHalf::Proposal(message)) => {
                let (known, content) = (self.known_for(room, user, message), proposal(message));
                room.send_pair(&self.me, member.clone(), PairedWith::Proposal(user, &content), &known)?
            }
            (MemberHalf::Lpdu(member), OtherHalf::Lpdu(commit)) => {
                let (member, commit) = (verified(member)?, verified(commit)?);
                let known = self.known(room, [member.event(), commit.event()]);
                if is_apart {
                    let mut accept =
                        |half: &Verified| room.accept_lpdu(&self.me, half, &origin, Route::Transaction, &known);
                    return Ok(apart(accept(&member)?, accept(&commit)));
                }
                room.accept_pair(&self.me, &member, PairedWith::Lpdu(&commit), &origin, &known)?
            }
            (MemberHalf::Lpdu(member), OtherHalf::Proposal(message)) => {
                let member = verified(member)?;
                let mut known = self.known(room, [member.event()]);
                known.devices = self.known_for(room, user, message).devices;
                let content = proposal(message);
                room.accept_pair(&self.me, &member, PairedWith::Proposal(user, &content), &origin, &known)?
            }
            _ => return Err(unfit("halves that do not fit")),
        };
        let Paired { commit, change, .. } = paired;
        Ok((Some(change), GroupTold::Paired { commit }))
    }

    fn known_for(&self, room: &Room, user: &UserId, message: &[u8]) -> Known {
        self.known_devices(room.devices_for(user, message))
    }

    fn known_devices(&self, users: BTreeSet<UserId>) -> Known {
        Known { devices: self.disk.devices.of(&users), ..Known::default() }
    }
}

impl MemberWish {
    fn template(&self, room_id: &RoomId, sender: &UserId, now: u64) -> Template {
        let content = json!({ "membership": self.membership.as_str(), REQUEST: self.mark });
        Template {
            room_id: room_id.clone(),
            event_type: "m.room.member".into(),
            state_key: Some(self.user.to_string()),
            sender: sender.clone(),
            origin_server_ts: i64::try_from(now).unwrap_or(i64::MAX),
            content: content.as_object().cloned().unwrap_or_default(),
        }
    }
}

/// The code of a group's refusal, where it is told as a text.
pub fn refusal_code(text: &str) -> Option<&str> {
    text.strip_prefix("mls/")?.split_once(": ").map(|(code, _)| code)
}

fn told_of(refusal: &Refusal) -> GroupTold {
    match refusal {
        Refusal::Group(refusal) => GroupTold::Refused(refusal.code().into()),
        other => GroupTold::Denied(other.to_string()),
    }
}

/// A defect: two halves, each for itself.
fn apart(member: Accepted, commit: Result<Accepted, Refusal>) -> Judged {
    let mut whole = member.change().unwrap_or_default();
    match commit {
        Ok(commit) => {
            let told = GroupTold::Paired { commit: Some(commit.event_id().clone()) };
            whole.merge(commit.change().unwrap_or_default());
            (Some(whole), told)
        }
        Err(refusal) => (Some(whole), told_of(&refusal)),
    }
}

fn state(group: &HubGroup, proposals: Vec<Vec<u8>>, due: Vec<Credential>) -> Option<GroupTold> {
    Some(GroupTold::State(Box::new(GroupState {
        epoch: group.epoch(),
        commit: group.last_commit()?.clone(),
        group_info: group.group_info().to_vec(),
        ratchet_tree: group.ratchet_tree(),
        proposals,
        due,
    })))
}

fn proposal(message: &[u8]) -> ProposalContent {
    ProposalContent { message: message.to_vec() }
}

fn commit_template(room_id: &RoomId, sender: &UserId, now: u64, content: Map<String, Value>) -> Template {
    Template {
        room_id: room_id.clone(),
        event_type: CommitContent::EVENT_TYPE.into(),
        state_key: None,
        sender: sender.clone(),
        origin_server_ts: i64::try_from(now).unwrap_or(i64::MAX),
        content,
    }
}
