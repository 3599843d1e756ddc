//! Encrypted rooms at their hub: what gets into the group's log, and what is stored with it.

use axle_mls::event::{CommitContent, EncryptedContent, ProposalContent, RoomBinding, WelcomeContent};
use axle_mls::hub::{self, HubSender, Report, Verdict};
use axle_mls::member::{CommitPlan, HubState, MemoryStore, PendingCommit};
use axle_mls::{CheckedKeyPackage, Credential, DeviceKey, HubGroup, Layering, Member, RoomEncryption};
use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, ServerName, UserId};
use axle_room::{Accepted, Devices, FaultKind, Paired, PairedWith, Received, Refusal, Reported, Route};
use serde_json::json;

use crate::world::*;

/// A room with its hub and a participant, and a device of each of alice (the hub's), bob and dan (the participant's).
pub(crate) struct World {
    pub(crate) hub: Server,
    pub(crate) one: Server,
    layering: Layering,
    alice: Member,
    bob: Member,
    dan: Member,
}

pub(crate) const DAN: &str = "@dan:one.example";

pub(crate) fn device(user_id: &str) -> Member {
    let mut seed = [3; 32];
    seed.iter_mut().zip(user_id.bytes()).for_each(|(seed, byte)| *seed = byte);
    Member::open(DeviceKey::from_seed(user(user_id), "A", &seed).unwrap(), MemoryStore::default())
}

pub(crate) fn commit_template(sender: &UserId, content: &CommitContent) -> Template {
    let content = content.to_content().into();
    template(sender.as_str(), CommitContent::EVENT_TYPE, None, content)
}

pub(crate) fn group_refusal<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    match result.unwrap_err() {
        Refusal::Group(refusal) => refusal.code(),
        other => panic!("{other}"),
    }
}

impl World {
    /// A room whose group has alice's device, which has added those of bob and dan.
    pub(crate) fn new(layering: Layering) -> Self {
        let mut world = Self::without_group(layering);
        world.found();
        world
    }

    /// Makes that group; returns the commits.
    pub(crate) fn found(&mut self) -> [Event; 2] {
        let pending = self.first_commit();
        let first = self.hub.send(commit_template(&user(ALICE), &pending.content)).unwrap();
        self.alice.confirm(&room_id(), first.event_id()).unwrap();
        [first, self.add_both()]
    }

    pub(crate) fn without_group(layering: Layering) -> Self {
        let encryption = RoomEncryption { layering }.to_json();
        let mut hub = Server::hub_of("public", json!({ "room_version": "I.1", "encryption": encryption }));
        let mut one = Server::new("one.example");
        one.join(&mut hub, BOB);
        let join = one.lpdu(member(DAN, DAN, "join"));
        let join = hub.append(&join);
        one.receive(&join);
        let (alice, bob, dan) = (device(ALICE), device(BOB), device(DAN));
        for member in [&alice, &bob, &dan] {
            hub.devices.put(member.credential().user_id.clone(), vec![member.credential().clone()]);
        }
        Self { hub, one, layering, alice, bob, dan }
    }

    fn first_commit(&mut self) -> PendingCommit {
        let hub = HubSender::new(&self.hub.me.name, &self.hub.me.key.verify_key());
        let hub = (self.layering == Layering::Bound).then_some(&hub);
        let binding = self.binding(ALICE, &[]);
        self.alice.create_group(&room_id(), self.layering, hub, &binding).unwrap()
    }

    pub(crate) fn binding(&self, sender: &str, added: &[&str]) -> RoomBinding {
        let added: Vec<UserId> = added.iter().map(|id| user(id)).collect();
        RoomBinding { auth_events: self.hub.room.binding_events(&user(sender), &added), member_event: None }
    }

    /// What a member event that is appended together with a commit is to say there.
    fn paired(&self, sender: &str, hash: [u8; 32], own: bool) -> RoomBinding {
        let mut binding = self.binding(sender, &[]);
        if own {
            binding.auth_events.remove(self.hub.room.state().get("m.room.member", sender).unwrap());
        }
        RoomBinding { member_event: Some(hash), ..binding }
    }

