//! Encrypted rooms over three servers: the hub orders the commits of clients that speak to their own servers only.

use axle_mls::hub::{Verdict, without_adds_of};
use axle_mls::member::CommitPlan;
use axle_mls::{DeviceKey, Layering, Member};
use axle_protocol::{EventId, RoomId};
use axle_server::Server;
use serde_json::{Value, json};

use crate::people::Person;
use crate::phone::{Phone, path};
use crate::setup::Setup;
use crate::world::{BOB, HUB, OTHER, World, key, member};

/// A room of alice's, on the hub, with bob and carol of a server each; all have a device in the group.
struct Room {
    id: RoomId,
    layering: Layering,
    alice: Phone,
    bob: Phone,
    carol: Phone,
    servers: Vec<Server>,
    setup: Setup,
}

impl Room {
    async fn new(layering: Layering) -> Self {
        let setup = Setup::new(&[HUB, "one.test", "two.test"]);
        let (hub, one, two) = (setup.start(0).await, setup.start(1).await, setup.start(2).await);
        let mut alice = Phone::register(&hub, "alice").await;
        let (mut bob, mut carol) = (Phone::register(&one, "bob").await, Phone::register(&two, "carol").await);
        let levels = json!({alice.user_id(): 100, bob.user_id(): 50});
        let id = alice.create_room(layering, levels).await;
        bob.join(&id, HUB).await;
        carol.join(&id, HUB).await;
        alice.add(&id, &bob.person).await.unwrap();
        bob.join_group(&id, layering).await;
        // A participant's user adds another one's: of neither device has the hub heard before.
        let commit = bob.add(&id, &carol.person).await.unwrap();
        carol.join_group(&id, layering).await;
        alice.follow(&id, &commit).await;
        Self { id, layering, alice, bob, carol, servers: vec![hub, one, two], setup }
    }

    fn phones(&mut self) -> [&mut Phone; 3] {
        [&mut self.alice, &mut self.bob, &mut self.carol]
    }

    async fn end(self) {
        for server in self.servers {
            server.stop().await;
        }
    }
}

/// The last events of a room as somebody sees it, oldest first: (id, type).
async fn last(phone: &Phone, room: &RoomId, count: usize) -> Vec<(String, String)> {
    let page = phone.person.get(&format!("rooms/{room}/messages?dir=b&limit={count}")).await;
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let events = page["chunk"].as_array().unwrap().iter().rev();
    events.map(|event| (text(event, "event_id"), text(event, "type"))).collect()
}

fn as_log(member: &EventId, commit: &EventId) -> Vec<(String, String)> {
    let entry = |id: &EventId, kind: &str| (id.to_string(), kind.to_owned());
    vec![entry(member, "m.room.member"), entry(commit, "m.mls.commit")]
}

#[tokio::test]
async fn devices_of_three_servers_speak_to_each_other() {
    for layering in [Layering::Bound, Layering::OnTop] {
        let mut room = Room::new(layering).await;
        let id = room.id.clone();
        for from in 0..3 {
            let said = room.phones()[from].say(&id, "hello").await.unwrap();
            for (to, phone) in room.phones().into_iter().enumerate().filter(|(to, _)| *to != from) {
                assert_eq!(phone.hear(&id, &said).await, "hello", "from {from} to {to}");
            }
        }
        let seen: Vec<Vec<u8>> =
            room.phones().into_iter().map(|phone| phone.member.epoch_authenticator(&id).unwrap()).collect();
        assert!(seen[0] == seen[1] && seen[1] == seen[2], "all are in the same group");
        for phone in [&room.alice, &room.bob, &room.carol] {
            let group = phone.group_now(&id).await;
            assert_eq!((&group["epoch"], &group["layering"]), (&json!(3), &json!(layering.as_str())));
            assert_eq!(group["removals_due"], json!([]));
        }
        room.end().await;
    }
}

