//! Sliding sync: which rooms are told.

use std::sync::Arc;

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, RoomVersion, ServerName, UserId};
use axle_store::OutOfRoom;
use serde_json::{Value, json};

use crate::common::rooms::Sent;
use crate::common::sliding::{all, list, named, pos, room, rooms, state_keys, well_formed, with_list};
use crate::common::{Person, bodies, server, two_in_a_room, types};

/// So many rooms, the oldest first.
async fn make(person: &Person, count: usize) -> Vec<RoomId> {
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(person.create_room(json!({"preset": "public_chat"})).await);
    }
    made
}

fn sorted<'a>(rooms: impl IntoIterator<Item = &'a RoomId>) -> Vec<&'a str> {
    let mut rooms: Vec<&str> = rooms.into_iter().map(RoomId::as_str).collect();
    rooms.sort_unstable();
    rooms
}

/// What a list with these filters shows, sorted; and that it counts as many.
async fn shown(person: &Person, filters: Value) -> Vec<String> {
    let answer = person.slide("", with_list(json!({"filters": filters}))).await;
    let shown: Vec<String> = rooms(&answer).into_iter().map(str::to_owned).collect();
    assert_eq!(answer["lists"]["all"]["count"], shown.len());
    shown
}

#[tokio::test]
async fn a_range_shows_the_rooms_in_which_something_happened_last() {
    let server = server().await;
    let alice = server.person("alice").await;
    let made = make(&alice, 5).await;
    let first = alice.slide("", with_list(json!({"ranges": [[0, 1]]}))).await;
    assert_eq!(first["lists"]["all"]["count"], 5);
    assert_eq!(rooms(&first), sorted(&made[3..]));
    // A larger range adds what was not told yet.
    let more = alice.slide(&pos(&first), with_list(json!({"ranges": [[0, 1], [3, 3]]}))).await;
    assert_eq!(rooms(&more), sorted(&made[1..2]));
    let rest = alice.slide(&pos(&more), all()).await;
    assert_eq!(rooms(&rest), sorted([&made[0], &made[2]]));
    assert_eq!(alice.slide(&pos(&rest), all()).await["rooms"], json!({}));
}

#[tokio::test]
async fn a_room_moves_to_the_top_and_one_out_of_sight_is_told_when_it_comes_back() {
    let server = server().await;
    let alice = server.person("alice").await;
    let made = make(&alice, 3).await;
    let top = || with_list(json!({"ranges": [[0, 0]], "required_state": [["m.room.topic", ""]]}));
    let first = alice.slide("", top()).await;
    assert_eq!(rooms(&first), [made[2].as_str()]);
    alice.say(&made[0], "up").await;
    let moved = alice.slide(&pos(&first), top()).await;
    assert_eq!(rooms(&moved), [made[0].as_str()]);
    let part = room(&moved, &made[0]);
    assert_eq!((&part["initial"], &part["num_live"]), (&json!(true), &json!(1)), "one of its events is new");
    // Two rooms change; only one of them is in sight.
    alice.say(&made[2], "below").await;
    alice.set_state(&made[2], "m.room.topic", json!({"topic": "below"})).await;
    alice.say(&made[0], "above").await;
    let seen = alice.slide(&pos(&moved), top()).await;
    assert_eq!(rooms(&seen), [made[0].as_str()]);
    let back = alice
        .slide(
            &pos(&seen),
            with_list(json!({
                "ranges": [[0, 1]], "required_state": [["m.room.topic", ""]]
            })),
        )
        .await;
    assert_eq!(rooms(&back), [made[2].as_str()]);
    let part = room(&back, &made[2]);
    assert_eq!(part.get("initial"), None, "it was told before");
    assert_eq!(types(&part["timeline"]), ["m.room.message", "m.room.topic"]);
    assert_eq!(state_keys(part), [("m.room.topic".to_owned(), String::new())]);
    assert_eq!(part["num_live"], 0, "it is told late");
}

