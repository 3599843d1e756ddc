//! What an event of 1 KB costs a hub, piece by piece, and beside it the bare cryptography that no hub can save.
//!
//! `cargo bench -p axle-protocol --bench hub_path`
#![allow(clippy::unwrap_used)]

use std::hint::black_box;

use axle_protocol::event::{Template, sha256};
use axle_protocol::signing::KeyMap;
use axle_protocol::{Event, EventId, KeyId, RoomVersion, ServerName, SigningKey, base64, canonical_json};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::json;

const VERSION: RoomVersion = RoomVersion::I1;
const EVENT_BYTES: usize = 1024;

struct Fixture {
    hub: ServerName,
    hub_key: SigningKey,
    keys: KeyMap,
    auth: Vec<EventId>,
    prev: Vec<EventId>,
    lpdu: Event,
    /// As the wire has it.
    json: Vec<u8>,
}

fn fixture() -> Fixture {
    let (hub, part) = (ServerName::parse("hub.example.org").unwrap(), ServerName::parse("part.example.org").unwrap());
    let key = |seed| SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[seed; 32]);
    let (hub_key, part_key) = (key(1), key(2));
    let mut keys = KeyMap::default();
    keys.insert(hub.clone(), hub_key.id().clone(), hub_key.verify_key());
    keys.insert(part.clone(), part_key.id().clone(), part_key.verify_key());
    let lpdu = |body: String| {
        let template = Template {
            room_id: "!some-room-id:hub.example.org".parse().unwrap(),
            event_type: "m.room.message".into(),
            state_key: None,
            sender: "@bob:part.example.org".parse().unwrap(),
            origin_server_ts: 1_700_000_000_000,
            content: json!({"msgtype": "m.text", "body": body}).as_object().unwrap().clone(),
        };
        template.into_lpdu(VERSION, &hub, &part, &part_key).unwrap()
    };
    let lpdu = lpdu("x".repeat(EVENT_BYTES - lpdu(String::new()).json().len()));
    let id = |seed: u8| EventId::from_reference_hash(&[seed; 32]);
    let json = lpdu.json().as_bytes().to_vec();
    Fixture { hub, hub_key, keys, auth: vec![id(1), id(2), id(3)], prev: vec![id(4)], lpdu, json }
}

impl Fixture {
    fn complete(&self, lpdu: &Event) -> Event {
        lpdu.complete(&self.auth, &self.prev, &self.hub, &self.hub_key).unwrap()
    }
}

fn hub_path(c: &mut Criterion) {
    let f = fixture();
    let pdu = f.complete(&f.lpdu);
    let mut group = c.benchmark_group("hub_path");
    // Everything between the bytes of an LPDU and the bytes of the PDU.
    group.bench_function("whole", |b| {
        b.iter(|| {
            let lpdu = Event::parse(black_box(&f.json), VERSION).unwrap();
            assert!(lpdu.verify(&f.keys).is_valid());
            let pdu = f.complete(&lpdu);
            (pdu.event_id().clone(), pdu.json().len())
        });
    });
    group.bench_function("parse", |b| b.iter(|| Event::parse(black_box(&f.json), VERSION).unwrap()));
    group.bench_function("verify", |b| b.iter(|| black_box(&f.lpdu).verify(&f.keys).is_valid()));
    group.bench_function("complete", |b| b.iter(|| f.complete(black_box(&f.lpdu))));
    group.bench_function("participant_parse_and_verify", |b| {
        b.iter(|| Event::parse(black_box(pdu.json().as_bytes()), VERSION).unwrap().verify(&f.keys).is_valid());
    });
    group.finish();
}

fn floor(c: &mut Criterion) {
    let f = fixture();
    let pdu = f.complete(&f.lpdu);
    let (lpdu_signed, lpdu_hashed) = (f.lpdu.redacted_lpdu_input().unwrap(), f.lpdu.lpdu_hash_input());
    let (pdu_signed, pdu_hashed) = (pdu.redacted_input(), pdu.content_hash_input());
    let part_key = SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[2; 32]);
    let (verify_key, signature) = (part_key.verify_key(), part_key.sign(lpdu_signed.as_bytes()));
    let verify = || assert!(verify_key.verify(black_box(lpdu_signed.as_bytes()), &signature));
    let sign = || f.hub_key.sign(black_box(pdu_signed.as_bytes()));
    let hashes = || [sha256(black_box(&lpdu_hashed)), sha256(&pdu_hashed), sha256(&pdu_signed)];
    let mut group = c.benchmark_group("floor");
    // The same signatures and hashes, of bytes that are already there.
    group.bench_function("cryptography", |b| {
        b.iter(|| {
            verify();
            (hashes(), sign())
        });
    });
    group.bench_function("verify", |b| b.iter(verify));
    group.bench_function("sign", |b| b.iter(sign));
    group.bench_function("three_sha256", |b| b.iter(hashes));
    group.bench_function("base64_signature", |b| b.iter(|| base64::encode(black_box([7; 64]))));
    group.finish();
}

fn json(c: &mut Criterion) {
    let f = fixture();
    let text = f.json;
    let value = canonical_json::parse(&text).unwrap();
    let mut group = c.benchmark_group("json");
    group.bench_function("parse", |b| b.iter(|| canonical_json::parse(black_box(&text)).unwrap()));
    group.bench_function("write", |b| b.iter(|| canonical_json::to_string(black_box(&value))));
    group.bench_function("drop", |b| b.iter_batched(|| value.clone(), drop, BatchSize::SmallInput));
    group.finish();
}

criterion_group!(benches, hub_path, floor, json);
criterion_main!(benches);