#[tokio::test]
async fn a_kick_by_the_hubs_user_is_one_with_its_commit() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let (kick, commit) = room.alice.remove(&id, &room.carol, "leave").await.unwrap();
    room.bob.follow(&id, &commit).await;
    for phone in [&room.alice, &room.bob] {
        assert_eq!(last(phone, &id, 2).await, as_log(&kick, &commit));
    }
    assert_eq!(room.bob.member.members(&id).unwrap().len(), 2);
    let said = room.alice.say(&id, "without her").await.unwrap();
    assert_eq!(room.bob.hear(&id, &said).await, "without her");
    // She is out of both at once, and is told nothing any more.
    room.carol.event(&id, &kick).await;
    assert_eq!(room.carol.group(&id).await.0, 403);
    room.end().await;
}

#[tokio::test]
async fn a_ban_by_a_participants_user_is_one_with_its_commit() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    // Carol may not, and then neither is appended.
    let before = last(&room.carol, &id, 1).await;
    assert_eq!(room.carol.remove(&id, &room.bob, "ban").await, Err("403 M_FORBIDDEN".into()));
    assert_eq!(last(&room.alice, &id, 1).await, before);
    let (ban, commit) = room.bob.remove(&id, &room.carol, "ban").await.unwrap();
    // It is there already when the client is answered.
    assert_eq!(last(&room.bob, &id, 2).await, as_log(&ban, &commit));
    room.alice.follow(&id, &commit).await;
    assert_eq!(last(&room.alice, &id, 2).await, as_log(&ban, &commit));
    let carol = room.carol.user_id();
    assert_eq!(room.alice.person.membership(&id, carol).await.as_deref(), Some("ban"));
    let said = room.bob.say(&id, "without her").await.unwrap();
    assert_eq!(room.alice.hear(&id, &said).await, "without her");
    room.end().await;
}

#[tokio::test]
async fn who_is_kicked_is_not_added_by_what_waits() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let eve = Phone::register(&room.servers[2], "eve").await;
    eve.join(&id, HUB).await;
    // Carol proposes to add her, and takes new keys.
    let package = room.carol.claim(&eve.person).await;
    let binding = room.carol.prepare(&id, json!({"add": [eve.user_id()]})).await.binding;
    let add = room.carol.member.propose_add(&id, package, &binding).unwrap();
    room.carol.propose(&id, &add).await.unwrap();
    let binding = room.carol.prepare(&id, json!({})).await.binding;
    let update = room.carol.member.propose_update(&id, &binding).unwrap();
    room.carol.propose(&id, &update).await.unwrap();
    let waiting = room.bob.queued(&id).await;
    assert_eq!(waiting, [add.message, update.message.clone()]);
    // Nothing of what waits may be left out of a commit; but who is put out with it cannot be added by it.
    let whom = room.carol.member.credential().user_id.clone();
    assert_eq!(without_adds_of(&whom, waiting.clone()), waiting);
    let refused = room.bob.put_out(&id, eve.user_id(), "leave", (vec![], waiting.clone())).await;
    assert_eq!(refused, Err("NOT_JOINED".into()));
    let refused = room.bob.put_out(&id, eve.user_id(), "leave", (vec![], vec![])).await;
    assert_eq!(refused, Err("PROPOSALS_MISSING".into()));
    let without = without_adds_of(&eve.member.credential().user_id, waiting);
    assert_eq!(without, [update.message]);
    let (_, commit) = room.bob.put_out(&id, eve.user_id(), "leave", (vec![], without)).await.unwrap();
    for phone in [&mut room.alice, &mut room.carol] {
        phone.follow(&id, &commit).await;
    }
    let said = room.carol.say(&id, "among us three").await.unwrap();
    assert_eq!(room.alice.hear(&id, &said).await, "among us three");
    assert_eq!(room.alice.queued(&id).await, Vec::<Vec<u8>>::new());
    room.end().await;
}