#[tokio::test]
async fn lists_and_subscriptions_are_told_together() {
    let server = server().await;
    let alice = server.person("alice").await;
    let made = make(&alice, 3).await;
    for n in 0..4 {
        alice.say(&made[0], &format!("old{n}")).await;
        alice.say(&made[2], &format!("new{n}")).await;
    }
    let subscription = json!({"timeline_limit": 3, "required_state": [["m.room.create", ""]]});
    let request = json!({
        "lists": {
            "one": list(json!({"ranges": [[0, 0]], "timeline_limit": 1, "required_state": [["m.room.join_rules", ""]]})),
            "two": list(json!({"ranges": [[0, 0]], "timeline_limit": 2, "required_state": [["m.room.power_levels", ""]]})),
        },
        "room_subscriptions": {made[0].as_str(): subscription, "!nowhere:example.org": subscription, "?": subscription}
    });
    let first = alice.slide("", request.clone()).await;
    well_formed(&first);
    assert_eq!(first["lists"], json!({"one": {"count": 3}, "two": {"count": 3}}));
    assert_eq!(rooms(&first), sorted([&made[0], &made[2]]));
    assert_eq!(bodies(&room(&first, &made[0])["timeline"]), ["old1", "old2", "old3"]);
    assert_eq!(bodies(&room(&first, &made[2])["timeline"]), ["new2", "new3"]);
    let keys = |part: &Value| state_keys(part).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(keys(room(&first, &made[0])), ["m.room.create"]);
    assert_eq!(keys(room(&first, &made[2])), ["m.room.join_rules", "m.room.power_levels"]);
    // Who is not in a room cannot subscribe to it.
    let bob = server.person("bob").await;
    let answer = bob.slide("", json!({"room_subscriptions": {made[0].as_str(): subscription}})).await;
    assert_eq!(answer["rooms"], json!({}));
}

#[tokio::test]
async fn filters_by_type_encryption_and_invites() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let space = alice.create_room(json!({"creation_content": {"type": "m.space"}})).await;
    let plain = alice.create_room(json!({})).await;
    let secret = json!([{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]);
    let secret = alice.create_room(json!({"initial_state": secret})).await;
    let invited = bob.create_room(json!({"invite": [alice.user_id]})).await;
    let show = async |filters: Value| shown(&alice, filters).await;
    assert_eq!(show(json!({})).await, sorted([&space, &plain, &secret, &invited]));
    assert_eq!(show(json!({"room_types": ["m.space"]})).await, sorted([&space]));
    assert_eq!(show(json!({"room_types": [null]})).await, sorted([&plain, &secret, &invited]));
    assert_eq!(show(json!({"room_types": [null, "m.space"], "not_room_types": ["m.space"]})).await.len(), 3);
    assert_eq!(show(json!({"not_room_types": [null]})).await, sorted([&space]));
    assert_eq!(show(json!({"is_encrypted": true})).await, sorted([&secret]));
    assert_eq!(show(json!({"is_encrypted": false, "is_invite": false})).await, sorted([&space, &plain]));
    assert_eq!(show(json!({"is_invite": true})).await, sorted([&invited]));
    // What changes is noticed.
    let encrypted = || with_list(json!({"filters": {"is_encrypted": true}}));
    let first = alice.slide("", encrypted()).await;
    alice.set_state(&plain, "m.room.encryption", json!({"algorithm": "m.megolm.v1.aes-sha2"})).await;
    let news = alice.slide(&pos(&first), encrypted()).await;
    assert_eq!((rooms(&news), &news["lists"]["all"]["count"]), (sorted([&plain]), &json!(2)));
}

