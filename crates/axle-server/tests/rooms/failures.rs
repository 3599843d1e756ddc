//! What goes wrong: servers that are away, crash, lose events.

use axle_client_api::RoomService as _;
use axle_federation::FederationService as _;
use axle_protocol::auth::Membership;
use serde_json::Map;

use crate::adversaries::{lpdu, message};
use crate::net::raw;
use crate::participants::{Three, three};
use crate::talk::{ids, until, until_agree};

#[tokio::test]
async fn what_is_sent_while_the_hub_is_away_arrives_later_in_order() {
    let Three { net, hub, b, .. } = &three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    net.set_down(&hub.name, true);
    let texts: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let sends = futures_util::future::join_all(texts.iter().map(|text| b.say(&bob, &room, text)));
    let up_again = async {
        until("ten LPDUs are queued", async || b.store.pending_lpdus(None).await.unwrap().len() == 10).await;
        net.set_down(&hub.name, false);
    };
    let (sent, ()) = tokio::join!(sends, up_again);
    assert!(sent.iter().all(Result::is_ok));
    until_agree(hub, b, &room).await;
    assert_eq!(hub.texts(&room).await, texts);
}

#[tokio::test]
async fn a_participant_that_crashes_with_queued_lpdus_sends_each_once() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    b.say_as(&bob, &room, "first", Some("1")).await.unwrap();
    net.set_down(&hub.name, true);
    let queued = async { until("it is queued", async || !b.store.pending_lpdus(None).await.unwrap().is_empty()).await };
    tokio::select! {
        result = b.say_as(&bob, &room, "second", Some("2")) => panic!("the hub is away, yet {result:?}"),
        () = queued => {}
    }
    let left = b.kill();
    let b = net.start("b.test", left, &[]).await;
    net.set_down(&hub.name, false);
    // The client repeats what it got no answer to, and gets the id of the event that the first try has made.
    let second = b.say_as(&bob, &room, "second", Some("2")).await.unwrap();
    assert_eq!(b.say_as(&bob, &room, "second", Some("2")).await.unwrap(), second);
    assert_eq!(hub.texts(&room).await, ["first", "second"]);
    until_agree(&hub, &b, &room).await;
    drop((c, folders));
}

#[tokio::test]
async fn a_hub_that_crashes_loses_nothing_that_it_has_acknowledged() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    c.join(&carol, &room, &hub).await.unwrap();
    // c gets nothing until after the crash: what it is still to get is in the store.
    net.cut(&hub.name, &c.name);
    let mut acknowledged = vec![];
    for i in 0..5 {
        acknowledged.push(hub.say(&alice, &room, &format!("a{i}")).await.unwrap());
        acknowledged.push(b.say(&bob, &room, &format!("b{i}")).await.unwrap());
    }
    let left = hub.kill();
    net.mend();
    let hub = net.start("hub.test", left, &[]).await;
    assert!(ids(&hub.timeline(&room).await).ends_with(&acknowledged));
    until_agree(&hub, &c, &room).await;
    assert!(ids(&c.timeline(&room).await).ends_with(&acknowledged));
    let last = c.say(&carol, &room, "all here").await.unwrap();
    b.until_has(&room, &last).await;
    until_agree(&hub, &b, &room).await;
    drop(folders);
}

#[tokio::test]
async fn lost_events_are_fetched_when_the_next_one_shows_that_they_are_missing() {
    let Three { net, hub, b, .. } = &three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    net.lose_all(&b.name, true);
    for i in 0..250 {
        hub.say(&alice, &room, &i.to_string()).await.unwrap();
    }
    until("all are lost", async || hub.store.pending_destinations().await.unwrap().is_empty()).await;
    net.lose_all(&b.name, false);
    hub.say(&alice, &room, "the next one").await.unwrap();
    until_agree(hub, b, &room).await;
    assert_eq!(b.texts(&room).await.len(), 251);
    assert_eq!(b.rooms.counters().hub_faults(), 0);
}

#[tokio::test]
async fn an_event_whose_key_cannot_be_had_is_fetched_when_it_can() {
    let Three { net, hub, b, c, .. } = &three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    c.join(&carol, &room, hub).await.unwrap();
    until_agree(hub, b, &room).await;
    net.cut(&hub.name, &b.name);
    c.say(&carol, &room, "from carol").await.unwrap();
    hub.say(&alice, &room, "after it").await.unwrap();
    net.hide_keys(&c.name, true);
    net.mend();
    let waits = async || b.store.rooms_with_waiting().await.unwrap().contains(&room);
    until("what follows it waits", waits).await;
    net.hide_keys(&c.name, false);
    until_agree(hub, b, &room).await;
    assert_eq!(b.texts(&room).await, ["from carol", "after it"]);
    assert_eq!(b.rooms.counters().hub_faults(), 0, "nobody is to blame");
}