#[tokio::test]
async fn a_join_of_the_room_and_of_its_group_are_one() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    // Of the hub, and of a server that is in the room already.
    for which in 0..2 {
        let mut eve = Phone::register(&room.servers[which], "eve").await;
        let (join, commit) = eve.enter(&id).await.unwrap();
        for phone in room.phones() {
            phone.follow(&id, &commit).await;
        }
        for phone in [&room.alice, &eve] {
            assert_eq!(last(phone, &id, 2).await, as_log(&join, &commit), "of {which}");
        }
        let said = eve.say(&id, "here I am").await.unwrap();
        assert_eq!(room.carol.hear(&id, &said).await, "here I am");
        // Who is in does not enter.
        let member = json!({"member": {"user_id": eve.user_id(), "membership": "join"}});
        assert_eq!(eve.person.post(&path(&id, "binding"), member).await.0, 403);
    }
    // Where only who is invited may join, others do not get the state of the group, nor in.
    let rule = json!({"join_rule": "invite"});
    room.alice.person.put(&format!("rooms/{id}/state/m.room.join_rules"), rule).await;
    let before = last(&room.alice, &id, 1).await;
    let mut frank = Phone::register(&room.servers[0], "frank").await;
    assert_eq!(frank.group(&id).await.0, 403);
    let member = json!({"member": {"user_id": frank.user_id(), "membership": "join"}});
    assert_eq!(frank.person.post(&path(&id, "binding"), member).await.0, 403);
    let invite = json!({"user_id": frank.user_id()});
    assert_eq!(room.alice.person.post(&format!("rooms/{id}/invite"), invite).await.0, 200);
    let (join, commit) = frank.enter(&id).await.unwrap();
    assert_ne!(last(&room.alice, &id, 1).await, before);
    assert_eq!(last(&room.alice, &id, 2).await, as_log(&join, &commit));
    room.end().await;
}

#[tokio::test]
async fn who_leaves_is_removed_by_the_next_commit() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let leave = room.carol.leave(&id).await.unwrap();
    assert_eq!(room.alice.person.membership(&id, room.carol.user_id()).await.as_deref(), Some("leave"));
    room.bob.event(&id, &leave).await;
    let group = room.bob.group_now(&id).await;
    assert_eq!(group["proposals"].as_array().unwrap().len(), 1);
    let due = json!([{"user_id": room.carol.user_id(), "device_id": room.carol.person.device_id}]);
    assert_eq!(group["removals_due"], due);
    // A commit without it is refused, also one that comes from a participant.
    let plan = room.bob.update_plan(&id).await;
    let without = CommitPlan { queued: Vec::new(), ..plan.clone() };
    let refused = room.bob.commit(&id, without).await.unwrap_err();
    assert!(["REMOVAL_DUE", "PROPOSALS_MISSING"].contains(&&*refused), "{refused}");
    let commit = room.bob.commit(&id, plan).await.unwrap();
    room.alice.follow(&id, &commit).await;
    let group = room.alice.group_now(&id).await;
    assert_eq!((&group["proposals"], &group["removals_due"]), (&json!([]), &json!([])));
    assert_eq!(room.alice.member.members(&id).unwrap().len(), 2);
    room.end().await;
}

