//! JSON lines.

use std::io::{self, Write};

use axle_sdk::{Event, EventEncryption, Membership};
use serde_json::{Map, Value, json};

use crate::commands::chat::request::Failure;

/// Writes one JSON object a line, each as soon as it is known.
pub(super) struct Output<W> {
    sink: W,
}

/// What a command made known beside its success.
pub(super) type Facts = Map<String, Value>;

/// Facts of this object.
pub(super) fn facts(value: Value) -> Facts {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An event with how it came, as a page of history shows it.
pub(super) fn marked(event: &Event) -> Value {
    let mut object = facts(json!(event));
    object.extend(sealing(event));
    Value::Object(object)
}

/// How an event came that was encrypted; nothing for others.
fn sealing(event: &Event) -> Facts {
    match &event.encryption {
        None => Facts::new(),
        Some(EventEncryption::Decrypted { device_id, epoch }) => {
            facts(json!({"encrypted": true, "epoch": epoch, "device_id": device_id}))
        }
        Some(EventEncryption::Failed { reason }) => facts(json!({"encrypted": true, "undecryptable": reason})),
    }
}

impl<W: Write> Output<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { sink }
    }

    pub(super) fn ready(&mut self, user_id: &str, server: &str, plain_because: Option<&str>) -> io::Result<()> {
        let encryption = plain_because.is_none();
        self.line(&json!({
            "type": "ready", "user_id": user_id, "server": server, "encryption": encryption, "plain_because": plain_because,
        }))
    }

    pub(super) fn event(&mut self, room_id: &str, event: &Event) -> io::Result<()> {
        let mut object = facts(json!({"type": "event", "room_id": room_id, "event": event}));
        object.extend(sealing(event));
        self.line(&Value::Object(object))
    }

    /// Something about encryption.
    pub(super) fn encryption(&mut self, kind: &str, what: Value) -> io::Result<()> {
        let mut object = facts(what);
        object.insert("type".to_owned(), json!(kind));
        self.line(&Value::Object(object))
    }

    pub(super) fn membership(
        &mut self,
        room_id: &str,
        before: Option<Membership>,
        now: Membership,
        sender: Option<&str>,
    ) -> io::Result<()> {
        let before = before.map(Membership::as_str);
        self.line(&json!({
            "type": "membership", "room_id": room_id, "before": before, "now": now.as_str(), "sender": sender,
        }))
    }

    pub(super) fn gap(&mut self, room_id: &str) -> io::Result<()> {
        self.line(&json!({"type": "gap", "room_id": room_id}))
    }

    pub(super) fn fault(&mut self, fault: Value) -> io::Result<()> {
        let mut object = facts(fault);
        object.insert("type".to_owned(), json!("fault"));
        self.line(&Value::Object(object))
    }

    pub(super) fn connection_lost(&mut self, error: &str, retry_in_ms: u128) -> io::Result<()> {
        self.line(&json!({
            "type": "connection", "state": "lost", "error": error,
            "retry_in_ms": u64::try_from(retry_in_ms).unwrap_or(u64::MAX),
        }))
    }

    pub(super) fn connection_restored(&mut self) -> io::Result<()> {
        self.line(&json!({"type": "connection", "state": "restored"}))
    }

    pub(super) fn result(&mut self, line: usize, command: &str, result: &Result<Facts, Failure>) -> io::Result<()> {
        let mut object = facts(json!({"type": "result", "line": line, "command": command, "ok": result.is_ok()}));
        match result {
            Ok(facts) => object.extend(facts.clone()),
            Err(failure) => {
                object.insert("errcode".to_owned(), json!(failure.errcode));
                object.insert("error".to_owned(), json!(failure.message));
            }
        }
        self.line(&Value::Object(object))
    }

    pub(super) fn end(&mut self, failed: usize) -> io::Result<()> {
        self.line(&json!({"type": "end", "failed": failed}))
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.sink, "{value}")?;
        self.sink.flush()
    }
}
