//! What other servers may read.

use axle_federation::{FederationService as _, MembershipChange, SentMembership};
use axle_protocol::event::Template;
use axle_protocol::{Event, RoomVersion};
use serde_json::{Value, json};

use crate::net::{key, raw};
use crate::participants::{Three, three};
use crate::talk::{map, until_agree};

fn body(event: &str) -> Option<String> {
    let event: Value = serde_json::from_str(event).unwrap();
    event["content"]["body"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn servers_in_the_room_see_what_its_history_visibility_shows() {
    let Three { hub, b, c, .. } = &three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    let shared = hub.say(&alice, &room, "shared").await.unwrap();
    let setting = json!({"history_visibility": "joined"});
    hub.set(&alice, &room, "m.room.history_visibility", "", setting).await.unwrap();
    let hidden = hub.say(&alice, &room, "hidden").await.unwrap();
    b.join(&bob, &room, hub).await.unwrap();
    let open = hub.say(&alice, &room, "open").await.unwrap();
    let see = async |reader: &crate::net::Server, id| {
        hub.rooms.event(&reader.name, id).await.map(|event| body(&event)).map_err(|error| error.errcode)
    };
    assert_eq!(see(b, &shared).await, Ok(Some("shared".into())));
    assert_eq!(see(b, &hidden).await, Ok(None), "it is redacted");
    assert_eq!(see(b, &open).await, Ok(Some("open".into())));
    for id in [&shared, &hidden, &open] {
        assert_eq!(see(c, id).await, Err("M_NOT_FOUND".into()));
    }
    let history = hub.rooms.backfill(&b.name, &room, &open, 5).await.unwrap();
    let bodies: Vec<_> = history.iter().map(|event| body(event)).collect();
    assert_eq!(bodies, [Some("shared".into()), None, None, None, Some("open".into())]);
    assert_eq!(hub.rooms.backfill(&b.name, &room, &open, 0).await.unwrap().len(), 0, "no more than asked for");
    assert_eq!(hub.rooms.backfill(&c.name, &room, &open, 5).await.unwrap_err().status, 404);
}

#[tokio::test]
async fn state_is_served_by_the_hub_as_it_was_before_an_event() {
    let Three { hub, b, c, .. } = &three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    let renamed = hub.set(&alice, &room, "m.room.name", "", json!({"name": "New"})).await.unwrap();
    b.until_has(&room, &renamed).await;
    let state = hub.rooms.state(&b.name, &room, &renamed).await.unwrap();
    let names: Vec<_> = state.pdus.iter().filter(|event| event.contains("m.room.name")).collect();
    assert!(names.len() == 1 && names[0].contains("\"Room\""), "as if the new one were not there");
    assert_eq!(state.pdus.len(), 6);
    assert!(state.auth_chain.iter().any(|event| event.contains("m.room.create")));
    let ids = hub.rooms.state_ids(&b.name, &room, &renamed).await.unwrap();
    assert_eq!((ids.pdu_ids.len(), ids.auth_chain_ids.len()), (state.pdus.len(), state.auth_chain.len()));
    assert_eq!(b.rooms.state(&hub.name, &room, &renamed).await.unwrap_err().errcode, "M_WRONG_SERVER");
    assert_eq!(hub.rooms.state(&c.name, &room, &renamed).await.unwrap_err().errcode, "M_NOT_FOUND");
    let elsewhere = hub.create(&alice, "public").await;
    assert_eq!(hub.rooms.state(&b.name, &elsewhere, &renamed).await.unwrap_err().errcode, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_repeated_join_gets_the_same_answer_and_a_replaying_server_the_whole_timeline() {
    let Three { net, hub, c, .. } = &three().await;
    let (alice, carol) = (hub.user("alice"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    hub.say(&alice, &room, "said").await.unwrap();
    let join = Template {
        room_id: room.clone(),
        event_type: "m.room.member".into(),
        state_key: Some(carol.to_string()),
        sender: carol.clone(),
        origin_server_ts: 1,
        content: map(json!({"membership": "join"})),
    };
    let lpdu = join.into_lpdu(RoomVersion::I1, &hub.name, &c.name, &key(&c.name)).unwrap();
    let send =
        async || match hub.rooms.send_membership(&c.name, MembershipChange::Join, raw(lpdu.json())).await.unwrap() {
            SentMembership::Join { event, state, auth_chain } => (event, state, auth_chain),
            other => panic!("{other:?}"),
        };
    let first = send().await;
    assert_eq!(send().await, first);
    assert_eq!(first.1.len(), 5);
    let event = Event::parse(first.0.as_bytes(), RoomVersion::I1).unwrap();
    assert_eq!(event.lpdu_hash(), lpdu.lpdu_hash());
    net.set_replaying(&c.name);
    let replayed = send().await;
    assert_eq!(replayed.1.len(), 6);
    assert!(replayed.1[0].contains("m.room.create"));
    assert_eq!(replayed.1.iter().filter_map(|event| body(event)).collect::<Vec<_>>(), ["said"]);
}

#[tokio::test]
async fn what_was_redacted_is_served_redacted() {
    let Three { hub, b, .. } = &three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    let said = b.say(&bob, &room, "regretted").await.unwrap();
    let redaction = axle_client_api::SendEvent {
        room_id: room.clone(),
        sender: bob.clone(),
        event_type: "m.room.redaction".into(),
        state_key: None,
        content: map(json!({"redacts": said})),
        txn: None,
    };
    axle_client_api::RoomService::send(&b.rooms, redaction).await.unwrap();
    until_agree(hub, b, &room).await;
    for (server, reader) in [(hub, b), (b, hub)] {
        let served = server.rooms.event(&reader.name, &said).await.unwrap();
        assert_eq!(body(&served), None, "{}", server.name);
        let event = Event::parse(served.as_bytes(), RoomVersion::I1).unwrap();
        assert_eq!(*event.event_id(), said);
    }
}
