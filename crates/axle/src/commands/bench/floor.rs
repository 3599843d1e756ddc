//! The floor: what no hub can go below. Parse, verify one signature, three SHA-256, sign, write one 1 KB event, on one
//! core, with the cryptography of the product and none of its logic.

use std::error::Error;
use std::hint::black_box;

use axle_protocol::event::Template;
use axle_protocol::{
    Event, KeyId, RoomId, RoomVersion, ServerName, SigningKey, UserId, VerifyKey, canonical_json, event,
};

use super::machine::thread_cpu_time;

const EVENTS_PER_ROUND: u32 = 2_000;
/// Size of the event, in bytes of canonical JSON.
pub(super) const EVENT_BYTES: usize = 1_024;

/// Measures the floor, as often as wanted: a machine that others use is not the same from one minute to the next, so
/// what is compared with the floor has it measured beside it.
pub(super) struct Floor {
    key: SigningKey,
    verify_key: VerifyKey,
    message: String,
    signature: String,
    rounds: Vec<f64>,
}

impl Floor {
    pub(super) fn new() -> Result<Self, Box<dyn Error>> {
        let server = ServerName::parse("participant.example")?;
        let key = SigningKey::from_seed(KeyId::parse("ed25519:1")?, &[7; 32]);
        let message = sample(&server, &key)?.json().to_owned();
        let signature = key.sign(message.as_bytes());
        Ok(Self { verify_key: key.verify_key(), key, message, signature, rounds: Vec::new() })
    }

    /// CPU of one event now, in microseconds.
    pub(super) fn measure(&mut self) -> Result<f64, Box<dyn Error>> {
        let message = self.message.as_bytes();
        let start = thread_cpu_time()?;
        for _ in 0..EVENTS_PER_ROUND {
            let value = canonical_json::parse(black_box(message))?;
            if !self.verify_key.verify(black_box(message), &self.signature) {
                return Err("the floor's own signature is wrong".into());
            }
            for _ in 0..3 {
                black_box(event::sha256(black_box(message)));
            }
            black_box(self.key.sign(black_box(message)));
            black_box(canonical_json::to_string(&value));
        }
        let used = thread_cpu_time()?.saturating_sub(start);
        let micros = used.as_secs_f64() * 1e6 / f64::from(EVENTS_PER_ROUND);
        self.rounds.push(micros);
        Ok(micros)
    }

    /// What was measured so far.
    pub(super) fn rounds(&self) -> &[f64] {
        &self.rounds
    }
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

/// A text message whose LPDU has about `bytes` bytes.
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
