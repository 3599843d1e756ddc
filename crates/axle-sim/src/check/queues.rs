//! What must hold of what goes from server to server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use axle_protocol::{EventId, RoomId, ServerName};
use axle_room::inbound::MAX_ANSWERS;
use axle_room::outbound::{Item, Source};

use crate::disk::RoomLog;
use crate::node::Node;
use crate::wire::NodeId;

/// One server's queue towards another, since the server started.
type Key = (NodeId, u64, ServerName);

/// What has gone from server to server.
#[derive(Default)]
pub(super) struct Queues {
    sent: BTreeMap<Key, Sent>,
    processed: BTreeMap<(NodeId, u64, NodeId), VecDeque<Arc<str>>>,
    received: BTreeMap<EventId, BTreeSet<ServerName>>,
}

#[derive(Default)]
struct Sent {
    transactions: BTreeMap<Arc<str>, Vec<EventId>>,
    places: BTreeSet<(u8, i64)>,
}

impl Queues {
    /// A server has worked through a transaction of another. Returns what is wrong with that.
    pub(super) fn processed(&mut self, node: &Node, from: NodeId, txn_id: Arc<str>) -> Option<String> {
        let last = self.processed.entry((node.id, node.epoch, from)).or_default();
        let again = last.contains(&txn_id);
        let wrong = again.then(|| format!("s{}: {txn_id} of s{from} was worked through twice", node.id));
        if last.len() >= MAX_ANSWERS {
            last.pop_front();
        }
        last.push_back(txn_id);
        wrong
    }

    /// A server has sent a transaction. Returns what is wrong with it.
    pub(super) fn transmitted(
        &mut self,
        node: &Node,
        to: &ServerName,
        txn_id: &Arc<str>,
        items: &[Item],
    ) -> Option<String> {
        let events = items.iter().filter(|item| matches!(item.source, Source::Event(_)));
        for event_id in events.filter_map(|item| item.event_id.as_ref()) {
            self.received.entry(event_id.clone()).or_default().insert(to.clone());
        }
        let sent = self.sent.entry((node.id, node.epoch, to.clone())).or_default();
        let ids: Vec<EventId> = items.iter().filter_map(|item| item.event_id.clone()).collect();
        let first = sent.transactions.entry(Arc::clone(txn_id)).or_insert_with(|| ids.clone());
        if *first != ids {
            return Some(format!("s{}: {txn_id} to {to} holds something else when repeated", node.id));
        }
        let mut wrong = None;
        for place in items.iter().map(|item| place(item.source)) {
            let is_late = sent.places.range((place.0, place.1 + 1)..=(place.0, i64::MAX)).next().is_some();
            if sent.places.insert(place) && is_late {
                wrong = Some(format!("s{}: {txn_id} to {to} is out of order", node.id));
            }
        }
        wrong
    }

    /// Whether only those got a hub's events who are in the room, or were until the event, or whom it is about.
    pub(super) fn check_recipients(&self, room_id: &RoomId, log: &RoomLog) -> Vec<String> {
        let mut members: BTreeMap<&str, bool> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (_, event) in log.ordered() {
            let mut entitled: BTreeSet<&str> = servers(&members);
            entitled.insert(event.sender().server_str());
            if let (Some(user), Some(membership)) = (event.state_key(), event.membership()) {
                entitled.insert(server_of(user));
                members.insert(user, membership == "join");
            }
            entitled.extend(servers(&members));
            let got = self.received.get(event.event_id()).into_iter().flatten();
            let undue = got.filter(|server| !entitled.contains(server.as_str()));
            wrong.extend(undue.map(|server| format!("{room_id}: {server} got {} and is not in it", event.event_id())));
        }
        wrong
    }
}

fn place(source: Source) -> (u8, i64) {
    match source {
        Source::Event(stream) => (0, stream),
        Source::Lpdu(id) => (1, id),
        Source::Edu(id) => (2, id),
        Source::Fleeting => (3, 0),
    }
}

fn servers<'a>(members: &BTreeMap<&'a str, bool>) -> BTreeSet<&'a str> {
    members.iter().filter(|(_, joined)| **joined).map(|(user, _)| server_of(user)).collect()
}

fn server_of(user: &str) -> &str {
    user.split_once(':').map_or("", |(_, server)| server)
}
