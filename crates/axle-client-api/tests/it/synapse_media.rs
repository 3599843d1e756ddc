//! What administrators do with media, as Synapse's tools know it.

use serde_json::{Value, json};

use crate::common::{Person, server, two_in_a_room};
use crate::media::{download, files, upload};
use crate::synapse::admin as root;

const ADMIN: &str = "/_synapse/admin/v1";
/// Milliseconds, in a time that has not come.
const LATER: &str = "before_ts=32503680000000";

fn id(media: &str) -> &str {
    media.split('/').nth(1).unwrap()
}

async fn status(who: &Person, media: &str) -> u16 {
    download(who, &format!("/_matrix/client/v1/media/download/{media}"), &[]).await.status
}

#[tokio::test]
async fn uploads_are_listed_and_deleted() {
    let server = server().await;
    let (root, alice, bob) = (root(&server).await, server.person("alice").await, server.person("bob").await);
    let first = upload(&alice, "?filename=a.txt", "text/plain", b"first").await;
    let second = upload(&alice, "", "text/plain", b"second").await;
    let same = upload(&bob, "", "text/plain", b"first").await;
    let path = format!("{ADMIN}/users/{}/media", alice.user_id);
    let listed = root.get(&path).await.ok();
    assert_eq!((listed["total"].clone(), listed["media"].as_array().unwrap().len()), (json!(2), 2));
    let page = root.get(&format!("{path}?limit=1")).await.ok();
    assert_eq!(page["next_token"], 1);
    let rest = root.get(&format!("{path}?limit=1&from=1")).await.ok();
    assert_eq!(rest["next_token"], Value::Null);
    let names = [&page, &rest].map(|page| page["media"][0]["media_id"].as_str().unwrap().to_owned());
    assert!(names.contains(&id(&first).to_owned()) && names.contains(&id(&second).to_owned()));
    root.get(&format!("{path}?order_by=shoe_size")).await.fails(400, "M_INVALID_PARAM");

    let deleted = root.delete(&format!("{ADMIN}/media/{first}"), json!({})).await.ok();
    assert_eq!(deleted, json!({"deleted_media": [id(&first)], "total": 1}));
    root.delete(&format!("{ADMIN}/media/{first}"), json!({})).await.fails(404, "M_NOT_FOUND");
    root.delete(&format!("{ADMIN}/media/other.org/x"), json!({})).await.fails(400, "M_UNKNOWN");
    assert_eq!((status(&bob, &first).await, status(&bob, &same).await), (404, 200), "the content is Bob's, too");
    assert_eq!(root.delete(&path, json!({})).await.ok()["total"], 1);
    assert_eq!(status(&bob, &second).await, 404);
    assert_eq!((root.get(&path).await.ok()["total"].clone(), files(&server.media).len()), (json!(0), 1));
}

#[tokio::test]
async fn old_and_large_ones_go_and_what_is_shown_stays() {
    let server = server().await;
    let (root, alice) = (root(&server).await, server.person("alice").await);
    let small = upload(&alice, "", "text/plain", b"small").await;
    let large = upload(&alice, "", "text/plain", &[7; 1000]).await;
    let avatar = upload(&alice, "", "image/png", &[8; 1000]).await;
    let of_room = upload(&alice, "", "image/png", &[9; 1000]).await;
    let shown = json!({"avatar_url": format!("mxc://{avatar}")});
    alice.put(&format!("/_matrix/client/v3/profile/{}/avatar_url", alice.user_id), shown).await.ok();
    let room = alice.create_room(json!({})).await;
    alice.set_state(&room, "m.room.avatar", json!({"url": format!("mxc://{of_room}")})).await;
    root.post(&format!("{ADMIN}/media/delete?before_ts=1800000000"), json!({})).await.fails(400, "M_INVALID_PARAM");
    root.post(&format!("{ADMIN}/media/delete"), json!({})).await.fails(400, "M_INVALID_PARAM");
    let old = root.post(&format!("{ADMIN}/media/delete?before_ts=1000000000000"), json!({})).await.ok();
    assert_eq!(old["total"], 0);
    let deleted = root.post(&format!("{ADMIN}/media/delete?{LATER}&size_gt=999"), json!({})).await.ok();
    assert_eq!(deleted, json!({"deleted_media": [id(&large)], "total": 1}));
    let path = format!("{ADMIN}/media/example.org/delete?{LATER}&keep_profiles=false");
    assert_eq!(root.post(&path, json!({})).await.ok()["total"], 3);
    for media in [small, avatar, of_room] {
        assert_eq!(status(&alice, &media).await, 404);
    }
    assert!(files(&server.media).is_empty());
}

#[tokio::test]
async fn what_was_fetched_from_others_is_purged() {
    let server = server().await;
    let (root, alice) = (root(&server).await, server.person("alice").await);
    server.remote.file("media other.org cat", vec![Ok(b"meow"[..].into())], None);
    assert_eq!(status(&alice, "other.org/cat").await, 200);
    let own = upload(&alice, "", "text/plain", b"mine").await;
    let purge = async |before: &str| root.post(&format!("{ADMIN}/purge_media_cache?{before}"), json!({})).await;
    assert_eq!(purge("before_ts=1000000000000").await.ok(), json!({"deleted": 0}));
    assert_eq!(purge(LATER).await.ok(), json!({"deleted": 1}));
    purge("").await.fails(400, "M_INVALID_PARAM");
    assert_eq!((files(&server.media).len(), status(&alice, &own).await), (1, 200));
    assert_eq!(status(&alice, "other.org/cat").await, 200, "it is fetched again");
    assert_eq!(server.remote.asked().len(), 2);
}