#[tokio::test]
async fn filters_by_account_data() {
    let server = server().await;
    let alice = server.person("alice").await;
    let made = make(&alice, 3).await;
    let direct = "/_matrix/client/v3/user/@alice:example.org/account_data/m.direct";
    alice.put(direct, json!({"@bob:example.org": [made[0]], "broken": 7})).await.ok();
    let tag = |room: &RoomId, tag: &str| format!("/_matrix/client/v3/user/@alice:example.org/rooms/{room}/tags/{tag}");
    for (room, name) in [(&made[0], "a"), (&made[1], "a"), (&made[1], "b")] {
        alice.put(&tag(room, name), json!({})).await.ok();
    }
    let show = async |filters: Value| shown(&alice, filters).await;
    assert_eq!(show(json!({"is_dm": true})).await, sorted([&made[0]]));
    assert_eq!(show(json!({"is_dm": false})).await, sorted([&made[1], &made[2]]));
    assert_eq!(show(json!({"tags": ["a", "c"]})).await, sorted([&made[0], &made[1]]));
    assert_eq!(show(json!({"not_tags": ["a"]})).await, sorted([&made[2]]));
    assert_eq!(show(json!({"tags": ["a"], "not_tags": ["b"]})).await, sorted([&made[0]]));
    let tagged = || with_list(json!({"filters": {"tags": ["b"]}}));
    let first = alice.slide("", tagged()).await;
    alice.put(&tag(&made[2], "b"), json!({})).await.ok();
    alice.delete(&tag(&made[1], "b"), json!({})).await.ok();
    let news = alice.slide(&pos(&first), tagged()).await;
    assert_eq!((rooms(&news), &news["lists"]["all"]["count"]), (sorted([&made[2]]), &json!(1)));
}

#[tokio::test]
async fn filters_by_space() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let made = make(&alice, 3).await;
    let space = alice.create_room(json!({"creation_content": {"type": "m.space"}})).await;
    let child = async |room: &RoomId, content: Value| {
        alice.put(&format!("/_matrix/client/v3/rooms/{space}/state/m.space.child/{room}"), content).await.ok();
    };
    child(&made[0], json!({"via": ["example.org"]})).await;
    child(&made[1], json!({"via": ["example.org"]})).await;
    child(&made[1], json!({})).await;
    assert_eq!(shown(&alice, json!({"spaces": [space]})).await, sorted([&made[0]]));
    assert_eq!(shown(&alice, json!({"spaces": ["!nowhere:example.org", "?"]})).await, sorted([]));
    // Nobody learns what is in a space that they are not in.
    bob.join(&made[0]).await.ok();
    assert_eq!(shown(&bob, json!({"spaces": [space]})).await, sorted([]));
}

#[tokio::test]
async fn a_direct_chat_is_told_as_such_and_when_it_is_none_any_more() {
    let server = server().await;
    let (alice, _, tea) = two_in_a_room(&server).await;
    let direct = "/_matrix/client/v3/user/@alice:example.org/account_data/m.direct";
    let first = alice.slide("", all()).await;
    assert_eq!(room(&first, &tea).get("is_dm"), None);
    alice.put(direct, json!({"@bob:example.org": [tea]})).await.ok();
    let news = alice.slide(&pos(&first), all()).await;
    assert_eq!(room(&news, &tea)["is_dm"], true);
    assert_eq!(alice.slide(&pos(&news), all()).await["rooms"], json!({}));
    alice.put(direct, json!({})).await.ok();
    assert_eq!(room(&alice.slide(&pos(&news), all()).await, &tea)["is_dm"], false);
}

#[tokio::test]
async fn a_room_that_is_joined_comes_into_the_list() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let tea = alice.create_room(json!({"preset": "public_chat", "name": "Tea"})).await;
    let first = bob.slide("", all()).await;
    assert_eq!(first["lists"]["all"]["count"], 0);
    bob.join(&tea).await.ok();
    let news = bob.slide(&pos(&first), all()).await;
    assert_eq!(news["lists"]["all"]["count"], 1);
    let part = room(&news, &tea);
    assert_eq!((&part["initial"], &part["name"], &part["joined_count"]), (&json!(true), &json!("Tea"), &json!(2)));
}

