//! `m.receipt`: how far somebody has read a room.

use axle_protocol::{EventId, RoomId, UserId};
use serde_json::{Value, json};

use super::{Envelope, Object, in_matrix_form, user_of};

pub(super) const TYPE: &str = "m.receipt";

/// Receipts of one EDU; what is beyond is ignored.
pub const MAX_RECEIPTS: usize = 500;
/// The only type that other servers learn of.
const READ: &str = "m.read";

/// Somebody has read a room, or a thread of it, up to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReceipt {
    /// The room.
    pub room_id: RoomId,
    /// Who.
    pub user_id: UserId,
    /// The event.
    pub event_id: EventId,
    /// `main`, or the id of a thread's first event; `None`: the room, whatever the thread.
    pub thread: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub ts: i64,
}

/// By room, type and user. Several events may be named; the last one is meant.
pub(super) fn parse(edu: Envelope<'_>) -> Option<Vec<ReadReceipt>> {
    let rooms = edu.content.iter().filter_map(|(room, types)| Some((RoomId::parse(room).ok()?, types.get(READ)?)));
    let receipts = rooms.flat_map(|(room_id, users)| {
        let users = users.as_object().into_iter().flatten();
        users.filter_map(move |(user, receipt)| {
            let data = receipt.get("data")?;
            let event_id = receipt.get("event_ids")?.as_array()?.last()?.as_str()?;
            let thread = match data.get("thread_id") {
                None => None,
                Some(thread) => Some(thread.as_str().filter(|thread| is_thread(thread))?.to_owned()),
            };
            Some(ReadReceipt {
                room_id: room_id.clone(),
                user_id: user_of(edu.origin, user)?,
                event_id: EventId::parse(event_id).ok()?,
                thread,
                ts: data.get("ts").and_then(Value::as_i64).filter(|ts| *ts >= 0)?,
            })
        })
    });
    let receipts: Vec<ReadReceipt> = receipts.take(MAX_RECEIPTS).collect();
    (!receipts.is_empty()).then_some(receipts)
}

fn is_thread(thread: &str) -> bool {
    thread == "main" || EventId::parse(thread).is_ok()
}

impl ReadReceipt {
    /// As it is sent.
    pub fn to_json(&self) -> String {
        let mut data = json!({"ts": self.ts});
        if let (Value::Object(data), Some(thread)) = (&mut data, &self.thread) {
            data.insert("thread_id".into(), json!(thread));
        }
        let receipt = json!({self.user_id.as_str(): {"data": data, "event_ids": [self.event_id.as_str()]}});
        let mut content = Object::new();
        content.insert(self.room_id.to_string(), json!({READ: receipt}));
        in_matrix_form(TYPE, content)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Edu;
    use super::super::tests::{read, user};
    use super::*;

    #[test]
    fn there_and_back() {
        let receipt = ReadReceipt {
            room_id: RoomId::parse("!r:hub.test").unwrap(),
            user_id: user("alice"),
            event_id: EventId::parse("$e").unwrap(),
            thread: Some("main".into()),
            ts: 7,
        };
        let json = receipt.to_json();
        assert_eq!(read(&json), Some(Edu::Receipts(vec![receipt.clone()])));
        for bad in [("a.test", "b.test"), ("m.read", "m.read.private"), ("main", "else"), (":7", ":-7"), ("$e", "e")] {
            assert_eq!(read(&json.replace(bad.0, bad.1)), None, "{bad:?}");
        }
        let unthreaded = ReadReceipt { thread: None, ..receipt };
        assert_eq!(read(&unthreaded.to_json()), Some(Edu::Receipts(vec![unthreaded])));
    }

    #[test]
    fn other_servers_users_are_left_out_and_there_is_an_end() {
        let receipt = json!({"data": {"ts": 1}, "event_ids": ["$a", "$b"]});
        let users = json!({"@alice:a.test": receipt, "@bob:b.test": receipt});
        let edu = json!({"type": "m.receipt", "content": {"!r:hub.test": {"m.read": users}, "no room": {"m.read": 7}}});
        let Some(Edu::Receipts(found)) = read(&edu.to_string()) else { panic!() };
        assert_eq!((found.len(), &found[0].user_id, found[0].event_id.as_str()), (1, &user("alice"), "$b"));
        let many: Object = (0..MAX_RECEIPTS + 9).map(|n| (format!("@u{n}:a.test"), receipt.clone())).collect();
        let edu = json!({"type": "m.receipt", "content": {"!r:hub.test": {"m.read": many}}});
        assert!(matches!(read(&edu.to_string()), Some(Edu::Receipts(found)) if found.len() == MAX_RECEIPTS));
    }
}