#[tokio::test]
async fn of_two_commits_for_an_epoch_one_wins() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let (plan, late) = (room.alice.update_plan(&id).await, room.bob.update_plan(&id).await);
    let won = room.alice.commit(&id, plan).await.unwrap();
    // The loser's, an LPDU, is refused by the hub; its client learns why, and makes another one.
    assert_eq!(room.bob.commit(&id, late).await, Err("WRONG_EPOCH".into()));
    room.bob.follow(&id, &won).await;
    let plan = room.bob.update_plan(&id).await;
    let commit = room.bob.commit(&id, plan).await.unwrap();
    // Of the hub's own user, likewise.
    let late = CommitPlan { update: true, ..room.alice.update_plan(&id).await };
    assert_eq!(room.alice.commit(&id, late).await, Err("WRONG_EPOCH".into()));
    room.alice.follow(&id, &commit).await;
    // A ban whose commit leaves the device in the group is refused as a whole.
    let before = last(&room.alice, &id, 1).await;
    let plan = room.alice.update_plan(&id).await;
    let binding =
        room.alice.prepare(&id, json!({"member": {"user_id": room.carol.user_id(), "membership": "ban"}})).await;
    let pending = room.alice.member.commit(&id, plan).unwrap();
    let body = json!({"member": binding.member, "commit": pending.content.to_content()});
    let (status, answer) = room.alice.person.post(&path(&id, "pair"), body).await;
    assert_eq!((status, &answer["errcode"]), (409, &json!("IM.AXLE.MLS.REMOVAL_DUE")), "{answer}");
    assert_eq!(last(&room.alice, &id, 1).await, before);
    room.end().await;
}

#[tokio::test]
async fn commits_have_to_fit_the_room() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let eve = Phone::register(&room.servers[2], "eve").await;
    for which in 0..2 {
        let phone = &mut *room.phones().into_iter().nth(which).unwrap();
        assert_eq!(phone.add(&id, &eve.person).await, Err("NOT_JOINED".into()), "of {which}");
        let plan = phone.update_plan(&id).await;
        let unbound = CommitPlan { binding: Default::default(), ..plan };
        assert_eq!(phone.commit(&id, unbound).await, Err("WRONG_AUTH_EVENTS".into()), "of {which}");
    }
    // A device that thinks that the room is not bound binds nothing.
    eve.join(&id, HUB).await;
    let mut eve = eve;
    assert_eq!(eve.join_by_itself(&id, Layering::OnTop).await, Err("UNBOUND".into()));
    eve.join_by_itself(&id, Layering::Bound).await.unwrap();
    room.end().await;
}

#[tokio::test]
async fn a_device_of_which_the_hub_can_learn_nothing() {
    let setup = Setup::new(&[HUB, "one.test", "two.test"]);
    let (hub, one, two) = (setup.start(0).await, setup.start(1).await, setup.start(2).await);
    let mut alice = Phone::register(&hub, "alice").await;
    let (mut bob, carol) = (Phone::register(&one, "bob").await, Phone::register(&two, "carol").await);
    let id = alice.create_room(Layering::Bound, json!({alice.user_id(): 100})).await;
    bob.join(&id, HUB).await;
    carol.join(&id, HUB).await;
    alice.add(&id, &bob.person).await.unwrap();
    bob.join_group(&id, Layering::Bound).await;
    let add = vec![bob.claim(&carol.person).await];
    two.stop().await;
    let binding = bob.prepare(&id, json!({"add": [carol.user_id()]})).await.binding;
    let plan = CommitPlan { add, binding, ..CommitPlan::default() };
    assert_eq!(bob.commit(&id, plan).await, Err("DEVICE_UNKNOWN".into()));
    // It holds up nobody else.
    let plan = alice.update_plan(&id).await;
    let commit = alice.commit(&id, plan).await.unwrap();
    bob.follow(&id, &commit).await;
    hub.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn who_is_kicked_the_ordinary_way_has_to_be_removed_first() {
    let mut room = Room::new(Layering::OnTop).await;
    let id = room.id.clone();
    let body = json!({"user_id": room.carol.user_id()});
    assert_eq!(room.bob.person.post(&format!("rooms/{id}/kick"), body).await.0, 200);
    let plan = room.bob.update_plan(&id).await;
    assert_eq!(room.bob.commit(&id, plan.clone()).await, Err("REMOVAL_DUE".into()));
    let remove = vec![room.carol.member.credential().clone()];
    let commit = room.bob.commit(&id, CommitPlan { remove, ..plan }).await.unwrap();
    room.alice.follow(&id, &commit).await;
    assert_eq!(room.alice.member.members(&id).unwrap().len(), 2);
    room.end().await;
}

#[tokio::test]
async fn proposals_wait_at_the_hub() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let binding = room.carol.prepare(&id, json!({})).await.binding;
    let proposal = room.carol.member.propose_update(&id, &binding).unwrap();
    room.carol.propose(&id, &proposal).await.unwrap();
    // It is hers alone.
    assert_eq!(room.bob.propose(&id, &proposal).await, Err("WRONG_SENDER".into()));
    assert_eq!(room.alice.queued(&id).await, [proposal.message]);
    let plan = room.alice.update_plan(&id).await;
    let without = CommitPlan { queued: Vec::new(), ..plan.clone() };
    assert_eq!(room.alice.commit(&id, without).await, Err("PROPOSALS_MISSING".into()));
    let commit = room.alice.commit(&id, plan).await.unwrap();
    for phone in [&mut room.bob, &mut room.carol] {
        phone.follow(&id, &commit).await;
    }
    let said = room.carol.say(&id, "with new keys").await.unwrap();
    assert_eq!(room.bob.hear(&id, &said).await, "with new keys");
    room.end().await;
}

