//! Sliding sync: connections, positions, waiting.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::sliding::{all, named, pos, room, rooms, well_formed, with_list};
use crate::common::{bodies, server, two_in_a_room, until_waiting};

#[tokio::test]
async fn it_is_announced() {
    let server = server().await;
    let versions = server.anonymous(reqwest::Method::GET, "/_matrix/client/versions", None).await.ok();
    assert_eq!(versions["unstable_features"]["org.matrix.simplified_msc3575"], true);
}

#[tokio::test]
async fn the_first_answer_has_everything_and_those_after_it_the_news() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let quiet = alice.create_room(json!({})).await;
    let mut request = all();
    request["txn_id"] = json!("one");
    let first = alice.slide("", request).await;
    well_formed(&first);
    assert_eq!((&first["txn_id"], &first["lists"]), (&json!("one"), &json!({"all": {"count": 2}})));
    assert_eq!(room(&first, &tea)["initial"], true);
    assert_eq!(room(&first, &tea)["membership"], "join");
    let nothing = alice.slide(&pos(&first), all()).await;
    well_formed(&nothing);
    assert_eq!((&nothing["rooms"], &nothing["lists"]), (&json!({}), &json!({"all": {"count": 2}})));
    bob.say(&tea, "one").await;
    bob.say(&tea, "two").await;
    let news = alice.slide(&pos(&nothing), all()).await;
    well_formed(&news);
    assert_eq!(rooms(&news), [tea.as_str()]);
    let part = room(&news, &tea);
    assert_eq!(bodies(&part["timeline"]), ["one", "two"]);
    assert_eq!((part["num_live"].as_u64(), part.get("initial"), part.get("limited")), (Some(2), None, None));
    assert!(room(&news, &quiet).is_null());
    assert_eq!(alice.slide(&pos(&news), all()).await["rooms"], json!({}));
}

#[tokio::test]
async fn a_request_may_be_repeated() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let first = alice.slide("", all()).await;
    bob.say(&tea, "one").await;
    let lost = alice.slide(&pos(&first), all()).await;
    let again = alice.slide(&pos(&first), all()).await;
    let texts = |answer: &Value| bodies(&room(answer, &tea)["timeline"]);
    assert_eq!((texts(&lost), texts(&again)), (vec!["one".to_owned()], vec!["one".to_owned()]));
    bob.say(&tea, "two").await;
    assert_eq!(texts(&alice.slide(&pos(&first), all()).await), ["one", "two"], "nothing is lost, whatever came");
    let next = alice.slide(&pos(&again), all()).await;
    assert_eq!(texts(&next), ["two"]);
    // Now that the client has gone on, what was before is over.
    alice.try_slide(&pos(&first), all()).await.fails(400, "M_UNKNOWN_POS");
    alice.slide(&pos(&next), all()).await;
}

#[tokio::test]
async fn an_unknown_position_begins_anew() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    for unknown in ["pos=p1_1_1", "pos=x", "pos=s1_1_1", "pos="] {
        alice.try_slide(unknown, all()).await.fails(400, "M_UNKNOWN_POS");
    }
    let first = alice.slide("", all()).await;
    bob.try_slide(&pos(&first), all()).await.fails(400, "M_UNKNOWN_POS");
    let phone = alice.log_in_again(json!({})).await;
    phone.try_slide(&pos(&first), all()).await.fails(400, "M_UNKNOWN_POS");
    let anew = alice.slide("", all()).await;
    assert_eq!(room(&anew, &tea)["initial"], true);
    alice.try_slide(&pos(&first), all()).await.fails(400, "M_UNKNOWN_POS");
    alice.slide(&pos(&anew), all()).await;
}

#[tokio::test]
async fn a_device_has_several_connections_and_not_any_number() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let one = alice.slide("", named("one", all())).await;
    let two = alice.slide("", named("two", all())).await;
    alice.try_slide(&pos(&one), named("two", all())).await.fails(400, "M_UNKNOWN_POS");
    bob.say(&tea, "hello").await;
    for (name, first) in [("one", &one), ("two", &two)] {
        let news = alice.slide(&pos(first), named(name, all())).await;
        assert_eq!(bodies(&room(&news, &tea)["timeline"]), ["hello"]);
    }
    for n in 0..7 {
        alice.slide("", named(&format!("more{n}"), all())).await;
    }
    alice.try_slide(&pos(&one), named("one", all())).await.fails(400, "M_UNKNOWN_POS");
    alice.slide(&pos(&two), named("two", all())).await;
    alice.try_slide("", named(&"x".repeat(256), all())).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_request_waits_for_news_and_not_for_others() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let elsewhere = bob.create_room(json!({})).await;
    let first = alice.slide("", all()).await;
    let waiting = tokio::spawn({
        let (alice, query) = (alice.clone(), format!("{}&timeout=30000", pos(&first)));
        async move { alice.slide(&query, all()).await }
    });
    until_waiting(&server).await;
    bob.say(&elsewhere, "not for alice").await;
    bob.say(&tea, "hello").await;
    let news = waiting.await.unwrap();
    assert_eq!(rooms(&news), [tea.as_str()]);
    assert_eq!(bodies(&room(&news, &tea)["timeline"]), ["hello"]);
    let start = Instant::now();
    let nothing = alice.slide(&format!("{}&timeout=300", pos(&news)), all()).await;
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(nothing["rooms"], json!({}));
    assert_eq!(alice.slide(&pos(&nothing), all()).await["rooms"], json!({}));
}

