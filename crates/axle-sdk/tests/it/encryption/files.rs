//! Files that people send each other.

use axle_sdk::{Attachment, AttachmentError, NewFile, Source};

use super::device::{Device, until};
use super::hub::World;

const ALICE: &str = "@alice:hub.test";
const BOB: &str = "@bob:b.test";

fn recipe() -> NewFile {
    NewFile { name: "recipe.txt".into(), mimetype: "text/plain".into(), bytes: b"leaves and water".to_vec() }
}

/// The file of the message that came last.
fn last_file(device: &Device, room: &str) -> Attachment {
    let view = device.list.room(room).unwrap();
    Attachment::of(&view.timeline().items().next_back().unwrap().event.content).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_an_encrypted_room_is_read_by_who_reads_the_message() {
    let world = World::default();
    let (mut alice, mut bob) = (Device::new(&world, ALICE, "A").await, Device::new(&world, BOB, "B").await);
    let room = alice.create().await;
    world.lock().member(&room, BOB, BOB, "join");
    until("both are in", [&mut alice, &mut bob], |[a, b]| a.has_devices(&room, 2) && b.has_devices(&room, 2)).await;
    for transaction in ["f1", "f2"] {
        alice.encryption.send_file(&room, recipe(), transaction).await.unwrap();
    }
    until("bob has both", [&mut bob], |[bob]| bob.reads(&room) == ["recipe.txt", "recipe.txt"]).await;
    let attachment = last_file(&bob, &room);
    assert_eq!((attachment.name.as_str(), attachment.size), ("recipe.txt", Some(16)));
    assert_eq!(attachment.mimetype.as_deref(), Some("text/plain"));
    let Source::Encrypted(file) = attachment.source else { panic!("it is in the clear") };
    assert_eq!(file.uri(), "mxc://hub.test/1");

    let files = world.lock().files.clone();
    for kept in &files {
        // Whoever keeps it learns nothing but its size.
        assert_eq!((kept.mimetype.as_str(), kept.name.as_deref()), ("application/octet-stream", None));
        assert_eq!(kept.bytes.len(), 16);
        assert!(!kept.bytes.windows(6).any(|bytes| b"leaves and water".windows(6).any(|plain| plain == bytes)));
    }
    assert_ne!(files[0].bytes, files[1].bytes, "the same file is not recognised");
    assert_eq!(file.decrypt(files[1].bytes.clone()).unwrap(), b"leaves and water");
    assert_eq!(file.decrypt(files[0].bytes.clone()), Err(AttachmentError::Altered));
    let log = serde_json::to_string(&world.lock().rooms[&room].events).unwrap();
    assert!(!log.contains("mxc://") && !log.contains("recipe") && !log.contains("A256CTR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_plain_room_is_as_it_is() {
    let world = World::default();
    let mut alice = Device::new(&world, ALICE, "A").await;
    let room = world.lock().create(ALICE, serde_json::Map::new());
    alice.sync().await;
    alice.encryption.send_file(&room, recipe(), "f1").await.unwrap();
    until("it is there", [&mut alice], |[alice]| alice.has_read(&room, "recipe.txt")).await;
    assert_eq!(last_file(&alice, &room).source, Source::Plain("mxc://hub.test/0".into()));
    let kept = world.lock().files[0].clone();
    assert_eq!((kept.bytes.as_slice(), kept.mimetype.as_str()), (&b"leaves and water"[..], "text/plain"));
    assert_eq!(kept.name.as_deref(), Some("recipe.txt"));
}