#[tokio::test]
async fn who_leaves_is_told_once_and_who_is_thrown_out_in_any_case() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let cake = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&cake).await.ok();
    let own = || with_list(json!({"required_state": [["m.room.member", "$LAZY"]]}));
    let first = bob.slide("", own()).await;
    bob.leave(&tea).await.ok();
    alice.say(&tea, "after").await;
    alice.say(&cake, "before").await;
    alice.moderate("kick", &cake, &bob.user_id).await.ok();
    alice.say(&cake, "after").await;
    let news = bob.slide(&pos(&first), own()).await;
    well_formed(&news);
    for (left, said) in [(&tea, vec![]), (&cake, vec!["before"])] {
        let part = room(&news, left);
        assert_eq!((&part["membership"], part.get("initial"), part.get("invite_state")), (&json!("leave"), None, None));
        assert_eq!(bodies(&part["timeline"]), said);
        let own = part["required_state"].as_array().unwrap().last().unwrap();
        assert_eq!((&own["state_key"], &own["content"]["membership"]), (&json!(bob.user_id), &json!("leave")));
    }
    let nothing = bob.slide(&pos(&news), own()).await;
    assert_eq!((&nothing["rooms"], &nothing["lists"]["all"]["count"]), (&json!({}), &json!(1)));
    // A new connection hears of the room that somebody else took them out of.
    let anew = bob.slide("", named("anew", own())).await;
    assert_eq!(rooms(&anew), [cake.as_str()]);
    let part = room(&anew, &cake);
    assert_eq!((&part["initial"], &part["membership"]), (&json!(true), &json!("leave")));
    assert!(!anew.to_string().contains("after"));
    bob.post(&format!("/_matrix/client/v3/rooms/{cake}/forget"), json!({})).await.ok();
    assert_eq!(bob.slide("", named("anew", own())).await["rooms"], json!({}));
    // Who comes back has everything again.
    bob.join(&tea).await.ok();
    let back = bob.slide(&pos(&nothing), own()).await;
    assert_eq!((&room(&back, &tea)["initial"], &room(&back, &tea)["membership"]), (&json!(true), &json!("join")));
}

#[tokio::test]
async fn whoever_is_banned_without_having_been_there_hears_nothing() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let tea = alice.create_room(json!({"preset": "public_chat", "name": "Secret"})).await;
    let first = bob.slide("", all()).await;
    alice.moderate("ban", &tea, &bob.user_id).await.ok();
    for answer in [bob.slide(&pos(&first), all()).await, bob.slide("", all()).await] {
        assert_eq!(answer["rooms"], json!({}));
    }
}

#[tokio::test]
async fn invites_and_knocks_show_what_the_room_shows() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let rule = json!([{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]);
    let tea = alice.create_room(json!({"name": "Tea", "initial_state": rule})).await;
    alice.say(&tea, "secret").await;
    let everything = || with_list(json!({"required_state": [["*", "*"]]}));
    let first = bob.slide("", everything()).await;
    bob.post(&format!("/_matrix/client/v3/knock/{tea}"), json!({})).await.ok();
    let knocked = bob.slide(&pos(&first), everything()).await;
    alice.moderate("invite", &tea, &bob.user_id).await.ok();
    let invited = bob.slide(&pos(&knocked), everything()).await;
    for (answer, membership) in [(&knocked, "knock"), (&invited, "invite")] {
        well_formed(answer);
        let part = room(answer, &tea);
        assert_eq!((&part["initial"], &part["membership"]), (&json!(true), &json!(membership)));
        assert_eq!((part.get("required_state"), part.get("timeline"), part.get("joined_count")), (None, None, None));
        let state = &part["invite_state"];
        assert!(types(state).contains(&"m.room.name"));
        assert_eq!(state.as_array().unwrap().last().unwrap()["content"]["membership"], membership);
        assert!(!answer.to_string().contains("secret"));
    }
    alice.say(&tea, "more secret").await;
    assert_eq!(bob.slide(&pos(&invited), everything()).await["rooms"], json!({}));
    bob.leave(&tea).await.ok();
    let declined = bob.slide(&pos(&invited), everything()).await;
    let part = room(&declined, &tea);
    assert_eq!((&part["membership"], part.get("invite_state")), (&json!("leave"), None));
    assert_eq!(state_keys(part), [("m.room.member".to_owned(), bob.user_id.to_string())]);
    assert_eq!(types(&part["timeline"]), ["m.room.member"]);
    assert_eq!(bob.slide("", everything()).await["rooms"], json!({}));
}

#[tokio::test]
async fn an_invite_that_is_accepted_becomes_a_room() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let tea = alice.create_room(json!({"name": "Tea", "invite": [bob.user_id]})).await;
    let invited = bob.slide("", all()).await;
    assert_eq!(room(&invited, &tea)["membership"], "invite");
    bob.join(&tea).await.ok();
    let joined = bob.slide(&pos(&invited), all()).await;
    let part = room(&joined, &tea);
    assert_eq!((&part["initial"], &part["membership"], &part["name"]), (&json!(true), &json!("join"), &json!("Tea")));
    assert_eq!(part.get("invite_state"), None);
}