#[tokio::test]
async fn a_commit_that_nobody_can_apply_is_taken_back() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let plan = room.alice.update_plan(&id).await;
    let commit = room.alice.commit(&id, plan).await.unwrap();
    assert_eq!(room.bob.report(&id, &commit, Verdict::CannotApply).await, Ok(json!({})));
    assert_eq!(room.carol.report(&id, &commit, Verdict::CannotApply).await, Ok(json!({"rolled_back_to": 3})));
    let group = room.bob.group_now(&id).await;
    assert_eq!(group["epoch"], 3);
    let quarantine = json!([{"user_id": room.alice.user_id(), "device_id": room.alice.person.device_id}]);
    assert_eq!(group["quarantine"], quarantine);
    // The others go on from there.
    let plan = room.bob.update_plan(&id).await;
    let commit = room.bob.commit(&id, plan).await.unwrap();
    room.carol.follow(&id, &commit).await;
    let said = room.carol.say(&id, "on we go").await.unwrap();
    assert_eq!(room.bob.hear(&id, &said).await, "on we go");
    room.end().await;
}

#[tokio::test]
async fn strangers_and_their_servers_are_told_nothing() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let commit = room.alice.group_now(&id).await["commit_event_id"].as_str().unwrap().to_owned();
    // In a room that everybody may join, everybody may join the group.
    let rule = json!({"join_rule": "invite"});
    let rule = room.alice.person.put(&format!("rooms/{id}/state/m.room.join_rules"), rule).await;
    room.bob.event(&id, &EventId::parse(rule["event_id"].as_str().unwrap()).unwrap()).await;
    let mallory =
        Person::register(room.servers[1].addresses(axle_server::listen::Api::Client).next().unwrap(), "mallory").await;
    for at in ["group".to_owned(), format!("group?commit={commit}")] {
        let (status, answer) = mallory.try_get(&path(&id, &at)).await;
        assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")), "{answer}");
    }
    let (status, _) = mallory.post(&path(&id, "binding"), json!({})).await;
    assert_eq!(status, 403);
    let binding = room.bob.prepare(&id, json!({})).await.binding;
    let proposal = room.bob.member.propose_update(&id, &binding).unwrap();
    let (status, _) = mallory.post(&path(&id, "proposals"), proposal.to_content().into()).await;
    assert_eq!(status, 403);
    room.end().await;
}