#[tokio::test]
async fn another_request_is_answered_although_the_last_one_still_waits() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let first = alice.slide("", with_list(json!({"ranges": [[5, 9]]}))).await;
    let waiting = tokio::spawn({
        let (alice, query) = (alice.clone(), format!("{}&timeout=50000", pos(&first)));
        async move { alice.try_slide(&query, with_list(json!({"ranges": [[5, 9]]}))).await }
    });
    until_waiting(&server).await;
    let news = alice.slide(&format!("{}&timeout=50000", pos(&first)), all()).await;
    assert_eq!(room(&news, &tea)["initial"], true);
    let news = alice.slide(&pos(&news), all()).await;
    // The client has gone on: who still waits for the last request gets nothing that counts.
    bob.say(&tea, "hello").await;
    waiting.await.unwrap().fails(400, "M_UNKNOWN_POS");
    let news = alice.slide(&pos(&news), all()).await;
    assert_eq!(bodies(&room(&news, &tea)["timeline"]), ["hello"]);
}

#[tokio::test]
async fn a_request_ends_with_its_session() {
    let server = server().await;
    let alice = server.person("alice").await;
    let first = alice.slide("", all()).await;
    let waiting = tokio::spawn({
        let (alice, query) = (alice.clone(), format!("{}&timeout=50000", pos(&first)));
        async move { alice.try_slide(&query, all()).await }
    });
    until_waiting(&server).await;
    alice.post("/_matrix/client/v3/logout", json!({})).await.ok();
    while !waiting.is_finished() {
        server.rooms.wake();
        tokio::task::yield_now().await;
    }
    waiting.await.unwrap().fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn consecutive_answers_neither_miss_nor_repeat() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    let request = with_list(json!({"timeline_limit": 100}));
    let mut answer = alice.slide("", request.clone()).await;
    let talking = tokio::spawn({
        let (bob, tea) = (bob.clone(), tea.clone());
        async move {
            for n in 0..60 {
                bob.say(&tea, &format!("{n:02}")).await;
            }
        }
    });
    let mut heard = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while heard.len() < 60 && Instant::now() < deadline {
        answer = alice.slide(&format!("{}&timeout=1000", pos(&answer)), request.clone()).await;
        if let Some(timeline) = room(&answer, &tea).get("timeline") {
            heard.extend(bodies(timeline));
        }
    }
    talking.await.unwrap();
    let expected: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn positions_are_good_for_pages_of_messages() {
    let server = server().await;
    let (alice, bob, tea) = two_in_a_room(&server).await;
    bob.say(&tea, "one").await;
    let first = alice.slide("", with_list(json!({"timeline_limit": 1}))).await;
    bob.say(&tea, "two").await;
    let token = first["pos"].as_str().unwrap();
    assert_eq!(alice.texts(&tea, &format!("dir=b&limit=1&from={token}")).await, ["one"]);
    bob.say(&tea, "three").await;
    let part = alice.slide(&pos(&first), with_list(json!({"timeline_limit": 1}))).await;
    let part = room(&part, &tea);
    assert_eq!((bodies(&part["timeline"]), &part["limited"]), (vec!["three".to_owned()], &json!(true)));
    let before = part["prev_batch"].as_str().unwrap();
    assert_eq!(alice.texts(&tea, &format!("dir=b&limit=2&from={before}")).await, ["two", "one"]);
}

#[tokio::test]
async fn what_asks_for_too_much_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    let lists = |count: usize| -> Value {
        let lists: serde_json::Map<_, _> = (0..count).map(|n| (n.to_string(), all()["lists"]["all"].clone())).collect();
        json!({"lists": lists})
    };
    alice.slide("", lists(100)).await;
    alice.try_slide("", lists(101)).await.fails(400, "M_INVALID_PARAM");
    let state: Vec<Value> = (0..501).map(|n| json!([format!("t{n}"), ""])).collect();
    alice.try_slide("", with_list(json!({"required_state": state}))).await.fails(400, "M_INVALID_PARAM");
    let tags: Vec<Value> = (0..501).map(|n| json!(format!("t{n}"))).collect();
    alice.try_slide("", with_list(json!({"filters": {"tags": tags}}))).await.fails(400, "M_INVALID_PARAM");
    for wrong in [json!({"timeline_limit": "x"}), json!({"ranges": [[-1, 2]]}), json!({"required_state": [["a"]]})] {
        alice.try_slide("", with_list(wrong)).await.fails(400, "M_BAD_JSON");
    }
    alice.try_slide("timeout=soon", all()).await.fails(400, "M_INVALID_PARAM");
    let huge = with_list(json!({"ranges": [[0, u64::MAX], [7, 3]], "timeline_limit": u64::MAX}));
    assert_eq!(alice.slide("", huge).await["lists"]["all"]["count"], 0);
}