#[tokio::test]
async fn invites_from_elsewhere_come_as_told() {
    let server = server().await;
    let bob = server.person("bob").await;
    let (far, carol) = (RoomId::parse("!far:other.org").unwrap(), UserId::parse("@carol:other.org").unwrap());
    let put = async |membership: Membership, sender: &UserId| {
        let content = json!({"membership": membership});
        let state_key = Some(bob.user_id.as_str());
        let event = server.rooms.event(&far, Sent { sender, event_type: "m.room.member", state_key, content });
        let told = json!([
            {"type": "m.room.create", "state_key": "", "sender": carol, "content": {"type": "m.space"}},
            {"type": "m.room.encryption", "state_key": "", "sender": carol, "content": {"algorithm": "x"}},
            {"type": "broken"},
            7
        ]);
        let entry = OutOfRoom {
            user_id: bob.user_id.clone(),
            room_id: far.clone(),
            room_version: RoomVersion::I1,
            membership,
            event_id: event.event_id().clone(),
            json: Arc::from(event.json()),
            stripped_state: told.to_string().into(),
            via: vec![ServerName::parse("other.org").unwrap()],
            stream: 0,
        };
        server.store.put_out_of_room(entry).await.unwrap();
        server.rooms.wake();
    };
    let first = bob.slide("", all()).await;
    put(Membership::Invite, &carol).await;
    let invited = bob.slide(&pos(&first), all()).await;
    well_formed(&invited);
    assert_eq!(types(&room(&invited, &far)["invite_state"]), ["m.room.create", "m.room.encryption", "m.room.member"]);
    for filters in [json!({"is_encrypted": true}), json!({"room_types": ["m.space"]}), json!({"is_invite": true})] {
        assert_eq!(shown(&bob, filters).await, [far.as_str()]);
    }
    let first = bob.slide("", all()).await;
    put(Membership::Leave, &bob.user_id).await;
    let declined = bob.slide(&pos(&first), all()).await;
    assert_eq!(room(&declined, &far)["membership"], "leave");
    assert_eq!(state_keys(room(&declined, &far)), [("m.room.member".to_owned(), bob.user_id.to_string())]);
    assert_eq!(bob.slide(&pos(&declined), all()).await["lists"]["all"]["count"], 0);
    assert_eq!(bob.slide("", all()).await["rooms"], json!({}));
}

#[tokio::test]
async fn who_stops_asking_for_rooms_misses_nothing() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let first = alice.slide("", all()).await;
    bob.say(&tea, "one").await;
    let none = alice.slide(&pos(&first), json!({})).await;
    assert_eq!((&none["rooms"], &none["lists"]), (&json!({}), &json!({})));
    let back = alice.slide(&pos(&none), all()).await;
    assert_eq!(bodies(&room(&back, &tea)["timeline"]), ["one"]);
    assert_eq!(room(&back, &tea).get("initial"), None);
}

#[tokio::test]
async fn an_upgraded_room_is_told_with_its_tombstone_beside_the_new_one() {
    let server = server().await;
    let alice = server.person("alice").await;
    let old = alice.create_room(json!({"preset": "public_chat"})).await;
    let state = || with_list(json!({"required_state": [["m.room.tombstone", ""], ["m.room.create", ""]]}));
    let first = alice.slide("", state()).await;
    let upgrade = json!({"new_version": "org.matrix.i-d.ralston-mimi-linearized-matrix.02"});
    let answer = alice.post(&format!("/_matrix/client/v3/rooms/{old}/upgrade"), upgrade).await.ok();
    let new = RoomId::parse(answer["replacement_room"].as_str().unwrap()).unwrap();
    let news = alice.slide(&pos(&first), state()).await;
    assert_eq!(room(&news, &old)["required_state"][0]["content"]["replacement_room"], json!(new));
    let create = &room(&news, &new)["required_state"][0];
    assert_eq!(create["content"]["predecessor"]["room_id"], json!(old));
}