    fn add_both(&mut self) -> Event {
        let key_packages = [&mut self.bob, &mut self.dan]
            .map(|member| CheckedKeyPackage::parse(&member.key_package(false).unwrap()).unwrap());
        let binding = self.binding(ALICE, &[BOB, DAN]);
        let plan = CommitPlan { add: key_packages.into(), binding, ..plan(vec![]) };
        let pending = self.alice.commit(&room_id(), plan).unwrap();
        let event = self.hub.send(commit_template(&user(ALICE), &pending.content)).unwrap();
        self.alice.confirm(&room_id(), event.event_id()).unwrap();
        let welcome = WelcomeContent { welcome: pending.welcome.unwrap(), commit_event_id: event.event_id().clone() };
        let tree = self.group().ratchet_tree();
        for member in [&mut self.bob, &mut self.dan] {
            member.join(&room_id(), self.layering, &welcome, &tree).unwrap();
        }
        event
    }

    pub(crate) fn group(&self) -> &HubGroup {
        self.hub.room.group().unwrap()
    }

    pub(crate) fn users(&self) -> Vec<String> {
        let mut users: Vec<_> = self.group().members().map(|device| device.user_id.to_string()).collect();
        users.sort();
        users
    }

    /// Alice's next commit, with fresh keys.
    pub(crate) fn update(&mut self) -> PendingCommit {
        let (queued, binding) = (self.group().queued(), self.binding(ALICE, &[]));
        let plan = CommitPlan { update: true, binding, ..plan(queued) };
        self.alice.commit(&room_id(), plan).unwrap()
    }

    /// Alice's pending commit is in the log.
    pub(crate) fn confirm(&mut self, commit: &EventId) {
        self.alice.confirm(&room_id(), commit).unwrap();
    }

    pub(crate) fn send_pair(&mut self, member: Template, commit: Template) -> Result<Paired, Refusal> {
        let known = self.hub.known(&Default::default());
        let paired = self.hub.room.send_pair(&self.hub.me, member, PairedWith::Template(commit), &known)?;
        self.hub.store(&paired.change);
        Ok(paired)
    }

    /// The group in memory is what is stored.
    pub(crate) fn assert_stored(&mut self) {
        let now = self.group().to_bytes().unwrap();
        assert_eq!(self.hub.groups.values().next_back(), Some(&now));
        self.hub.restart();
        assert_eq!(self.group().to_bytes().unwrap(), now);
    }
}

/// What somebody needs who joins the group by themselves.
pub(crate) fn hub_state(world: &World) -> HubState {
    let group = world.group();
    HubState {
        group_info: group.group_info().to_vec(),
        ratchet_tree: group.ratchet_tree(),
        last_commit: group.last_commit().unwrap().clone(),
    }
}

fn plan(queued: Vec<Vec<u8>>) -> CommitPlan {
    CommitPlan { add: vec![], remove: vec![], queued, update: false, binding: RoomBinding::default() }
}

#[test]
fn commits_make_the_group_and_its_states_are_stored() {
    for layering in [Layering::OnTop, Layering::Bound] {
        let mut world = World::new(layering);
        assert_eq!(world.users(), [ALICE, BOB, DAN]);
        assert_eq!(world.hub.groups.keys().copied().collect::<Vec<_>>(), [1, 2]);
        world.assert_stored();
        // A participant's commit, as an LPDU.
        let binding = world.binding(BOB, &[]);
        let pending = world.bob.commit(&room_id(), CommitPlan { update: true, binding, ..plan(vec![]) }).unwrap();
        let lpdu = world.one.lpdu(commit_template(&user(BOB), &pending.content));
        let event = world.hub.append(&lpdu);
        world.bob.confirm(&room_id(), event.event_id()).unwrap();
        world.alice.process(&room_id(), &pending.content, event.event_id()).unwrap();
        let authenticators = [&mut world.alice, &mut world.bob].map(|m| m.epoch_authenticator(&room_id()).unwrap());
        assert_eq!(authenticators[0], authenticators[1]);
        // The same LPDU again is the same event, and changes nothing.
        let again = world.hub.accept(&lpdu, Route::Transaction).unwrap();
        assert!(matches!(again, Accepted::Duplicate(id) if id == *event.event_id()));
        assert_eq!(world.group().epoch(), 3);
        world.assert_stored();
    }
}

