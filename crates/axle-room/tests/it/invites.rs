use axle_protocol::Event;
use axle_room::{Accepted, Delivery, InviteSource, Known, Prepared, PreparedInvite, Refusal};

use crate::world::*;

/// Invites a user and lets their server sign.
pub fn invite_from_hub(hub: &mut Server, target: &str) -> Event {
    let prepared = prepare(hub, InviteSource::Local(member(ALICE, target, "invite")));
    let signed = sign(&prepared);
    let signed = prepared.check_answer(&signed, &Keys).unwrap();
    let accepted = hub.room.finish_invite(&hub.me, prepared, Some(signed), &Known::default()).unwrap();
    hub.appended(accepted).0
}

fn prepare(hub: &Server, source: InviteSource) -> PreparedInvite {
    match hub.room.prepare_invite(&hub.me, source, &Known::default()).unwrap() {
        Prepared::Ask(prepared) => *prepared,
        Prepared::Duplicate(id) => panic!("{id} was there"),
    }
}

fn sign(prepared: &PreparedInvite) -> Event {
    let target = identity(prepared.target().as_str());
    prepared.pdu().signed_by(&target.name, &target.key).unwrap()
}

#[test]
fn an_invite_is_appended_with_the_signature_of_its_target() {
    let mut hub = Server::hub("invite");
    let event = invite_from_hub(&mut hub, BOB);
    assert!(event.signers().any(|server| server == "one.example"));
    assert_eq!(hub.timeline().last(), Some(&event));
    assert!(hub.log.last().unwrap().sets_state);
}

#[test]
fn a_room_that_went_on_makes_the_invite_anew_and_tells_the_target() {
    let mut hub = Server::hub("invite");
    let prepared = prepare(&hub, InviteSource::Local(member(ALICE, BOB, "invite")));
    let signed = prepared.check_answer(&sign(&prepared), &Keys);
    let between = hub.send(message(ALICE, "meanwhile")).unwrap();
    let (old, target) = (prepared.pdu().clone(), prepared.target().clone());
    let accepted = hub.room.finish_invite(&hub.me, prepared, signed, &Known::default()).unwrap();
    let (event, change) = hub.appended(accepted);
    assert_ne!(event.event_id(), old.event_id());
    assert_eq!(event.prev_events(), [between.event_id().clone()]);
    let once =
        [Delivery::Start { destination: target.clone(), after: 4 }, Delivery::Stop { destination: target, at: 5 }];
    assert_eq!(change.deliveries, once);
}

#[test]
fn an_invite_that_is_forbidden_by_the_time_it_is_signed_is_refused() {
    let mut hub = Server::hub("invite");
    let prepared = prepare(&hub, InviteSource::Local(member(ALICE, BOB, "invite")));
    let signed = prepared.check_answer(&sign(&prepared), &Keys);
    hub.send(member(ALICE, BOB, "ban")).unwrap();
    let refused = hub.room.finish_invite(&hub.me, prepared, signed, &Known::default());
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));
}

#[test]
fn an_invite_of_a_participant_is_finished_once() {
    let (mut hub, mut one) = pair();
    let lpdu = one.lpdu(member(BOB, CAROL, "invite"));
    assert_eq!(hub.room.invite_target(&lpdu), Some(name("two.example")));
    let source = InviteSource::Lpdu { lpdu: verified(&lpdu), origin: name("one.example") };
    let first = prepare(&hub, source.clone());
    let second = prepare(&hub, source.clone());
    let accepted = hub.room.finish_invite(&hub.me, first, None, &Known::default()).unwrap();
    let (event, _) = hub.appended(accepted);
    assert_eq!(event.lpdu_hash(), lpdu.lpdu_hash());

    let again = hub.room.finish_invite(&hub.me, second, None, &Known::default()).unwrap();
    assert!(matches!(again, Accepted::Duplicate(id) if id == *event.event_id()));
    let again = hub.room.prepare_invite(&hub.me, source, &Known::default()).unwrap();
    assert!(matches!(again, Prepared::Duplicate(id) if id == *event.event_id()));
}

/// Some servers refuse an event if any signature under a name that must have signed is not good.
#[test]
fn only_the_signature_of_the_target_is_taken_from_its_answer() {
    let hub = Server::hub("invite");
    let prepared = prepare(&hub, InviteSource::Local(member(ALICE, BOB, "invite")));
    let honest = sign(&prepared);
    let forged = format!(r#""{}":{{"ed25519:forged":"AAAA","#, hub.me.name);
    let answer = honest.json().replacen(&format!(r#""{}":{{"#, hub.me.name), &forged, 1);
    let answer = answer.replacen(r#""signatures":{"#, r#""signatures": {"a.example":{"ed25519:1":"AAAA"},"#, 1);
    let answer = Event::parse(answer.as_bytes(), hub.room.version()).unwrap();
    assert_eq!(answer.signing_keys(hub.me.name.as_str()).count(), 2);
    assert_eq!(prepared.check_answer(&answer, &Keys).unwrap().event(), &honest);
}

#[test]
fn an_answer_that_is_not_the_same_event_or_not_signed_does_not_count() {
    let mut hub = Server::hub("invite");
    let prepared = prepare(&hub, InviteSource::Local(member(ALICE, BOB, "invite")));
    assert!(prepared.check_answer(prepared.pdu(), &Keys).is_none(), "not signed");
    let other = prepare(&hub, InviteSource::Local(member(ALICE, CAROL, "invite")));
    assert!(prepared.check_answer(&sign(&other), &Keys).is_none(), "another event");
    let changed =
        sign(&prepared).json().replacen(r#"{"membership":"invite"}"#, r#"{"membership":"invite","reason":"x"}"#, 1);
    let changed = Event::parse(changed.as_bytes(), hub.room.version()).unwrap();
    assert_eq!(changed.event_id(), prepared.pdu().event_id());
    assert!(prepared.check_answer(&changed, &Keys).is_none(), "changed content");
    assert!(matches!(hub.send(member(ALICE, BOB, "invite")), Err(Refusal::Unfit(_))), "nobody would tell bob");
}