#[tokio::test]
async fn a_hub_that_does_not_answer() {
    let mut room = Room::new(Layering::Bound).await;
    let id = room.id.clone();
    let plan = room.bob.update_plan(&id).await;
    let carol = json!({"user_id": room.carol.user_id(), "membership": "leave"});
    let kick = room.bob.prepare(&id, json!({ "member": carol })).await;
    let pending = room.bob.member.commit(&id, CommitPlan { binding: kick.binding, ..plan }).unwrap();
    let binding = room.carol.prepare(&id, json!({})).await.binding;
    let proposal = room.carol.member.propose_update(&id, &binding).unwrap();
    room.servers.remove(0).stop().await;
    let (status, answer) = room.bob.group(&id).await;
    assert_eq!((status, &answer["errcode"]), (504, &json!("M_UNKNOWN")), "{answer}");
    let body = json!({"member": kick.member, "commit": pending.content.to_content()});
    let (status, answer) = room.bob.person.post(&path(&id, "pair"), body).await;
    assert_eq!((status, &answer["errcode"]), (504, &json!("M_UNKNOWN")), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains(HUB), "{answer}");
    assert_eq!(room.carol.propose(&id, &proposal).await, Err("504 M_UNKNOWN".into()));
    // When it is there again, it goes on with what it had.
    room.servers.insert(0, room.setup.start(0).await);
    assert_eq!(room.bob.group_now(&id).await["epoch"], 3);
    room.carol.propose(&id, &proposal).await.unwrap();
    assert_eq!(room.alice.group_now(&id).await["proposals"].as_array().unwrap().len(), 1);
    assert_eq!(room.layering, Layering::Bound);
    room.end().await;
}

const GROUPS: &str = "/_matrix/federation/unstable/im.axle.mls.v1";

/// What other servers ask the hub for: `a.test`, whose bob may be in the room, and `b.test`, which has nobody there.
#[tokio::test]
async fn only_servers_in_the_room_are_answered() {
    let world = World::new().await;
    let mut alice = Phone::register(&world.server, "anna").await;
    let room = alice.create_room(Layering::Bound, json!({alice.user_id(): 100})).await;
    let group = format!("{GROUPS}/group/{room}");
    let proposal = json!({"sender": BOB, "message": "AAAA"}).to_string();
    world.get(&group).await.fails(403, "M_FORBIDDEN");
    world.call("POST", &format!("{GROUPS}/proposals/{room}"), proposal.clone()).await.fails(403, "M_FORBIDDEN");
    let ban = member(&room, BOB, "leave");
    let commit = json!({"member": serde_json::from_str::<Value>(ban.json()).unwrap(), "proposal": {"sender": BOB, "message": "AAAA"}});
    let answer = world.call("POST", &format!("{GROUPS}/pair/{room}"), commit.to_string()).await;
    assert!(matches!(answer.status, 403 | 404), "{}", answer.text);
    let key_of_nobody = DeviceKey::from_seed(axle_protocol::UserId::parse(BOB).unwrap(), "A", &[1; 32]).unwrap();
    let device = Member::open(key_of_nobody, axle_mls::member::MemoryStore::default());
    let report: Value = serde_json::from_str(&device.report(&room, 1, b"x", Verdict::Applied).to_json()).unwrap();
    let report = json!({ "report": report }).to_string();
    world.call("POST", &format!("{GROUPS}/reports/{room}"), report).await.fails(403, "M_FORBIDDEN");
    let nowhere = format!("{GROUPS}/group/!nowhere:{HUB}");
    world.get(&nowhere).await.fails(404, "M_NOT_FOUND");

    world.handshake("join", &member(&room, BOB, "join")).await.ok();
    let state = world.get(&group).await.ok();
    assert_eq!((&state["epoch"], &state["layering"]), (&json!(1), &json!("bound")));
    let at = format!("{group}?commit={}", state["commit_event_id"].as_str().unwrap());
    assert_eq!(world.get(&at).await.ok()["ratchet_tree"], state["ratchet_tree"]);
    world.get(&format!("{group}?commit=$other")).await.fails(404, "M_NOT_FOUND");
    let junk = world.call("POST", &format!("{GROUPS}/proposals/{room}"), proposal).await;
    assert_eq!(junk.status, 409, "{}", junk.text);
    let other = crate::support::Ask::get(&group).signed_by(OTHER, HUB, &key(OTHER));
    world.send(other).await.fails(403, "M_FORBIDDEN");
}