#[tokio::test]
async fn nobody_gets_what_is_quarantined() {
    let server = server().await;
    let root = root(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    server.remote.file("media other.org cat", vec![Ok(b"meow"[..].into())], None);
    assert_eq!(status(&alice, "other.org/cat").await, 200);
    let bad = upload(&alice, "", "text/plain", b"bad").await;
    let again = upload(&bob, "", "text/plain", b"bad").await;
    let good = upload(&alice, "", "text/plain", b"good").await;
    let quarantine = async |what: &str| root.post(&format!("{ADMIN}/{what}"), json!({})).await;
    assert_eq!(quarantine(&format!("media/quarantine/{bad}")).await.ok(), json!({}));
    for media in [&bad, &again] {
        assert_eq!(status(&alice, media).await, 404);
        let open = download(&alice, &format!("/_matrix/media/v3/download/{media}"), &[]).await;
        assert_eq!(open.status, 404);
        let small = format!("/_matrix/client/v1/media/thumbnail/{media}?width=9&height=9");
        assert_eq!(download(&alice, &small, &[]).await.status, 404);
    }
    let listed = root.get(&format!("{ADMIN}/users/{}/media", bob.user_id)).await.ok();
    assert_eq!(listed["media"][0]["quarantined_by"], "@root:example.org");
    assert_eq!(status(&alice, &good).await, 200);
    quarantine(&format!("media/unquarantine/{again}")).await.ok();
    assert_eq!(status(&alice, &bad).await, 200);
    quarantine("media/quarantine/example.org/nosuch").await.fails(404, "M_NOT_FOUND");

    // Of a room, and of a user.
    let file = json!({"file": {"url": format!("mxc://{bad}")}, "msgtype": "m.file", "body": "x"});
    alice.send(&room, "m.room.message", file).await;
    let thumbnail = json!({"thumbnail_url": "mxc://other.org/cat"});
    alice.send(&room, "m.room.message", json!({"url": "mxc://other.org/none", "info": thumbnail})).await;
    let media = root.get(&format!("{ADMIN}/room/{room}/media")).await.ok();
    let local = [format!("mxc://{bad}")];
    assert_eq!(media, json!({"local": local, "remote": ["mxc://other.org/none", "mxc://other.org/cat"]}));
    root.get(&format!("{ADMIN}/room/!nosuch:example.org/media")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(quarantine(&format!("room/{room}/media/quarantine")).await.ok(), json!({"num_quarantined": 2}));
    assert_eq!((status(&alice, &bad).await, status(&alice, "other.org/cat").await), (404, 404));
    let path = format!("user/{}/media/quarantine", alice.user_id);
    assert_eq!(quarantine(&path).await.ok(), json!({"num_quarantined": 1}));
    assert_eq!(status(&alice, &good).await, 404);
}

#[tokio::test]
async fn what_users_have_uploaded_is_counted() {
    let server = server().await;
    let (root, alice, bob) = (root(&server).await, server.person("alice").await, server.person("bob").await);
    let profile = format!("/_matrix/client/v3/profile/{}/displayname", bob.user_id);
    bob.put(&profile, json!({"displayname": "Aaron"})).await.ok();
    for content in [b"one".as_slice(), b"three"] {
        upload(&alice, "", "text/plain", content).await;
    }
    upload(&bob, "", "text/plain", &[7; 100]).await;
    let path = format!("{ADMIN}/statistics/users/media");
    let found = async |query: &str| root.get(&format!("{path}?{query}")).await.ok();
    let of_alice =
        json!({"user_id": "@alice:example.org", "displayname": "alice", "media_count": 2, "media_length": 8});
    let of_bob = json!({"user_id": "@bob:example.org", "displayname": "Aaron", "media_count": 1, "media_length": 100});
    assert_eq!(found("").await, json!({"users": [of_alice, of_bob], "total": 2}));
    for (query, first, second) in [
        ("dir=b", &of_bob, &of_alice),
        ("order_by=displayname", &of_bob, &of_alice),
        ("order_by=media_count", &of_bob, &of_alice),
        ("order_by=media_length&dir=f", &of_alice, &of_bob),
    ] {
        assert_eq!(found(query).await["users"], json!([first, second]), "{query}");
    }
    assert_eq!(found("limit=1").await, json!({"users": [of_alice], "total": 2, "next_token": 1}));
    assert_eq!(found("limit=1&from=1").await, json!({"users": [of_bob], "total": 2}));
    assert_eq!(found("search_term=AAR").await, json!({"users": [of_bob], "total": 1}));
    assert_eq!(found("search_term=lic").await["users"], json!([of_alice]));
    assert_eq!(found("until_ts=1000").await, json!({"users": [], "total": 0}));
    assert_eq!(found("from_ts=32503680000000").await["total"], 0);
    for refused in ["order_by=luck", "dir=x", "search_term=", "from_ts=5&until_ts=5", "limit=-1"] {
        root.get(&format!("{path}?{refused}")).await.fails(400, "M_INVALID_PARAM");
    }
}