#[tokio::test]
async fn a_gap_goes_on_being_filled_after_a_crash() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    net.lose_all(&b.name, true);
    hub.say(&alice, &room, "lost").await.unwrap();
    until("it is lost", async || hub.store.pending_destinations().await.unwrap().is_empty()).await;
    net.lose_all(&b.name, false);
    // The hub reaches b, but b cannot ask it.
    net.cut(&b.name, &hub.name);
    hub.say(&alice, &room, "waits").await.unwrap();
    until("it waits", async || b.store.rooms_with_waiting().await.unwrap() == [room.clone()]).await;
    assert!(b.texts(&room).await.is_empty());
    let left = b.kill();
    net.mend();
    let b = net.start("b.test", left, &[]).await;
    until_agree(&hub, &b, &room).await;
    assert_eq!(b.texts(&room).await, ["lost", "waits"]);
    assert!(b.store.rooms_with_waiting().await.unwrap().is_empty());
    drop((c, folders));
}

#[tokio::test]
async fn the_last_user_to_leave_ends_the_stay() {
    let Three { hub, b, .. } = &three().await;
    let (alice, bob, beth) = (hub.user("alice"), b.user("bob"), b.user("beth"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    b.join(&beth, &room, hub).await.unwrap();
    b.rooms.leave(&bob, &room, Map::new()).await.unwrap();
    let seen = hub.say(&alice, &room, "one left").await.unwrap();
    b.until_has(&room, &seen).await;
    b.rooms.leave(&beth, &room, Map::new()).await.unwrap();
    assert_eq!(b.membership(&room, &beth).await, Some(Membership::Leave));
    let unseen = hub.say(&alice, &room, "none left").await.unwrap();
    until("nothing is pending", async || hub.store.pending_destinations().await.unwrap().is_empty()).await;
    assert!(!b.has(&room, &unseen).await && b.has(&room, &seen).await, "what was there stays readable");
}

#[tokio::test]
async fn joins_of_one_room_at_once_end_in_one_stay() {
    let Three { hub, b, .. } = &three().await;
    let (alice, bob, beth) = (hub.user("alice"), b.user("bob"), b.user("beth"));
    let room = hub.create(&alice, "public").await;
    let (one, two) = tokio::join!(b.join(&bob, &room, hub), b.join(&beth, &room, hub));
    one.unwrap();
    two.unwrap();
    until_agree(hub, b, &room).await;
    let positions: Vec<_> = b.timeline(&room).await.iter().map(|event| event.position).collect();
    assert_eq!(positions, [Some(0), Some(1)]);
}

#[tokio::test]
async fn a_room_nobody_can_help_into_is_not_entered() {
    let Three { net, hub, b, .. } = &three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    net.set_down(&hub.name, true);
    assert_eq!(b.join(&bob, &room, hub).await.unwrap_err().status, 502);
    net.set_down(&hub.name, false);
    let nowhere = axle_protocol::RoomId::parse("!nowhere:hub.test").unwrap();
    assert_eq!(b.join(&bob, &nowhere, hub).await.unwrap_err().status, 404);
    let unknown = axle_protocol::RoomId::parse("!nowhere:b.test").unwrap();
    assert_eq!(b.rooms.join(&bob, &unknown, &[], Map::new()).await.unwrap_err().status, 404);
    assert!(b.store.user_rooms(&bob).await.unwrap().is_empty());
    assert_eq!(b.rooms.loaded(), 0, "unknown rooms take no memory");
}

#[tokio::test]
async fn the_target_of_an_invite_is_told_of_it_after_a_crash() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    net.set_down(&c.name, true);
    // By /send, as some servers do: the hub puts it into the room and tells carol's server afterwards.
    let mut invite = message(&room, &bob, "");
    invite.event_type = "m.room.member".into();
    invite.state_key = Some(carol.to_string());
    invite.content = crate::talk::map(serde_json::json!({"membership": "invite"}));
    let invite = lpdu(invite, &hub);
    let answer = hub.rooms.transaction(&b.name, vec![raw(invite.json())]).await.unwrap();
    assert!(answer.failed_pdus.is_empty(), "{answer:?}");
    assert_eq!(hub.membership(&room, &carol).await, Some(Membership::Invite));
    let left = hub.kill();
    let hub = net.start("hub.test", left, &[]).await;
    net.set_down(&c.name, false);
    c.until_outside(&room, &carol, Membership::Invite).await;
    until("it is done", async || hub.store.announcement_destinations().await.unwrap().is_empty()).await;
    drop((b, folders));
}

#[tokio::test]
async fn an_invite_that_is_over_is_not_told() {
    let Three { net, hub, b, c, .. } = &three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    net.set_down(&c.name, true);
    let mut invite = message(&room, &bob, "");
    invite.event_type = "m.room.member".into();
    invite.state_key = Some(carol.to_string());
    invite.content = crate::talk::map(serde_json::json!({"membership": "invite"}));
    hub.rooms.transaction(&b.name, vec![raw(lpdu(invite, hub).json())]).await.unwrap();
    assert_eq!(hub.store.announcement_destinations().await.unwrap(), std::slice::from_ref(&c.name));
    until("it was tried", async || net.tried_in_vain(&c.name) > 0).await;
    hub.set_member(&alice, &room, &carol, "leave").await.unwrap();
    net.set_down(&c.name, false);
    until("it is done", async || hub.store.announcement_destinations().await.unwrap().is_empty()).await;
    assert_eq!(c.outside(&room, &carol).await, None);
}