#[test]
fn one_commit_an_epoch() {
    let mut world = World::new(Layering::Bound);
    let pending = world.update();
    let binding = world.binding(BOB, &[]);
    let of_bob = world.bob.commit(&room_id(), CommitPlan { update: true, binding, ..plan(vec![]) }).unwrap();
    world.hub.send(commit_template(&user(ALICE), &pending.content)).unwrap();
    let (head, before) = (world.hub.log.len(), world.group().to_bytes().unwrap());
    let lpdu = world.one.lpdu(commit_template(&user(BOB), &of_bob.content));
    assert_eq!(group_refusal(world.hub.accept(&lpdu, Route::Transaction)), "wrong_epoch");
    assert_eq!(world.hub.log.len(), head);
    assert_eq!(world.group().to_bytes().unwrap(), before);
}

#[test]
fn messages_are_of_members_and_of_this_group() {
    let mut world = World::without_group(Layering::Bound);
    let some_event = world.hub.log[0].event.event_id().clone();
    let message =
        |content: &EncryptedContent| template(ALICE, EncryptedContent::EVENT_TYPE, None, content.to_content().into());
    let early = EncryptedContent { ciphertext: vec![1], commit_event_id: some_event };
    assert_eq!(group_refusal(world.hub.send(message(&early))), "no_group");
    let mut world = World::new(Layering::Bound);
    let content = world.alice.encrypt(&room_id(), b"hello").unwrap();
    world.hub.send(message(&content)).unwrap();
    assert_eq!(group_refusal(world.hub.send(message(&early))), "malformed");
    // An unencrypted room has nothing to check.
    let mut plain = Server::hub("public");
    plain.send(message(&early)).unwrap();
}

#[test]
fn unpublished_and_unknown_devices_do_not_get_in() {
    let mut world = World::without_group(Layering::Bound);
    world.hub.devices = Devices::default();
    let pending = world.first_commit();
    assert_eq!(group_refusal(world.hub.send(commit_template(&user(ALICE), &pending.content))), "device_unknown");
    world.hub.devices.put(user(ALICE), vec![]);
    assert_eq!(group_refusal(world.hub.send(commit_template(&user(ALICE), &pending.content))), "device_invalid");
    assert!(world.hub.room.group().is_none());
}

#[test]
fn what_has_to_be_known_of_devices_is_looked_up() {
    let mut world = World::without_group(Layering::Bound);
    let pending = world.first_commit();
    let event = world.hub.send(commit_template(&user(ALICE), &pending.content)).unwrap();
    world.alice.confirm(&room_id(), event.event_id()).unwrap();
    let key_package = CheckedKeyPackage::parse(&world.dan.key_package(false).unwrap()).unwrap();
    let binding = world.binding(ALICE, &[DAN]);
    let pending = world.alice.commit(&room_id(), CommitPlan { add: vec![key_package], binding, ..plan(vec![]) });
    let message = pending.unwrap().content.message;
    let users: Vec<_> = world.hub.room.devices_for(&user(BOB), &message).into_iter().collect();
    assert_eq!(users, [user(ALICE), user(BOB), user(DAN)]);
    assert!(world.hub.room.devices_for(&user(CAROL), &message).contains(&user(CAROL)), "who may join");
    world.hub.send(template(ALICE, "m.room.join_rules", Some(""), json!({ "join_rule": "invite" }))).unwrap();
    assert!(world.hub.room.devices_for(&user(CAROL), &message).is_empty(), "who may not");
    assert_eq!(hub::added_users(&message).into_iter().collect::<Vec<_>>(), [user(DAN)]);
    for junk in [&[][..], &[0; 40], &message[..60]] {
        assert!(hub::added_users(junk).is_empty());
    }
}

