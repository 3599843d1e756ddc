//! Whatever the order in which many users' events reach the hub: its log is a chain, everything in it is allowed, its
//! state is the fold of its log, and a participant that follows comes to the same.

use axle_protocol::auth::{self, MapState};
use axle_protocol::event::Template;
use axle_room::{Accepted, Received, Route};
use proptest::prelude::*;
use serde_json::json;

use crate::world::*;

const USERS: [&str; 6] = [ALICE, BOB, CAROL, "@bert:one.example", "@chris:two.example", "@anna:hub.example"];

#[derive(Debug, Clone)]
struct Step {
    sender: usize,
    target: usize,
    kind: u8,
    restart: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..USERS.len(), 0..USERS.len(), 0u8..10, prop::bool::weighted(0.05));
    let step = step.prop_map(|(sender, target, kind, restart)| Step { sender, target, kind, restart });
    prop::collection::vec(step, 1..60)
}

fn template_of(step: &Step, i: usize) -> Template {
    let (sender, target) = (USERS[step.sender], USERS[step.target]);
    let level = (i % 3) as i64 * 50;
    let rule = if i.is_multiple_of(2) { "public" } else { "knock" };
    let template = match step.kind {
        0 => member(sender, sender, "join"),
        1 => member(sender, target, "leave"),
        2 => member(sender, target, "ban"),
        3 => member(sender, target, "invite"),
        4 => template(sender, "m.room.power_levels", Some(""), json!({ "users": { ALICE: 100, target: level } })),
        5 => template(sender, "m.room.join_rules", Some(""), json!({ "join_rule": rule })),
        6 => member(sender, sender, "knock"),
        7 => template(sender, "m.room.topic", Some(""), json!({ "topic": i })),
        _ => message(sender, &i.to_string()),
    };
    Template { origin_server_ts: 1_000 + i as i64, ..template }
}

/// Does what the step says; whether it is allowed is for the hub to say.
fn run(hub: &mut Server, step: &Step, i: usize) {
    let template = template_of(step, i);
    let sender = template.sender.clone();
    if hub.room.invite_target_of(&template).is_some() {
        return;
    }
    if sender.server_str() == HUB {
        hub.send(template).ok();
        return;
    }
    let author = identity(sender.server_str());
    let lpdu = template.into_lpdu(hub.room.version(), &hub.me.name, &author.name, &author.key).unwrap();
    if let Ok(Accepted::Appended { .. }) = hub.accept(&lpdu, Route::Transaction) {
        assert!(matches!(hub.accept(&lpdu, Route::Transaction), Ok(Accepted::Duplicate(_))));
    }
}

fn check_log(hub: &Server) {
    let timeline = hub.timeline();
    let mut state = MapState::default();
    for (i, event) in timeline.iter().enumerate() {
        let parents: Vec<_> = timeline[..i].last().map(|parent| parent.event_id().clone()).into_iter().collect();
        assert_eq!(event.prev_events(), parents);
        assert!(event.verify(&Keys).is_valid());
        auth::check(event, &state).unwrap();
        auth::check_auth_events(event, &state, &|_| None).unwrap();
        state.apply(event);
    }
    let fold = timeline.iter().filter(|event| event.is_state());
    let fold: std::collections::BTreeMap<_, _> =
        fold.map(|event| ((event.event_type(), event.state_key().unwrap()), event.event_id())).collect();
    let current: std::collections::BTreeMap<_, _> =
        hub.room.state().entries().map(|(kind, key, id)| ((kind, key), id)).collect();
    assert_eq!(current, fold);
}

fn check_follower(hub: &Server) {
    let mut observer = Server::new("one.example");
    let Some(start) = hub
        .timeline()
        .iter()
        .position(|event| event.membership() == Some("join") && event.sender().server_str() == "one.example")
    else {
        return;
    };
    // The state before its first join, as send_join would have given it.
    let mut past = Server::hub("public");
    past.log = hub.log[..start].to_vec();
    past.restart();
    let join = &hub.timeline()[start];
    let answer = axle_room::JoinAnswer {
        lpdu: join.clone(),
        event: verified(join),
        state: past.state_events(),
        auth_chain: past.log.iter().filter(|placed| placed.sets_state).map(|placed| verified(&placed.event)).collect(),
    };
    let change = observer.room.join(answer, &Default::default()).unwrap();
    observer.store(&change);
    for event in &hub.timeline()[start + 1..] {
        let inside = observer.room.is_participating();
        match observer.receive(event) {
            Received::Appended(change) => assert!(change.faults.is_empty()),
            other => assert!(!inside, "{other:?}"),
        }
        if !inside {
            return;
        }
    }
    let entries = |server: &Server| -> std::collections::BTreeSet<String> {
        server.room.state().entries().map(|(kind, key, id)| format!("{kind} {key} {id}")).collect()
    };
    assert_eq!(entries(&observer), entries(hub));
    assert_eq!(ids(&observer.timeline()), ids(&hub.timeline()[start..]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_interleaving_makes_a_room_that_holds(steps in steps()) {
        let mut hub = Server::hub("public");
        for (i, step) in steps.iter().enumerate() {
            run(&mut hub, step, i);
            if step.restart {
                hub.restart();
            }
        }
        check_log(&hub);
        check_follower(&hub);
    }
}
