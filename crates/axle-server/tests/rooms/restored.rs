//! A hub that was put back from a backup.

use std::path::PathBuf;

use axle_client_api::RoomService as _;
use axle_federation::FederationService as _;
use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId};
use serde_json::json;

use crate::net::Server;
use crate::participants::{Three, three};
use crate::talk::{ids, until, until_agree};

/// Makes a backup; returns the folder of a server that is put back from it.
async fn back_up(server: &Server) -> PathBuf {
    let folder = server.folder.join("restored");
    std::fs::create_dir(&folder).unwrap();
    server.store.backup(&folder.join("axle.db")).await.unwrap();
    folder
}

async fn until_complete(server: &Server) {
    let what = format!("{} is complete", server.name);
    until(&what, async || server.store.restored_rooms().await.unwrap().is_empty()).await;
}

fn is_held(error: &MatrixError) -> bool {
    error.status == 429 && error.error.contains("restored from a backup")
}

#[tokio::test]
async fn a_hub_gets_back_what_it_has_forgotten() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, anna, bob, carol) = (hub.user("alice"), hub.user("anna"), b.user("bob"), c.user("carol"));
    let (room, quiet) = (hub.create(&alice, "public").await, hub.create(&alice, "public").await);
    b.join(&bob, &room, &hub).await.unwrap();
    hub.say(&alice, &room, "before").await.unwrap();
    let folder = back_up(&hub).await;
    // More than one page, from everywhere, and a server that was not in the room before.
    hub.join(&anna, &room, &hub).await.unwrap();
    c.join(&carol, &room, &hub).await.unwrap();
    for i in 0..60 {
        hub.say(&alice, &room, &format!("a{i}")).await.unwrap();
        b.say(&bob, &room, &format!("b{i}")).await.unwrap();
    }
    b.set(&bob, &room, "m.room.member", bob.as_str(), json!({"membership": "join", "displayname": "Bob"}))
        .await
        .unwrap();
    hub.set_member(&alice, &room, &carol, "ban").await.unwrap();
    c.until_membership(&room, &carol, Membership::Ban).await;
    until_agree(&hub, &b, &room).await;
    let timeline = ids(&hub.timeline(&room).await);
    drop(hub);

    let hub = net.start("hub.test", folder, &[]).await;
    until_complete(&hub).await;
    assert_eq!(ids(&hub.timeline(&room).await), timeline);
    assert_eq!(hub.membership(&room, &anna).await, Some(Membership::Join));
    assert!(c.join(&carol, &room, &hub).await.is_err(), "the ban holds");
    // It goes on where it was, and nobody sees anything wrong.
    hub.say(&alice, &quiet, "nobody else is here").await.unwrap();
    hub.say(&anna, &room, "after").await.unwrap();
    b.say(&bob, &room, "here too").await.unwrap();
    until_agree(&hub, &b, &room).await;
    assert_eq!(b.rooms.counters().hub_faults(), 0);
    assert!(hub.store.check().await.unwrap().is_empty());
    drop((c, folders));
}

#[tokio::test]
async fn nothing_new_is_made_before_the_others_have_answered() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, bob) = (hub.user("alice"), b.user("bob"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    let folder = back_up(&hub).await;
    let lost = hub.say(&alice, &room, "lost").await.unwrap();
    b.until_has(&room, &lost).await;
    drop(hub);

    net.set_down(&b.name, true);
    let hub = net.start("hub.test", folder, &[]).await;
    for _ in 0..2 {
        let refused = hub.say(&alice, &room, "too early").await.unwrap_err();
        assert!(is_held(&refused), "{refused:?}");
    }
    assert!(hub.texts(&room).await.is_empty(), "it can be read");
    // The next start goes on waiting.
    let left = hub.kill();
    let hub = net.start("hub.test", left, &[]).await;
    assert!(is_held(&hub.say(&alice, &room, "too early").await.unwrap_err()));
    net.set_down(&b.name, false);
    until_complete(&hub).await;
    assert!(hub.has(&room, &lost).await);
    until("the room is open", async || hub.say(&alice, &room, "now").await.is_ok()).await;
    until_agree(&hub, &b, &room).await;
    assert_eq!(b.rooms.counters().hub_faults(), 0);
    drop((c, folders));
}

#[tokio::test]
async fn only_the_hub_is_told_what_follows() {
    let Three { hub, b, c, .. } = &three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, hub).await.unwrap();
    c.join(&carol, &room, hub).await.unwrap();
    let first = hub.say(&alice, &room, "one").await.unwrap();
    let second = hub.say(&alice, &room, "two").await.unwrap();
    b.until_has(&room, &second).await;
    let following =
        async |of: &Server, by: &Server, room: &RoomId| of.rooms.following(&by.name, room, &first, 10).await;
    let told = following(b, hub, &room).await.unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("two"));
    assert_eq!(following(b, c, &room).await.unwrap_err().status, 403, "not the hub");
    assert_eq!(following(hub, b, &room).await.unwrap_err().status, 403, "of the hub");
    let elsewhere = hub.create(&alice, "public").await;
    b.join(&bob, &elsewhere, hub).await.unwrap();
    assert_eq!(following(b, hub, &elsewhere).await.unwrap_err().status, 404, "an event of another room");
}