#[test]
fn who_leaves_is_removed_before_anything_else() {
    for layering in [Layering::OnTop, Layering::Bound] {
        let mut world = World::new(layering);
        let leave = world.one.lpdu(member(DAN, DAN, "leave"));
        world.hub.append(&leave);
        // The hub proposes the removal where the group lets it.
        let expected = usize::from(layering == Layering::Bound);
        assert_eq!(world.group().queued().len(), expected);
        world.assert_stored();
        let content = world.dan.encrypt(&room_id(), b"still here?").unwrap();
        let late = world
            .one
            .room
            .make_lpdu(&world.one.me, template(DAN, EncryptedContent::EVENT_TYPE, None, content.to_content().into()));
        assert!(matches!(world.hub.accept(&late.unwrap(), Route::Transaction), Err(Refusal::Forbidden(_))));
        let binding = world.binding(ALICE, &[]);
        let without =
            world.alice.commit(&room_id(), CommitPlan { update: true, binding: binding.clone(), ..plan(vec![]) });
        let refused = world.hub.send(commit_template(&user(ALICE), &without.unwrap().content));
        assert_eq!(group_refusal(refused), "removal_due");
        world.alice.discard(&room_id()).unwrap();
        let queued = world.group().queued();
        let remove = if queued.is_empty() { vec![world.dan.credential().clone()] } else { vec![] };
        let with = world.alice.commit(&room_id(), CommitPlan { remove, binding, ..plan(queued) }).unwrap();
        world.hub.send(commit_template(&user(ALICE), &with.content)).unwrap();
        assert_eq!(world.users(), [ALICE, BOB]);
        world.assert_stored();
    }
}

#[test]
fn a_kick_and_its_commit_are_one() {
    let mut world = World::new(Layering::Bound);
    let kick = member(ALICE, BOB, "leave");
    let event = kick.clone().into_pdu(world.hub.room.version(), &[], &[], &world.hub.me.name, &world.hub.me.key);
    let binding = world.paired(ALICE, event.unwrap().computed_lpdu_hash(), false);
    let remove = vec![world.bob.credential().clone()];
    let pending = world.alice.commit(&room_id(), CommitPlan { remove, binding, ..plan(vec![]) }).unwrap();
    let commit = commit_template(&user(ALICE), &pending.content);
    let before = (world.hub.log.len(), world.group().to_bytes().unwrap());
    // Bound to the kick, it does not come alone; and with another one, neither is appended.
    assert_eq!(group_refusal(world.hub.send(commit.clone())), "removal_not_allowed");
    let other = member(ALICE, DAN, "leave");
    assert_eq!(group_refusal(world.send_pair(other, commit.clone())), "removal_not_allowed");
    let other = Template { origin_server_ts: 1_001, ..kick.clone() };
    assert_eq!(group_refusal(world.send_pair(other, commit.clone())), "wrong_member_event");
    assert_eq!((world.hub.log.len(), world.group().to_bytes().unwrap()), before);
    let paired = world.send_pair(kick, commit).unwrap();
    let timeline = world.hub.timeline();
    let [.., member, commit] = &timeline[..] else { panic!() };
    assert_eq!((member.event_id(), Some(commit.event_id())), (&paired.member, paired.commit.as_ref()));
    assert_eq!(commit.prev_events(), std::slice::from_ref(&paired.member));
    assert_eq!(world.users(), [ALICE, DAN]);
    assert!(world.group().queued().is_empty());
    world.alice.confirm(&room_id(), &paired.commit.unwrap()).unwrap();
    world.assert_stored();
}

#[test]
fn a_participants_kick_and_its_commit_are_one() {
    let mut world = World::new(Layering::Bound);
    let levels = json!({ "users": { ALICE: 100, BOB: 50 } });
    world.hub.send(template(ALICE, "m.room.power_levels", Some(""), levels)).unwrap();
    let before = world.hub.timeline()[5].clone();
    let (version, one) = (world.hub.room.version(), world.one.me.clone());
    let lpdu = |template: Template| template.into_lpdu(version, &name(HUB), &one.name, &one.key).unwrap();
    let kick = lpdu(member(BOB, DAN, "leave"));
    let binding = world.paired(BOB, *kick.lpdu_hash().unwrap(), false);
    let remove = vec![world.dan.credential().clone()];
    let pending = world.bob.commit(&room_id(), CommitPlan { remove, binding, ..plan(vec![]) }).unwrap();
    let commit = lpdu(commit_template(&user(BOB), &pending.content));
    let known = world.hub.known_for(&commit);
    let (kick, commit) = (verified(&kick), verified(&commit));
    let (me, origin) = (world.hub.me.clone(), name("one.example"));
    let pair = |world: &mut World, origin: &ServerName| {
        world.hub.room.accept_pair(&me, &kick, PairedWith::Lpdu(&commit), origin, &known)
    };
    assert!(matches!(pair(&mut world, &name("two.example")), Err(Refusal::Forbidden(_))));
    let paired = pair(&mut world, &origin).unwrap();
    world.hub.store(&paired.change);
    assert_eq!(world.users(), [ALICE, BOB]);
    // Asked for again, it is the same, and nothing changes. With another commit it is not.
    let again = pair(&mut world, &origin).unwrap();
    assert_eq!((&again.member, &again.commit), (&paired.member, &paired.commit));
    assert!(again.change.is_empty());
    let other = lpdu(Template { origin_server_ts: 1_001, ..commit_template(&user(BOB), &pending.content) });
    let other = world.hub.room.accept_pair(&me, &kick, PairedWith::Lpdu(&verified(&other)), &origin, &known);
    assert!(matches!(other, Err(Refusal::Unfit(_))), "{other:?}");
    // What the participant has got of it is in the hub's order.
    for event in world.hub.timeline().iter().skip_while(|event| event.event_id() != before.event_id()).skip(1) {
        world.one.receive(event);
    }
    assert_eq!(world.one.room.head().map(|head| &head.event_id), paired.commit.as_ref());
    world.assert_stored();
}

