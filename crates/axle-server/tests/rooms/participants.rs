//! Hub and participants: joins, messages in all directions, invites, kicks, bans, knocks.

use std::sync::Arc;

use axle_client_api::RoomService as _;
use axle_protocol::auth::Membership;
use serde_json::Map;

use crate::net::{Net, Server};
use crate::talk::{ids, until_agree};

/// A hub and two participants.
pub(crate) struct Three {
    pub(crate) net: Arc<Net>,
    pub(crate) hub: Server,
    pub(crate) b: Server,
    pub(crate) c: Server,
    pub(crate) folders: [tempfile::TempDir; 3],
}

pub(crate) async fn three() -> Three {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let net = Net::new();
    let hub = net.start("hub.test", folders[0].path().into(), &["alice", "anna"]).await;
    let b = net.start("b.test", folders[1].path().into(), &["bob", "beth"]).await;
    let c = net.start("c.test", folders[2].path().into(), &["carol", "cem"]).await;
    Three { net, hub, b, c, folders }
}

#[tokio::test]
async fn messages_in_all_directions_end_in_one_order() {
    let Three { hub, b, c, .. } = &three().await;
    let (alice, bob, beth, carol) = (hub.user("alice"), b.user("bob"), b.user("beth"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    hub.say(&alice, &room, "before").await.unwrap();
    b.join(&bob, &room, hub).await.unwrap();
    c.join(&carol, &room, hub).await.unwrap();
    b.join(&beth, &room, hub).await.unwrap();
    for i in 0..20 {
        let (from_hub, from_b, from_c) = (format!("a{i}"), format!("b{i}"), format!("c{i}"));
        let sent =
            tokio::join!(hub.say(&alice, &room, &from_hub), b.say(&bob, &room, &from_b), c.say(&carol, &room, &from_c));
        let (at_b, at_c) = (sent.1.unwrap(), sent.2.unwrap());
        assert!(hub.has(&room, &sent.0.unwrap()).await);
        assert!(b.has(&room, &at_b).await && c.has(&room, &at_c).await, "an answered event is durable at home");
    }
    until_agree(hub, b, &room).await;
    until_agree(hub, c, &room).await;
    assert_eq!(hub.texts(&room).await.len(), 61);
    assert_eq!(c.texts(&room).await.len(), 60, "history from before the join is not there");
    assert_eq!((hub.rooms.counters().hub_faults(), b.rooms.counters().hub_faults()), (0, 0));
    assert_eq!(hub.store.pending_lpdus(None).await.unwrap().len(), 0);
    assert_eq!(b.store.pending_lpdus(None).await.unwrap().len(), 0);
}

#[tokio::test]
async fn history_from_before_the_join_is_fetched() {
    let Three { hub, b, .. } = &three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    for i in 0..10 {
        hub.say(&alice, &room, &i.to_string()).await.unwrap();
    }
    b.join(&bob, &room, hub).await.unwrap();
    assert_eq!(b.timeline(&room).await.len(), 1);
    let mut before = 0;
    while b.rooms.fetch_history(&room, before, 4).await.unwrap() {
        before = b.timeline(&room).await[0].position.unwrap();
    }
    assert_eq!(ids(&b.timeline(&room).await), ids(&hub.timeline(&room).await));
    assert!(!b.rooms.fetch_history(&room, before, 4).await.unwrap());
}

#[tokio::test]
async fn invites_reach_servers_outside_and_inside_the_room() {
    let Three { net, hub, b, c, .. } = &three().await;
    let (alice, bob, beth, carol) = (hub.user("alice"), b.user("bob"), b.user("beth"), c.user("carol"));
    let room = hub.create(&alice, "invite").await;
    assert_eq!(b.join(&bob, &room, hub).await.unwrap_err().status, 403);

    hub.set_member(&alice, &room, &bob, "invite").await.unwrap();
    b.until_outside(&room, &bob, Membership::Invite).await;
    let entry = b.store.out_of_room_in(&bob, &room).await.unwrap().unwrap();
    assert!(entry.stripped_state.contains("m.room.name") && entry.via.contains(&hub.name));
    assert!(entry.json.contains("b.test\":{\"ed25519"), "the target has signed");
    b.rooms.join(&bob, &room, &[], Map::new()).await.unwrap();
    assert_eq!(b.outside(&room, &bob).await, None);

    // Of a participant, through the hub, to a server that is not in the room.
    b.set_member(&bob, &room, &carol, "invite").await.unwrap();
    c.until_outside(&room, &carol, Membership::Invite).await;
    // Of a participant, to a user of its own.
    b.set_member(&bob, &room, &beth, "invite").await.unwrap();
    b.until_membership(&room, &beth, Membership::Invite).await;
    b.rooms.join(&beth, &room, &[], Map::new()).await.unwrap();
    // Who cannot reach the hub joins through who invited.
    net.cut(&c.name, &hub.name);
    c.rooms.join(&carol, &room, std::slice::from_ref(&b.name), Map::new()).await.unwrap();
    until_agree(hub, b, &room).await;
    until_agree(hub, c, &room).await;
}

#[tokio::test]
async fn only_who_was_invited_by_its_users_is_helped_by_a_participant() {
    let Three { net, hub, b, c, .. } = &three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    hub.set_member(&alice, &room, &carol, "invite").await.unwrap();
    net.cut(&c.name, &hub.name);
    let refused = c.join(&carol, &room, b).await.unwrap_err();
    assert!(refused.status == 400 && refused.errcode == "M_WRONG_SERVER" || refused.status == 502, "{refused}");
    assert_eq!(hub.membership(&room, &carol).await, Some(Membership::Invite));
}

#[tokio::test]
async fn invites_can_be_declined_and_withdrawn() {
    let Three { hub, b, c, .. } = &three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "invite").await;
    for (server, user) in [(b, &bob), (c, &carol)] {
        hub.set_member(&alice, &room, user, "invite").await.unwrap();
        server.until_outside(&room, user, Membership::Invite).await;
    }
    b.rooms.leave(&bob, &room, Map::new()).await.unwrap();
    assert_eq!(b.outside(&room, &bob).await, Some(Membership::Leave));
    hub.until_membership(&room, &bob, Membership::Leave).await;
    hub.set_member(&alice, &room, &carol, "leave").await.unwrap();
    c.until_outside(&room, &carol, Membership::Leave).await;
    assert_eq!(c.rooms.join(&carol, &room, &[], Map::new()).await.unwrap_err().status, 403);
}

#[tokio::test]
async fn an_invite_that_the_target_refuses_does_not_happen() {
    let Three { net, hub, b, .. } = &three().await;
    let alice = hub.user("alice");
    let room = hub.create(&alice, "invite").await;
    let before = ids(&hub.timeline(&room).await);
    let refused = hub.set_member(&alice, &room, &b.user("nobody"), "invite").await.unwrap_err();
    assert_eq!((refused.status, refused.errcode.as_str()), (403, "M_FORBIDDEN"));
    net.set_down(&b.name, true);
    let unreachable = hub.set_member(&alice, &room, &b.user("bob"), "invite").await.unwrap_err();
    assert_eq!(unreachable.status, 502);
    assert_eq!(ids(&hub.timeline(&room).await), before);
}

#[tokio::test]
async fn a_kicked_server_gets_the_kick_and_nothing_after_it() {
    let Three { hub, b, c, .. } = &three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    c.join(&carol, &room, hub).await.unwrap();
    let kick = hub.set_member(&alice, &room, &bob, "leave").await.unwrap();
    let secret = hub.say(&alice, &room, "without bob").await.unwrap();
    b.until_has(&room, &kick).await;
    c.until_has(&room, &secret).await;
    assert_eq!(b.membership(&room, &bob).await, Some(Membership::Leave));
    assert_eq!(b.say(&bob, &room, "hello?").await.unwrap_err().status, 403);
    assert!(!hub.store.pending_destinations().await.unwrap().contains(&b.name) && !b.has(&room, &secret).await);

    // Coming back starts anew; what was before stays.
    let kept = ids(&b.timeline(&room).await);
    b.join(&bob, &room, hub).await.unwrap();
    let back = b.say(&bob, &room, "back").await.unwrap();
    let now = ids(&b.timeline(&room).await);
    assert!(now.starts_with(&kept) && now.ends_with(&[back]));
    let position = b.timeline(&room).await[kept.len()].position.unwrap();
    assert!(b.rooms.fetch_history(&room, position, 50).await.unwrap());
    until_agree(hub, b, &room).await;

    let ban = hub.set_member(&alice, &room, &bob, "ban").await.unwrap();
    b.until_has(&room, &ban).await;
    assert_eq!(b.join(&bob, &room, hub).await.unwrap_err().status, 403);
}

#[tokio::test]
async fn knocking_ends_in_an_invite_or_a_refusal() {
    let Three { hub, b, c, .. } = &three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "knock").await;
    for (server, user) in [(b, &bob), (c, &carol)] {
        server.rooms.knock(user, &room, std::slice::from_ref(&hub.name), Map::new()).await.unwrap();
        assert_eq!(server.outside(&room, user).await, Some(Membership::Knock));
        hub.until_membership(&room, user, Membership::Knock).await;
    }
    let entry = b.store.out_of_room_in(&bob, &room).await.unwrap().unwrap();
    assert!(entry.stripped_state.contains("m.room.name"));
    hub.set_member(&alice, &room, &bob, "invite").await.unwrap();
    b.until_outside(&room, &bob, Membership::Invite).await;
    b.rooms.join(&bob, &room, &[], Map::new()).await.unwrap();
    until_agree(hub, b, &room).await;
    hub.set_member(&alice, &room, &carol, "leave").await.unwrap();
    c.until_outside(&room, &carol, Membership::Leave).await;
    c.rooms.knock(&carol, &room, std::slice::from_ref(&hub.name), Map::new()).await.unwrap();
    c.rooms.leave(&carol, &room, Map::new()).await.unwrap();
    hub.until_membership(&room, &carol, Membership::Leave).await;
}
