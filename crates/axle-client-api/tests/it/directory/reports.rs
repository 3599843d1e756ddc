//! Reports to the operator.

use axle_store::Report;
use serde_json::json;

use super::of;
use crate::common::{TestServer, server};

async fn reports(server: &TestServer) -> Vec<Report> {
    let reports = server.store.reports().await.unwrap().into_iter();
    let mut reports: Vec<Report> = reports.map(|kept| kept.report).collect();
    assert!(reports.iter().all(|report| report.at > 1_600_000_000_000));
    reports.iter_mut().for_each(|report| report.at = 0);
    reports
}

#[tokio::test]
async fn rooms_events_and_users_are_reported() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let event = alice.say(&room, "spam").await;
    let reported = Report {
        reporter: bob.user_id.clone(),
        at: 0,
        room_id: None,
        event_id: None,
        user_id: None,
        reason: "spam".into(),
    };
    let body = json!({"reason": "spam"});
    let path = of(&room, &format!("report/{event}"));
    // Whoever sees an event can report it, and whoever sees a room.
    bob.post(&of(&room, "report"), body.clone()).await.ok();
    bob.join(&room).await.ok();
    assert_eq!(bob.post(&path, json!({"reason": "spam", "score": -100})).await.ok(), json!({}));
    bob.post("/_matrix/client/v3/users/@alice:example.org/report", body.clone()).await.ok();
    bob.post("/_matrix/client/v3/users/@mallory:other.org/report", body.clone()).await.ok();
    bob.post(&path, json!({})).await.ok();
    let (of_room, of_event) = (Some(room.clone()), Some(event.clone()));
    let mallory = axle_protocol::UserId::parse("@mallory:other.org").unwrap();
    assert_eq!(
        reports(&server).await,
        [
            Report { room_id: of_room.clone(), ..reported.clone() },
            Report { room_id: of_room.clone(), event_id: of_event.clone(), ..reported.clone() },
            Report { user_id: Some(alice.user_id.clone()), ..reported.clone() },
            Report { user_id: Some(mallory), ..reported.clone() },
            Report { room_id: of_room, event_id: of_event, reason: String::new(), ..reported },
        ]
    );
}

#[tokio::test]
async fn what_nobody_sees_is_not_reported() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let (room, other) = (alice.create_room(json!({})).await, bob.create_room(json!({})).await);
    let event = alice.say(&room, "secret").await;
    let body = json!({"reason": "spam"});
    bob.post(&of(&room, "report"), body.clone()).await.fails(404, "M_NOT_FOUND");
    bob.post(&of(&room, &format!("report/{event}")), body.clone()).await.fails(404, "M_NOT_FOUND");
    bob.post(&of(&other, &format!("report/{event}")), body.clone()).await.fails(404, "M_NOT_FOUND");
    bob.post("/_matrix/client/v3/users/@nobody:example.org/report", body).await.fails(404, "M_NOT_FOUND");
    bob.post(&of(&other, "report"), json!({"reason": "x".repeat(5000)})).await.fails(413, "M_TOO_LARGE");
    assert!(reports(&server).await.is_empty());
}