#[test]
fn who_leaves_says_so_to_the_group() {
    let mut world = World::new(Layering::Bound);
    let (version, one) = (world.hub.room.version(), world.one.me.clone());
    let leave = member(BOB, BOB, "leave").into_lpdu(version, &name(HUB), &one.name, &one.key).unwrap();
    let binding = world.paired(BOB, *leave.lpdu_hash().unwrap(), true);
    let proposal = world.bob.leave(&room_id(), &binding).unwrap();
    let (me, origin, sender) = (world.hub.me.clone(), name("one.example"), user(BOB));
    let known = world.hub.known_for(&leave);
    let with = PairedWith::Proposal(&sender, &proposal);
    let paired = world.hub.room.accept_pair(&me, &verified(&leave), with, &origin, &known).unwrap();
    world.hub.store(&paired.change);
    assert_eq!(paired.commit, None);
    // Its own, and the hub proposes no second one.
    assert_eq!(world.group().queued(), [proposal.message]);
    let pending = world.update();
    world.hub.send(commit_template(&user(ALICE), &pending.content)).unwrap();
    assert_eq!(world.users(), [ALICE, DAN]);
    world.assert_stored();
}

#[test]
fn an_invite_or_a_text_is_not_paired() {
    let mut world = World::new(Layering::Bound);
    let pending = world.update();
    let commit = commit_template(&user(ALICE), &pending.content);
    let invite = member(ALICE, "@eve:hub.example", "invite");
    assert!(matches!(world.send_pair(invite, commit.clone()), Err(Refusal::Unfit(_))));
    let text = message(ALICE, "hello");
    assert!(matches!(world.send_pair(member(ALICE, BOB, "ban"), text), Err(Refusal::Unfit(_))));
    // Who may not ban, does not with a commit either.
    let (version, one) = (world.hub.room.version(), world.one.me.clone());
    let ban = member(BOB, ALICE, "ban").into_lpdu(version, &name(HUB), &one.name, &one.key).unwrap();
    let commit = commit_template(&user(BOB), &pending.content).into_lpdu(version, &name(HUB), &one.name, &one.key);
    let (commit, known) = (verified(&commit.unwrap()), world.hub.known(&Default::default()));
    let refused = world.hub.room.accept_pair(
        &world.hub.me,
        &verified(&ban),
        PairedWith::Lpdu(&commit),
        &name("one.example"),
        &known,
    );
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
}

#[test]
fn proposals_wait_and_are_stored() {
    let mut world = World::new(Layering::Bound);
    let binding = world.binding(BOB, &[]);
    let proposal = world.bob.propose_update(&room_id(), &binding).unwrap();
    let known = world.hub.known(&Default::default());
    let change = world.hub.room.propose(&user(BOB), &proposal, &known).unwrap();
    world.hub.store(&change);
    assert_eq!(world.group().queued(), std::slice::from_ref(&proposal.message));
    world.assert_stored();
    assert_eq!(group_refusal(world.hub.room.propose(&user(DAN), &proposal, &known)), "wrong_sender");
    let junk = ProposalContent { message: vec![1, 2, 3] };
    assert_eq!(group_refusal(world.hub.room.propose(&user(BOB), &junk, &known)), "malformed");
    assert!(matches!(world.one.room.propose(&user(BOB), &proposal, &known), Err(Refusal::NotHub(_))));
    let binding = world.binding(ALICE, &[]);
    let without = world.alice.commit(&room_id(), CommitPlan { update: true, binding, ..plan(vec![]) }).unwrap();
    let refused = world.hub.send(commit_template(&user(ALICE), &without.content));
    assert_eq!(group_refusal(refused), "proposals_missing");
}

