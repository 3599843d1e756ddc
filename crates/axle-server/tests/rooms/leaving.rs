//! Leaves that the hub does not send back.

use axle_client_api::RoomService as _;
use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, UserId};
use serde_json::Map;

use crate::net::Server;
use crate::participants::{Three, three};
use crate::talk::{ids, until, until_agree};

/// A room with bob in it, whose server gets nothing from the hub any more.
async fn unheard(three: &Three) -> (RoomId, UserId) {
    let Three { net, hub, b, .. } = three;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    let last = hub.say(&alice, &room, "the last that is heard").await.unwrap();
    b.until_has(&room, &last).await;
    net.lose_all(&b.name, true);
    (room, bob)
}

async fn assert_left(b: &Server, room: &RoomId, bob: &UserId) {
    assert_eq!(b.membership(room, bob).await, Some(Membership::Leave));
    assert!(b.store.pending_lpdus(None).await.unwrap().is_empty(), "it is not sent again");
    assert_eq!(b.store.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_user_is_out_of_the_room_and_can_come_back() {
    let three = three().await;
    let (room, bob) = unheard(&three).await;
    let Three { net, hub, b, .. } = &three;
    let before = ids(&b.timeline(&room).await);
    b.rooms.leave(&bob, &room, Map::new()).await.unwrap();
    assert_left(b, &room, &bob).await;
    assert_eq!(hub.membership(&room, &bob).await, Some(Membership::Leave));
    assert_eq!(ids(&b.timeline(&room).await), before, "the hub's order is what the hub sent");
    assert_eq!(b.say(&bob, &room, "still here?").await.unwrap_err().status, 403);
    assert_eq!(b.rooms.leave(&bob, &room, Map::new()).await.unwrap_err().status, 403);

    net.lose_all(&b.name, false);
    b.join(&bob, &room, hub).await.unwrap();
    let said = b.say(&bob, &room, "back").await.unwrap();
    assert!(hub.has(&room, &said).await);
    assert_eq!(b.rooms.counters().hub_faults(), 0);
}

#[tokio::test]
async fn while_others_are_in_the_room_the_hub_has_the_word() {
    let three = three().await;
    let (room, bob) = unheard(&three).await;
    let Three { net, hub, b, .. } = &three;
    net.lose_all(&b.name, false);
    b.join(&b.user("beth"), &room, hub).await.unwrap();
    b.rooms.leave(&bob, &room, Map::new()).await.unwrap();
    until_agree(hub, b, &room).await;
    assert!(b.rooms.hub(&room).await.unwrap().is_some());
    assert_left(b, &room, &bob).await;
}

#[tokio::test]
async fn a_crash_before_the_end_changes_nothing() {
    let three = three().await;
    let (room, bob) = unheard(&three).await;
    let Three { net, hub, b, c, folders } = three;
    let leaving = {
        let (rooms, bob, room) = (b.rooms.clone(), bob.clone(), room.clone());
        tokio::spawn(async move { rooms.leave(&bob, &room, Map::new()).await })
    };
    hub.until_membership(&room, &bob, Membership::Leave).await;
    let left = b.kill();
    leaving.abort();
    let b = net.start("b.test", left, &[]).await;
    until("the leave has ended", async || b.membership(&room, &bob).await == Some(Membership::Leave)).await;
    assert_left(&b, &room, &bob).await;
    drop((c, folders));
}

#[tokio::test]
async fn a_hub_that_refuses_the_leave_after_a_crash_had_taken_it_before() {
    let three = three().await;
    let (room, bob) = unheard(&three).await;
    let Three { net, hub, b, c, folders } = three;
    net.set_down(&hub.name, true);
    let leaving = {
        let (rooms, bob, room) = (b.rooms.clone(), bob.clone(), room.clone());
        tokio::spawn(async move { rooms.leave(&bob, &room, Map::new()).await })
    };
    until("it is queued", async || !b.store.pending_lpdus(None).await.unwrap().is_empty()).await;
    let left = b.kill();
    leaving.abort();
    let b = net.start("b.test", left, &[]).await;
    let queued = b.store.pending_lpdus(None).await.unwrap();
    b.rooms.refuse_lpdu(&room, &queued[0].lpdu_hash, "not in the room").await.unwrap();
    assert_left(&b, &room, &bob).await;
    drop((c, folders));
}

/// Bob and beth of a server in a room whose hub is down; bob has said something that is queued, and leaves.
async fn left_while_the_hub_is_down(three: &Three) -> (RoomId, UserId) {
    let Three { net, hub, b, .. } = three;
    let (room, bob) = two_in_a_room(three).await;
    net.set_down(&hub.name, true);
    let saying = {
        let (rooms, bob, room) = (b.rooms.clone(), bob.clone(), room.clone());
        tokio::spawn(async move { rooms.send(crate::talk::text(&bob, &room, "is anybody there?")).await })
    };
    until("it is queued", async || b.store.pending_lpdus(None).await.unwrap().len() == 1).await;
    saying.abort();
    b.rooms.leave(&bob, &room, Map::new()).await.unwrap();
    assert_eq!(b.membership(&room, &bob).await, Some(Membership::Leave));
    assert_eq!(b.store.pending_lpdus(None).await.unwrap().len(), 2, "the hub is still to hear of it");
    assert_eq!(b.say(&bob, &room, "still here?").await.unwrap_err().status, 403);
    (room, bob)
}

#[tokio::test]
async fn who_leaves_while_the_hub_is_down_is_out_and_the_hub_learns_of_it_later() {
    let three = three().await;
    let (room, bob) = left_while_the_hub_is_down(&three).await;
    let Three { net, hub, b, c, folders } = three;
    let left = b.kill();
    let b = net.start("b.test", left, &[]).await;
    assert_eq!(b.membership(&room, &bob).await, Some(Membership::Leave));
    net.set_down(&hub.name, false);
    hub.until_membership(&room, &bob, Membership::Leave).await;
    until_agree(&hub, &b, &room).await;
    assert_left(&b, &room, &bob).await;
    assert!(hub.texts(&room).await.contains(&"is anybody there?".to_owned()), "what was queued is not lost");
    assert_eq!(b.rooms.counters().hub_faults(), 0);
    let after = hub.say(&hub.user("alice"), &room, "on we go").await.unwrap();
    b.until_has(&room, &after).await;
    drop((c, folders));
}

#[tokio::test]
async fn the_last_user_leaves_while_the_hub_is_down_and_comes_back_later() {
    let three = three().await;
    let (room, bob) = left_while_the_hub_is_down(&three).await;
    let Three { net, hub, b, .. } = &three;
    let beth = b.user("beth");
    b.rooms.leave(&beth, &room, Map::new()).await.unwrap();
    assert_eq!(b.membership(&room, &beth).await, Some(Membership::Leave));
    net.set_down(&hub.name, false);
    b.join(&bob, &room, hub).await.unwrap();
    assert_eq!(hub.membership(&room, &bob).await, Some(Membership::Join), "the leave did not come after the join");
    let back = b.say(&bob, &room, "back").await.unwrap();
    hub.until_membership(&room, &beth, Membership::Leave).await;
    assert!(hub.has(&room, &back).await);
    assert_eq!(b.rooms.counters().hub_faults(), 0);
}

/// Bob and beth of a server in a room.
async fn two_in_a_room(three: &Three) -> (RoomId, UserId) {
    let Three { hub, b, .. } = three;
    let bob = b.user("bob");
    let room = hub.create(&hub.user("alice"), "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    b.join(&b.user("beth"), &room, hub).await.unwrap();
    until_agree(hub, b, &room).await;
    (room, bob)
}

/// Bob says something that comes to the hub, and not back.
async fn say_goodbye(three: &Three, room: &RoomId, bob: &UserId) {
    let (rooms, said) = (three.b.rooms.clone(), crate::talk::text(bob, room, "goodbye"));
    let saying = tokio::spawn(async move { rooms.send(said).await });
    until("the hub has it", async || three.hub.texts(room).await.contains(&"goodbye".to_owned())).await;
    saying.abort();
}

/// Bob is about to leave, and his server's queues stand still.
async fn leaving_in_vain(three: &Three, room: &RoomId, bob: &UserId) -> tokio::task::JoinHandle<()> {
    let Three { net, b, .. } = three;
    net.stall(&b.name, true);
    let queued = b.store.pending_lpdus(None).await.unwrap().len();
    let leaving = {
        let (rooms, bob, room) = (b.rooms.clone(), bob.clone(), room.clone());
        tokio::spawn(async move { rooms.leave(&bob, &room, Map::new()).await.unwrap() })
    };
    until("the leave is queued", async || b.store.pending_lpdus(None).await.unwrap().len() > queued).await;
    leaving
}

#[tokio::test]
async fn an_invite_does_not_overtake_its_senders_leave() {
    let three = three().await;
    let (room, bob) = two_in_a_room(&three).await;
    let leaving = leaving_in_vain(&three, &room, &bob).await;
    let Three { net, hub, b, c, .. } = &three;
    let carol = c.user("carol");
    let go_on = async {
        leaving.await.unwrap();
        assert_eq!(b.membership(&room, &bob).await, Some(Membership::Leave));
        net.stall(&b.name, false);
    };
    let (invited, ()) = tokio::join!(b.set_member(&bob, &room, &carol, "invite"), go_on);
    assert_eq!(invited.unwrap_err().status, 403);
    hub.until_membership(&room, &bob, Membership::Leave).await;
    assert_eq!(hub.membership(&room, &carol).await, None);
    until_agree(hub, b, &room).await;
    assert_eq!(b.rooms.counters().hub_faults(), 0);
}

/// The hub has put the user out before it heard of the leave, which it refuses then. It tells that later, and what the user
/// had said before.
#[tokio::test]
async fn a_leave_that_the_hub_refuses_counts_until_the_reason_is_told() {
    let three = three().await;
    let (room, bob) = two_in_a_room(&three).await;
    three.net.cut(&three.hub.name, &three.b.name);
    say_goodbye(&three, &room, &bob).await;
    let leaving = leaving_in_vain(&three, &room, &bob).await;
    let Three { net, hub, b, c, folders } = three;
    leaving.await.unwrap();
    hub.set_member(&hub.user("alice"), &room, &bob, "ban").await.unwrap();
    net.stall(&b.name, false);
    until("the leave is refused", async || b.store.pending_lpdus(None).await.unwrap().len() == 1).await;
    let left = b.kill();
    let b = net.start("b.test", left, &[]).await;
    assert_eq!(b.membership(&room, &bob).await, Some(Membership::Leave));
    net.mend();
    until_agree(&hub, &b, &room).await;
    assert_eq!(b.membership(&room, &bob).await, Some(Membership::Ban));
    assert_eq!(b.rooms.counters().hub_faults(), 0);
    drop((c, folders));
}

/// What bob has said the hub has taken and sent to nobody, as hubs do that forget their queues; then his stay ended.
async fn said_and_left(three: &Three) -> (RoomId, UserId) {
    let (room, bob) = unheard(three).await;
    let Three { b, .. } = three;
    say_goodbye(three, &room, &bob).await;
    b.rooms.leave(&bob, &room, Map::new()).await.unwrap();
    assert_eq!(b.store.pending_lpdus(None).await.unwrap().len(), 1, "what he said has not come back");
    (room, bob)
}

#[tokio::test]
async fn what_was_said_before_a_stay_ended_is_found_behind_the_next_join() {
    let three = three().await;
    let (room, bob) = said_and_left(&three).await;
    let Three { net, hub, b, .. } = &three;
    net.lose_all(&b.name, false);
    let beth = b.user("beth");
    b.join(&beth, &room, hub).await.unwrap();
    until("it is found", async || b.store.pending_lpdus(None).await.unwrap().is_empty()).await;
    for text in ["hello", "again"] {
        b.say(&beth, &room, text).await.unwrap();
    }
    assert_eq!(b.rooms.counters().hub_faults(), 0);
    assert_eq!(b.membership(&room, &bob).await, Some(Membership::Leave));
    assert_eq!(b.store.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_behind_a_join_is_looked_for_after_a_crash() {
    let three = three().await;
    let (room, _) = said_and_left(&three).await;
    let Three { net, hub, b, c, folders } = three;
    net.lose_all(&b.name, false);
    net.set_busy(&hub.name, true);
    b.join(&b.user("beth"), &room, &hub).await.unwrap();
    let left = b.kill();
    net.set_busy(&hub.name, false);
    let b = net.start("b.test", left, &[]).await;
    until("it is found", async || b.store.pending_lpdus(None).await.unwrap().is_empty()).await;
    assert_eq!(b.rooms.counters().hub_faults(), 0);
    drop((c, folders));
}
