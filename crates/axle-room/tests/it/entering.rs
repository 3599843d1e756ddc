//! Who joins an encrypted room and its group with one stroke.

use axle_mls::Layering;
use axle_mls::event::RoomBinding;
use axle_protocol::event::Template;
use axle_room::{PairedWith, Refusal};
use serde_json::json;

use crate::groups::*;
use crate::world::*;

/// What a member event is known by before the hub has finished it.
fn hash_of(world: &World, member: &Template) -> [u8; 32] {
    let me = &world.hub.me;
    let event = member.clone().into_pdu(world.hub.room.version(), &[], &[], &me.name, &me.key).unwrap();
    event.computed_lpdu_hash()
}

#[test]
fn a_join_and_its_commit_are_one() {
    const ERIN: &str = "@erin:hub.example";
    let mut world = World::new(Layering::Bound);
    let mut erin = device(ERIN);
    world.hub.devices.put(user(ERIN), vec![erin.credential().clone()]);
    let join = member(ERIN, ERIN, "join");
    let hash = hash_of(&world, &join);
    let (length, epoch) = (world.hub.log.len(), world.group().epoch());

    // Bound to the member event of before, there being none.
    let alone = world.binding(ERIN, &[ERIN]);
    let pending = erin.join_external(&room_id(), Layering::Bound, &hub_state(&world), &alone).unwrap();
    let refused = world.send_pair(join.clone(), commit_template(&user(ERIN), &pending.content));
    assert_eq!(group_refusal(refused), "wrong_member_event");
    assert_eq!((world.hub.log.len(), world.group().epoch()), (length, epoch), "neither is appended");

    let binding = RoomBinding { member_event: Some(hash), ..alone };
    let pending = erin.join_external(&room_id(), Layering::Bound, &hub_state(&world), &binding).unwrap();
    let paired = world.send_pair(join.clone(), commit_template(&user(ERIN), &pending.content)).unwrap();
    erin.confirm(&room_id(), &paired.commit.unwrap()).unwrap();
    assert_eq!(world.hub.log.len(), length + 2);
    assert_eq!(world.users(), [ALICE, BOB, DAN, ERIN]);
    world.assert_stored();

    // Who is in the room already does not enter it.
    let again = commit_template(&user(ERIN), &pending.content);
    assert!(matches!(world.send_pair(join, again), Err(Refusal::Unfit(_))));
}

#[test]
fn a_participants_join_and_its_commit_are_one() {
    const ERIN: &str = "@erin:one.example";
    let mut world = World::new(Layering::Bound);
    let mut erin = device(ERIN);
    world.hub.devices.put(user(ERIN), vec![erin.credential().clone()]);
    let (version, one) = (world.hub.room.version(), world.one.me.clone());
    let lpdu = |template: Template| template.into_lpdu(version, &name(HUB), &one.name, &one.key).unwrap();
    let join = lpdu(member(ERIN, ERIN, "join"));
    let hash = *join.lpdu_hash().unwrap();
    let binding = RoomBinding { member_event: Some(hash), ..world.binding(ERIN, &[ERIN]) };
    let pending = erin.join_external(&room_id(), Layering::Bound, &hub_state(&world), &binding).unwrap();
    let commit = lpdu(commit_template(&user(ERIN), &pending.content));
    assert!(world.hub.room.devices_for(&user(ERIN), &pending.content.message).contains(&user(ERIN)));
    let (me, known) = (world.hub.me.clone(), world.hub.known_for(&commit));
    let (join, commit) = (verified(&join), verified(&commit));
    let with = PairedWith::Lpdu(&commit);
    let paired = world.hub.room.accept_pair(&me, &join, with, &name("one.example"), &known).unwrap();
    world.hub.store(&paired.change);
    erin.confirm(&room_id(), &paired.commit.unwrap()).unwrap();
    assert_eq!(world.users(), [ALICE, BOB, DAN, ERIN]);
    world.assert_stored();
}

#[test]
fn who_may_not_join_does_not_get_in_by_a_pair() {
    const ERIN: &str = "@erin:hub.example";
    let mut world = World::new(Layering::Bound);
    let rules = template(ALICE, "m.room.join_rules", Some(""), json!({ "join_rule": "invite" }));
    world.hub.send(rules).unwrap();
    let mut erin = device(ERIN);
    world.hub.devices.put(user(ERIN), vec![erin.credential().clone()]);
    assert!(!world.hub.room.lets_in(&user(ERIN)));
    assert!(world.hub.room.devices_for(&user(ERIN), &[]).is_empty());
    let join = member(ERIN, ERIN, "join");
    let hash = hash_of(&world, &join);
    let binding = RoomBinding { member_event: Some(hash), ..world.binding(ERIN, &[ERIN]) };
    let pending = erin.join_external(&room_id(), Layering::Bound, &hub_state(&world), &binding).unwrap();
    let refused = world.send_pair(join.clone(), commit_template(&user(ERIN), &pending.content));
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    // Nor does somebody's join let in another's device.
    world.hub.send(member(ALICE, ERIN, "invite")).unwrap();
    assert!(world.hub.room.lets_in(&user(ERIN)));
    let commit = world.update().content;
    let refused = world.send_pair(join, commit_template(&user(ERIN), &commit));
    assert_eq!(group_refusal(refused), "wrong_sender");
}