#[test]
fn reports_take_the_group_back() {
    let mut world = World::new(Layering::Bound);
    let pending = world.update();
    let event = world.hub.send(commit_template(&user(ALICE), &pending.content)).unwrap();
    let report = |member: &Member| {
        Report::parse(&member.report(&room_id(), 3, &pending.content.message, Verdict::CannotApply).to_json()).unwrap()
    };
    let (me, known) = (world.hub.me.clone(), world.hub.known(&Default::default()));
    let (bob, dan) = (report(&world.bob), report(&world.dan));
    let Reported::Kept(change) = world.hub.room.report(&me, bob, None, &known).unwrap() else { panic!() };
    world.hub.store(&change);
    assert!(matches!(world.hub.room.report(&me, dan.clone(), None, &known).unwrap(), Reported::NeedsEpoch(2)));
    let before = world.hub.groups[&2].clone();
    let Reported::RolledBack(2, change) = world.hub.room.report(&me, dan, Some(&before), &known).unwrap() else {
        panic!()
    };
    world.hub.store(&change);
    assert_eq!(world.hub.groups.keys().copied().collect::<Vec<_>>(), [1, 2]);
    let quarantine: Vec<&Credential> = world.group().quarantine().iter().collect();
    assert_eq!(quarantine, [world.alice.credential()]);
    assert_eq!(world.group().epoch(), 2);
    assert!(world.hub.timeline().iter().any(|other| other.event_id() == event.event_id()), "the log stays");
    world.assert_stored();
}

#[test]
fn a_group_begins_once() {
    let mut world = World::new(Layering::Bound);
    let mut other = device(ALICE);
    let binding = world.binding(ALICE, &[]);
    let pending = other.create_group(&room_id(), Layering::Bound, None, &binding).unwrap();
    let refused = world.hub.send(commit_template(&user(ALICE), &pending.content));
    assert_eq!(group_refusal(refused), "wrong_epoch");
    let as_state = Template { state_key: Some(String::new()), ..commit_template(&user(ALICE), &pending.content) };
    assert_eq!(group_refusal(world.hub.send(as_state)), "malformed");
}

#[test]
fn a_participant_notices_what_its_hub_should_not_have_let_in() {
    let mut world = World::new(Layering::Bound);
    // Everything that an honest hub lets in is fine; kicks with their commits, too.
    let honest = |world: &mut World, server: &mut Server| {
        for event in world.hub.timeline() {
            let Received::Appended(change) = server.receive(&event) else { continue };
            assert_eq!(change.faults, []);
        }
    };
    let mut one = std::mem::replace(&mut world.one, Server::new("one.example"));
    honest(&mut world, &mut one);
    kick_bob_or_dan(&mut world, DAN);
    honest(&mut world, &mut one);
    assert_eq!(one.room.head().map(|head| &head.event_id), world.hub.room.head().map(|head| &head.event_id));
    // What follows is signed by the hub, and not checked by it.
    let commit = |world: &mut World, plan: CommitPlan| {
        let pending = world.alice.commit(&room_id(), plan).unwrap();
        world.alice.discard(&room_id()).unwrap();
        commit_template(&user(ALICE), &pending.content)
    };
    let binding = world.binding(ALICE, &[DAN]);
    let key_package = CheckedKeyPackage::parse(&world.dan.key_package(false).unwrap()).unwrap();
    let outsider = commit(&mut world, CommitPlan { add: vec![key_package], binding, ..plan(vec![]) });
    let mut binding = world.binding(ALICE, &[]);
    binding.auth_events.pop_last();
    let elsewhere = commit(&mut world, CommitPlan { update: true, binding, ..plan(vec![]) });
    let binding = RoomBinding { member_event: Some([7; 32]), ..world.binding(ALICE, &[]) };
    let alone = commit(&mut world, CommitPlan { update: true, binding, ..plan(vec![]) });
    let unbound = commit(&mut world, CommitPlan { update: true, ..plan(vec![]) });
    let malformed = template(ALICE, CommitContent::EVENT_TYPE, None, json!({ "message": 1 }));
    let expected = [
        (outsider, "@dan:one.example is not joined"),
        (elsewhere, "other events"),
        (alone, "does not follow"),
        (unbound, "other events"),
        (malformed, "malformed"),
    ];
    for (template, text) in expected {
        let auth_events = template.select_auth_events(one.room.state());
        let parents = [one.room.head().unwrap().event_id.clone()];
        let hub = &world.hub.me;
        let event = template.into_pdu(one.room.version(), &auth_events, &parents, &hub.name, &hub.key).unwrap();
        let Received::Appended(change) = one.receive(&event) else { panic!("{text}") };
        let [fault] = &change.faults[..] else { panic!("{text}: {:?}", change.faults) };
        assert!(matches!(&fault.kind, FaultKind::GroupCommit(reason) if reason.contains(text)), "{fault:?}");
        assert!(fault.kind.is_proof());
    }
}

