//! Servers that a room keeps out.

use axle_protocol::auth::Membership;
use axle_protocol::{Event, ServerAcl};
use axle_room::{InviteSource, Received, Refusal, Route};
use serde_json::{Value, json};

use crate::world::*;

fn acl(content: Value) -> axle_protocol::event::Template {
    template(ALICE, ServerAcl::EVENT_TYPE, Some(""), content)
}

/// One that keeps out these.
fn denying(deny: &[&str]) -> axle_protocol::event::Template {
    acl(json!({ "allow": ["*"], "deny": deny }))
}

#[track_caller]
fn is_denied<T: std::fmt::Debug>(outcome: Result<T, Refusal>) {
    match outcome {
        Err(Refusal::Forbidden(reason)) => assert!(reason.contains("server ACL"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// An LPDU that our own room would not let us make.
fn lpdu(one: &Server, template: axle_protocol::event::Template) -> Event {
    template.into_lpdu(one.room.version(), &name(HUB), &one.me.name, &one.me.key).unwrap()
}

#[test]
fn a_hub_takes_nothing_from_a_server_that_is_kept_out() {
    let (mut hub, mut one) = pair();
    let early = one.lpdu(message(BOB, "early"));
    hub.append(&early);
    hub.send(denying(&["ONE.*"])).unwrap();
    let origin = name("one.example");
    for _ in 0..2 {
        let before = hub.log.len();
        is_denied(hub.accept(&one.lpdu(message(BOB, "late")), Route::Transaction));
        is_denied(hub.accept(&early, Route::Transaction));
        is_denied(hub.accept(&lpdu(&one, member(BOB, BOB, "leave")), Route::Transaction));
        for membership in [Membership::Join, Membership::Leave, Membership::Knock] {
            let own = lpdu(&one, member("@bert:one.example", "@bert:one.example", membership.as_str()));
            is_denied(hub.accept(&own, Route::Handshake(membership)));
            is_denied(hub.room.make_membership(&hub.me, &user("@bert:one.example"), membership, &origin, 1_000));
        }
        let invite = verified(&lpdu(&one, member(BOB, CAROL, "invite")));
        let source = InviteSource::Lpdu { lpdu: invite, origin: origin.clone() };
        is_denied(hub.room.prepare_invite(&hub.me, source, &Default::default()));
        assert_eq!(hub.log.len(), before);
        // Its own users are not concerned, and its events still go to everybody in the room.
        hub.send(message(ALICE, "hello")).unwrap();
        assert!(hub.room.state().has_server("one.example"));
        hub.restart();
    }
    hub.send(denying(&["two.example"])).unwrap();
    hub.append(&one.lpdu(message(BOB, "back")));
    hub.send(acl(json!({ "allow": ["*.example"] }))).unwrap();
    hub.append(&one.lpdu(message(BOB, "still here")));
}

#[test]
fn nobody_brings_in_users_of_a_server_that_is_kept_out() {
    let (mut hub, _) = pair();
    hub.send(denying(&["two.example"])).unwrap();
    hub.send(member(ALICE, CAROL, "invite")).unwrap_err();
    let source = InviteSource::Local(member(ALICE, CAROL, "invite"));
    let axle_room::Prepared::Ask(prepared) = hub.room.prepare_invite(&hub.me, source, &Default::default()).unwrap()
    else {
        panic!("her server must be asked")
    };
    let invited = hub.room.finish_invite(&hub.me, *prepared, None, &Default::default()).unwrap();
    hub.appended(invited);
    // An invited user's join may be brought by any server in the room.
    let two = Server::new("two.example");
    let (join, helper) = (two.join_lpdu(CAROL), name("one.example"));
    is_denied(hub.room.make_membership(&hub.me, &user(CAROL), Membership::Join, &helper, 1_000));
    let route = Route::Handshake(Membership::Join);
    is_denied(hub.room.accept_lpdu(&hub.me, &verified(&join), &helper, route, &Default::default()));
    hub.send(denying(&["nobody.example"])).unwrap();
    hub.room.make_membership(&hub.me, &user(CAROL), Membership::Join, &helper, 1_000).unwrap();
    hub.room.accept_lpdu(&hub.me, &verified(&join), &helper, route, &Default::default()).unwrap();
}

#[test]
fn a_participant_takes_nothing_from_a_hub_that_is_kept_out() {
    let (mut hub, mut one) = pair();
    // No Axle makes such an event; another server may.
    let denial = lpdu(&one, template(BOB, ServerAcl::EVENT_TYPE, Some(""), json!({ "allow": ["one.example"] })));
    one.receive(&hub.send(levels_for_bob()).unwrap());
    let denial = hub.append(&denial);
    assert!(matches!(one.receive(&denial), Received::Appended(_)), "the event itself is the last");
    let said = hub.send(message(ALICE, "hello")).unwrap();
    for _ in 0..2 {
        let Received::Refused(refusal) = one.receive(&said) else { panic!("taken") };
        is_denied::<()>(Err(refusal));
        one.restart();
    }
}

fn levels_for_bob() -> axle_protocol::event::Template {
    template(ALICE, "m.room.power_levels", Some(""), json!({ "users": { ALICE: 100, BOB: 100 } }))
}

#[test]
fn nobody_shuts_out_their_own_server_or_the_hub() {
    let (mut hub, mut one) = pair();
    one.receive(&hub.send(levels_for_bob()).unwrap());
    let own = |content: Value| template(BOB, ServerAcl::EVENT_TYPE, Some(""), content);
    for deny in ["hub.example", "*", "HUB.*"] {
        assert!(matches!(hub.send(denying(&[deny])), Err(Refusal::Unfit(_))), "{deny}");
        let content = json!({ "allow": ["*"], "deny": [deny] });
        assert!(matches!(one.room.make_lpdu(&one.me, own(content)), Err(Refusal::Unfit(_))), "{deny}");
    }
    assert!(matches!(hub.send(acl(json!({}))), Err(Refusal::Unfit(_))));
    hub.send(denying(&["one.example"])).unwrap();
    let content = json!({ "allow": ["*"], "deny": ["one.example"] });
    assert!(matches!(one.room.make_lpdu(&one.me, own(content)), Err(Refusal::Unfit(_))));
    one.room.make_lpdu(&one.me, own(json!({ "allow": ["*.example"] }))).unwrap();
    // Only that of the room is one.
    hub.send(template(ALICE, ServerAcl::EVENT_TYPE, Some("x"), json!({}))).unwrap();
    hub.send(template(ALICE, ServerAcl::EVENT_TYPE, None, json!({}))).unwrap();
    assert!(hub.room.check_server("two.example").is_ok());
    // A new room cannot begin like that, either.
    let mut new = Server::new(HUB);
    new.send(template(ALICE, "m.room.create", Some(""), json!({ "room_version": "I.1" }))).unwrap();
    new.send(member(ALICE, ALICE, "join")).unwrap();
    assert!(matches!(new.send(acl(json!({ "allow": ["one.example"] }))), Err(Refusal::Unfit(_))));
}

#[test]
fn what_keeps_servers_out_is_not_redacted() {
    let (mut hub, mut one) = pair();
    let set = hub.send(denying(&["two.example"])).unwrap();
    one.receive(&set);
    let redaction = template(ALICE, "m.room.redaction", None, json!({ "redacts": set.event_id().as_str() }));
    let redaction = hub.send(redaction).unwrap();
    one.receive(&redaction);
    for server in [&mut hub, &mut one] {
        assert!(server.log.iter().all(|placed| placed.redacts.is_none()));
        server.restart();
        is_denied(server.room.check_server("two.example"));
    }
    // One that holds no more is an event like any other.
    hub.send(denying(&[])).unwrap();
    let redaction = template(ALICE, "m.room.redaction", None, json!({ "redacts": set.event_id().as_str() }));
    hub.send(redaction).unwrap();
    assert_eq!(hub.log.last().unwrap().redacts.as_ref(), Some(set.event_id()));
}

#[test]
fn users_of_a_server_that_is_kept_out_leave_without_the_hub() {
    let (mut hub, mut one) = pair();
    let bert = "@bert:one.example";
    let join = one.lpdu(member(bert, bert, "join"));
    let join = hub.append(&join);
    one.receive(&join);
    let leave = one.lpdu(member(BOB, BOB, "leave"));
    assert!(one.room.end_stay(&leave).unwrap().is_empty(), "the hub is to send it");
    one.receive(&hub.send(denying(&["one.example"])).unwrap());
    assert!(one.room.keeps_us_out() && !hub.room.keeps_us_out());
    is_denied(hub.accept(&leave, Route::Transaction));
    for (person, left) in [(BOB, 1), (bert, 0)] {
        let leave = one.lpdu(member(person, person, "leave"));
        let change = one.room.end_stay(&leave).unwrap();
        one.store(&change);
        assert_eq!(one.room.state().joined_users_of("one.example"), left);
    }
    one.restart();
    assert!(!one.room.is_participating());
}
