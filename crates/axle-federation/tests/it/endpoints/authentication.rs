//! Who may ask: signed by a current key of the origin, for this server, this method, this path and this body.

use std::time::Duration;

use axle_protocol::{KeyId, SigningKey};
use axle_store::Operator as _;
use serde_json::json;

use super::world::{HUB, PEER, World, keys_of};
use crate::support::{Answer, Ask, key, name};

const EVENT: &str = "/_matrix/federation/v2/event/$e";
const SEND: &str = "/_matrix/federation/v2/send/t";

/// A request with these `Authorization` headers and no other.
fn with_headers(ask: Ask, headers: &[&str]) -> Ask {
    Ask { authorization: headers.iter().map(|header| (*header).to_owned()).collect(), ..ask }
}

#[track_caller]
fn refused(world: &World, answer: &Answer) {
    answer.fails(401, "M_FORBIDDEN");
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn headers_that_are_missing_or_garbled() {
    let world = World::new().await;
    let good = Ask::get(EVENT).signed().authorization.remove(0);
    let long = format!("{good},x=\"{}\"", "y".repeat(5_000));
    let without_signature = good.split(",sig").next().unwrap();
    let garbled: &[&[&str]] = &[
        &[],
        &[""],
        &["Bearer abc"],
        &["Basic YTpi"],
        &["X-Matrix"],
        &["X-Matrix "],
        &["X-Matrix ,,,"],
        &["X-Matrix origin"],
        &["X-Matrix origin=\"a.test"],
        &["X-Matrix origin=a.test,key=ed25519:1,sig=\"x\\"],
        &["X-Matrix origin=\"a b\",key=\"ed25519:1\",sig=\"x\""],
        &["X-Matrix origin=\"a.test\",key=\"1\",sig=\"x\""],
        &["X-Matrix origin=\"a.test\",key=\"ed25519:1\",sig=\"\""],
        &["X-Matrix origin=\"a.test\",key=\"ed25519:1\",sig=\"not base64!\""],
        &["X-Matrix origin=\"a.test\",origin=\"a.test\",key=\"ed25519:1\",sig=\"x\""],
        &["X-Matrix origin=\"\u{e9}\u{0100}\",key=\"ed25519:1\",sig=\"x\""],
        &[without_signature],
        &[&long],
        &[&good, "garbage"],
        &[&good, ""],
    ];
    for headers in garbled {
        for ask in [Ask::get(EVENT), Ask::with("PUT", SEND, r#"{"pdus":[]}"#)] {
            refused(&world, &world.send(with_headers(ask, headers)).await);
        }
    }
}

#[tokio::test]
async fn every_header_must_hold() {
    let world = World::new().await;
    let second = SigningKey::from_seed(KeyId::parse("ed25519:2").unwrap(), &[4; 32]);
    world.peer_keys.publish(Some(keys_of(PEER, &world.hands, &[key(2), second.clone()], &[])));
    world.send(Ask::get(EVENT).signed().signed_by(PEER, HUB, &second)).await.ok();
    assert_eq!(world.service.calls().len(), 1);

    let forged = SigningKey::from_seed(KeyId::parse("ed25519:2").unwrap(), &[5; 32]);
    refused(&world, &world.send(Ask::get(EVENT).signed().signed_by(PEER, HUB, &forged)).await);
    // Of two servers, each right by itself.
    refused(&world, &world.send(Ask::get(EVENT).signed().signed_by("b.test", HUB, &key(3))).await);
    let good = Ask::get(EVENT).signed().authorization.remove(0);
    refused(&world, &world.send(with_headers(Ask::get(EVENT), &[good.as_str(); 9])).await);
    world.send(with_headers(Ask::get(EVENT), &[good.as_str(); 8])).await.ok();
}

#[tokio::test]
async fn the_signature_covers_all_of_the_request() {
    let world = World::new().await;
    let signed = |ask: Ask| ask.signed().authorization;
    let body = r#"{"pdus":[]}"#;
    let cases = [
        (Ask::get(EVENT), signed(Ask::get("/_matrix/federation/v2/event/$f"))),
        (Ask::get(EVENT), signed(Ask::get(&format!("{EVENT}?x=1")))),
        (Ask::get(&format!("{EVENT}?x=1")), signed(Ask::get(EVENT))),
        (Ask::get(EVENT), signed(Ask::with("PUT", EVENT, "{}"))),
        (Ask::get(EVENT), signed(Ask::with("GET", EVENT, r#"{"a":1}"#))),
        (Ask::with("PUT", SEND, body), signed(Ask::with("PUT", SEND, r#"{"edus":[],"pdus":[]}"#))),
        (Ask::with("PUT", SEND, body), signed(Ask::with("PUT", SEND, "{}"))),
        (Ask::with("PUT", SEND, body), signed(Ask { method: "PUT", ..Ask::get(SEND) })),
        (Ask::with("PUT", SEND, body), signed(Ask::with("POST", SEND, body))),
    ];
    for (ask, authorization) in cases {
        refused(&world, &world.send(Ask { authorization, ..ask }).await);
    }
}

#[tokio::test]
async fn origin_and_destination_must_be_who_they_are() {
    let world = World::new().await;
    let get = || Ask::get(EVENT);
    // Meant for somebody else; of somebody else; of ourselves; of somebody whose keys cannot be had.
    refused(&world, &world.send(get().signed_by(PEER, "b.test", &key(2))).await);
    refused(&world, &world.send(get().signed_by("b.test", HUB, &key(2))).await);
    refused(&world, &world.send(get().signed_by(HUB, HUB, &key(1))).await);
    refused(&world, &world.send(get().signed_by("nobody.test", HUB, &key(9))).await);
    // A header that names nobody as destination is Matrix's old form; the signature names us all the same.
    let header = get().signed().authorization.remove(0).replace("destination=\"hub.test\",", "");
    assert!(!header.contains("destination"));
    world.send(with_headers(get(), &[&header])).await.ok();
    let header = get().signed_by(PEER, "b.test", &key(2)).authorization.remove(0);
    let header = header.replace("destination=\"b.test\",", "");
    assert_eq!(world.service.calls().len(), 1);
    refused(&world, &world.send(with_headers(get(), &[&header])).await);
}

#[tokio::test]
async fn both_ways_to_sign_without_a_body_are_taken() {
    let world = World::new().await;
    world.send(Ask::get(EVENT).signed()).await.ok();
    let empty = Ask::with("GET", EVENT, "{}").signed().authorization;
    world.send(Ask { authorization: empty, ..Ask::get(EVENT) }).await.ok();
    let header = Ask::get(EVENT).signed().authorization.remove(0);
    // The draft's name of the parameter, tokens without quotes, other parameters.
    let header = header.replace("sig=", "Signature=").replace("X-Matrix ", "x-matrix   new=1,");
    let header = header.replace("\"a.test\"", "a.test");
    world.send(with_headers(Ask::get(EVENT), &[&header])).await.ok();
    assert_eq!(world.service.calls().len(), 3);
}

#[tokio::test]
async fn keys_that_expired_or_were_given_up_sign_nothing() {
    let world = World::new().await;
    world.send(Ask::get(EVENT).signed()).await.ok();
    world.service.calls();
    let retired = (key(2), world.hands.now());
    let new = SigningKey::from_seed(KeyId::parse("ed25519:new").unwrap(), &[6; 32]);
    // Two hours on, what was published is no longer valid; what is published now does not have the key any more.
    world.hands.advance(Duration::from_secs(2 * 3600));
    world.peer_keys.publish(Some(keys_of(PEER, &world.hands, std::slice::from_ref(&new), &[retired])));
    refused(&world, &world.send(Ask::get(EVENT).signed()).await);
    world.send(Ask::get(EVENT).signed_by(PEER, HUB, &new)).await.ok();
    world.service.calls();
    // And a server that publishes nothing valid cannot ask at all.
    world.hands.advance(Duration::from_secs(2 * 3600));
    world.peer_keys.publish(None);
    refused(&world, &world.send(Ask::get(EVENT).signed_by(PEER, HUB, &new)).await);
}

#[tokio::test]
async fn a_blocked_server_is_told_so() {
    let world = World::new().await;
    world.store.store.block_server(&name(PEER), true).await.unwrap();
    world.get(EVENT).await.fails(403, "M_FORBIDDEN");
    world.call("PUT", SEND, &json!({"pdus": []})).await.fails(403, "M_FORBIDDEN");
    assert_eq!(world.service.count(), 0);
    world.send(Ask::get("/_matrix/key/v2/server")).await.ok();
}

#[tokio::test]
async fn what_needs_no_authentication_ignores_it() {
    let world = World::new().await;
    for path in ["/_matrix/key/v2/server", "/_matrix/key/v2/query/hub.test", "/_matrix/federation/v1/version"] {
        world.send(with_headers(Ask::get(path), &["garbage"])).await.ok();
    }
}