#[test]
fn a_participant_that_starts_again_between_a_kick_and_its_commit_blames_nobody() {
    let mut world = World::new(Layering::Bound);
    let mut one = std::mem::replace(&mut world.one, Server::new("one.example"));
    kick_bob_or_dan(&mut world, DAN);
    for event in world.hub.timeline() {
        one.restart();
        let Received::Appended(change) = one.receive(&event) else { continue };
        assert_eq!(change.faults, []);
    }
    assert_eq!(one.room.head().map(|head| &head.event_id), world.hub.room.head().map(|head| &head.event_id));
}

/// Alice kicks somebody together with the commit that removes their device.
fn kick_bob_or_dan(world: &mut World, who: &str) {
    let kick = member(ALICE, who, "leave");
    let event = kick.clone().into_pdu(world.hub.room.version(), &[], &[], &world.hub.me.name, &world.hub.me.key);
    let binding = world.paired(ALICE, event.unwrap().computed_lpdu_hash(), false);
    let device = if who == BOB { &world.bob } else { &world.dan };
    let remove = vec![device.credential().clone()];
    let pending = world.alice.commit(&room_id(), CommitPlan { remove, binding, ..plan(vec![]) }).unwrap();
    let paired = world.send_pair(kick, commit_template(&user(ALICE), &pending.content)).unwrap();
    world.alice.confirm(&room_id(), &paired.commit.unwrap()).unwrap();
}

#[test]
fn commits_stay_whoever_redacts_them() {
    let mut world = World::new(Layering::Bound);
    let redact = |id: &str| template(ALICE, "m.room.redaction", None, json!({ "redacts": id }));
    let text = world.hub.send(message(ALICE, "hello")).unwrap();
    world.hub.send(redact(text.event_id().as_str())).unwrap();
    let commit = world.group().last_commit().unwrap().clone();
    world.hub.send(redact(commit.as_str())).unwrap();
    let redacted: Vec<_> = world.hub.log.iter().filter_map(|placed| placed.redacts.clone()).collect();
    assert_eq!(redacted, [text.event_id().clone()]);
}

#[test]
fn a_device_that_joins_by_itself_does_not_end_a_removal() {
    let mut world = World::new(Layering::Bound);
    let leave = world.one.lpdu(member(DAN, DAN, "leave"));
    world.hub.append(&leave);
    assert_eq!(world.group().queued().len(), 1);
    // Bob has lost his keys, and takes his own place.
    let mut bob = device(BOB);
    let binding = world.binding(BOB, &[BOB]);
    let pending = bob.join_external(&room_id(), Layering::Bound, &hub_state(&world), &binding).unwrap();
    let lpdu = world.one.lpdu(commit_template(&user(BOB), &pending.content));
    world.hub.append(&lpdu);
    assert_eq!(world.users(), [ALICE, BOB, DAN]);
    assert_eq!(world.group().queued().len(), 1, "the hub proposes it again");
    world.assert_stored();
}
