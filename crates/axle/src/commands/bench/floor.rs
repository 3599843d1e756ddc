//! The floor: what no hub can go below. Parse, verify one signature, three SHA-256, sign, write one 1 KB event, on one
//! core, with the cryptography of the product and none of its logic.

use std::error::Error;
use std::hint::black_box;

use axle_protocol::event::Template;
use axle_protocol::{Event, KeyId, RoomId, RoomVersion, ServerName, SigningKey, UserId, canonical_json, event};

use super::machine::thread_cpu_time;
use super::stats::Figure;

const ROUNDS: usize = 9;
const EVENTS_PER_ROUND: u32 = 4_000;
/// Size of the event, in bytes of canonical JSON.
pub(super) const EVENT_BYTES: usize = 1_024;

/// CPU of one event, in microseconds.
pub(super) fn measure() -> Result<Figure, Box<dyn Error>> {
    let server = ServerName::parse("participant.example")?;
    let key = SigningKey::from_seed(KeyId::parse("ed25519:1")?, &[7; 32]);
    let verify_key = key.verify_key();
    let json = sample(&server, &key)?.json().to_owned();
    let message = json.as_bytes();
    let signature = key.sign(message);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = thread_cpu_time()?;
        for _ in 0..EVENTS_PER_ROUND {
            let value = canonical_json::parse(black_box(message))?;
            if !verify_key.verify(black_box(message), &signature) {
                return Err("the floor's own signature is wrong".into());
            }
            for _ in 0..3 {
                black_box(event::sha256(black_box(message)));
            }
            black_box(key.sign(black_box(message)));
            black_box(canonical_json::to_string(&value));
        }
        let used = thread_cpu_time()?.saturating_sub(start);
        rounds.push(used.as_secs_f64() * 1e6 / f64::from(EVENTS_PER_ROUND));
    }
    Ok(Figure::of(rounds))
}

fn sample(server: &ServerName, key: &SigningKey) -> Result<Event, Box<dyn Error>> {
    let template = message(
        &RoomId::parse("!room:hub.example")?,
        &UserId::parse(format!("@bob:{server}"))?,
        1_700_000_000_000,
        EVENT_BYTES,
    );
    Ok(template.into_lpdu(RoomVersion::I1, &ServerName::parse("hub.example")?, server, key)?)
}

/// A text message whose finished event has about `bytes` bytes.
pub(super) fn message(room_id: &RoomId, sender: &UserId, origin_server_ts: i64, bytes: usize) -> Template {
    /// What an LPDU of a message has beside its text.
    const ENVELOPE_BYTES: usize = 480;
    let body = "x".repeat(bytes.saturating_sub(ENVELOPE_BYTES).max(1));
    let content = [("msgtype", "m.text".into()), ("body", body.into())];
    Template {
        room_id: room_id.clone(),
        event_type: "m.room.message".into(),
        state_key: None,
        sender: sender.clone(),
        origin_server_ts,
        content: content.into_iter().map(|(key, value): (&str, serde_json::Value)| (key.into(), value)).collect(),
    }
}