/// A participant that has missed something asks the hub for it, which may have forgotten just that.
#[tokio::test]
async fn what_was_forgotten_is_not_given_up() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    c.join(&carol, &room, &hub).await.unwrap();
    let folder = back_up(&hub).await;
    net.lose_all(&c.name, true);
    let missed = hub.say(&alice, &room, "missed").await.unwrap();
    b.until_has(&room, &missed).await;
    until("the loss", async || hub.store.pending_destinations().await.unwrap().is_empty()).await;
    net.lose_all(&c.name, false);
    net.set_down(&b.name, true);
    net.cut(&c.name, &hub.name);
    let later = hub.say(&alice, &room, "later").await.unwrap();
    until("what shows the gap", async || c.store.event(&later).await.unwrap().is_some()).await;
    // It will have more to tell, once the gap is filled.
    let early = c.rooms.following(&hub.name, &room, &missed, 10).await.unwrap_err();
    assert_eq!(early.status, 429, "{early:?}");
    drop(hub);

    let hub = net.start("hub.test", folder, &[]).await;
    for refused in [
        hub.rooms.event(&c.name, &missed).await.unwrap_err(),
        hub.rooms.backfill(&c.name, &room, &missed, 10).await.unwrap_err(),
        hub.rooms.state(&c.name, &room, &later).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(is_held(&refused), "{refused:?}");
    }
    net.mend();
    net.set_down(&b.name, false);
    until_complete(&hub).await;
    c.until_has(&room, &missed).await;
    until_agree(&hub, &c, &room).await;
    assert_eq!((b.rooms.counters().hub_faults(), c.rooms.counters().hub_faults()), (0, 0));
    drop(folders);
}

/// Who came in after the backup is in the room, which the hub does not know yet.
#[tokio::test]
async fn nobody_is_refused_for_what_the_hub_has_forgotten() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, anna, bob, carol) = (hub.user("alice"), hub.user("anna"), b.user("bob"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    let folder = back_up(&hub).await;
    c.join(&carol, &room, &hub).await.unwrap();
    hub.join(&anna, &room, &hub).await.unwrap();
    hub.set_member(&alice, &room, &b.user("beth"), "invite").await.unwrap();
    hub.set(&alice, &room, "m.room.join_rules", "", json!({"join_rule": "invite"})).await.unwrap();
    until_agree(&hub, &b, &room).await;
    until_agree(&hub, &c, &room).await;
    drop(hub);

    net.set_down(&b.name, true);
    let hub = net.start("hub.test", folder, &[]).await;
    let said = tokio::spawn({
        let (room, carol) = (room.clone(), carol.clone());
        async move { (c.say(&carol, &room, "from outside, as it seems").await, c) }
    });
    let refused = hub.say(&anna, &room, "the same").await.unwrap_err();
    assert!(is_held(&refused), "{refused:?}");
    net.set_down(&b.name, false);
    let (said, c) = said.await.unwrap();
    until_complete(&hub).await;
    assert!(hub.has(&room, &said.unwrap()).await);
    until_agree(&hub, &c, &room).await;
    assert_eq!((b.rooms.counters().hub_faults(), c.rooms.counters().hub_faults()), (0, 0));
    drop(folders);
}

/// The only server that knows the rest tells a part first: by that part it is out of the room, and it has come back since.
#[tokio::test]
async fn who_has_told_a_part_is_asked_for_the_rest() {
    let Three { net, hub, b, c, folders } = three().await;
    let (alice, bob, beth, carol) = (hub.user("alice"), b.user("bob"), b.user("beth"), c.user("carol"));
    let room = hub.create(&alice, "public").await;
    b.join(&bob, &room, &hub).await.unwrap();
    until_agree(&hub, &b, &room).await;
    let folder = back_up(&hub).await;
    // Beth's join is on its way when bob is put out, and does not come to the hub before carol's.
    net.stall(&b.name, true);
    let joining = {
        let (rooms, via, beth, room) = (b.rooms.clone(), hub.name.clone(), beth.clone(), room.clone());
        tokio::spawn(async move { rooms.join(&beth, &room, &[via], serde_json::Map::new()).await })
    };
    until("the join is queued", async || b.store.pending_lpdus(None).await.unwrap().len() == 1).await;
    let ban = hub.set_member(&alice, &room, &bob, "ban").await.unwrap();
    b.until_membership(&room, &bob, Membership::Ban).await;
    c.join(&carol, &room, &hub).await.unwrap();
    net.stall(&b.name, false);
    joining.await.unwrap().unwrap();
    until_agree(&hub, &b, &room).await;
    let timeline = ids(&hub.timeline(&room).await);
    drop(hub);

    // What it tells first ends before carol's join, whose signature cannot be checked yet.
    net.hide_keys(&c.name, true);
    let hub = net.start("hub.test", folder, &[]).await;
    hub.until_has(&room, &ban).await;
    // Once for the part, once in vain, and again.
    until("it is asked again", async || net.followings() >= 3).await;
    assert_eq!(hub.membership(&room, &carol).await, None);
    // The next start does not know less.
    let left = hub.kill();
    let hub = net.start("hub.test", left, &[]).await;
    net.hide_keys(&c.name, false);
    until_complete(&hub).await;
    assert_eq!(ids(&hub.timeline(&room).await), timeline);
    drop((b, c, folders));
}
