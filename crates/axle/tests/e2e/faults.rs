//! A hub that does what it must not: noticed, kept, and told to the operator and to the room's users.

use axle_protocol::event::Template;
use axle_protocol::signing::x_matrix::{SignedRequest, sign_request};
use axle_protocol::{EventId, RoomId, RoomVersion, ServerName, SigningKey, UserId, canonical_json};
use axle_server::key_file::SigningKeys;
use serde_json::{Value, json};

use crate::support::chat::Chat;
use crate::support::{Answer, Network, Server, until};

/// The hub's key, in the wrong hands.
struct Forger<'a> {
    network: &'a Network,
    name: ServerName,
    key: SigningKey,
}

impl<'a> Forger<'a> {
    fn of(network: &'a Network, server: &Server) -> Self {
        let keys = SigningKeys::load(&server.data().join("signing-keys.json")).unwrap();
        Self { network, name: ServerName::parse(server.name()).unwrap(), key: keys.current }
    }

    /// A message of somebody who is not in the room, finished and signed.
    fn message(&self, room: &str, create: &str, parent: &str, body: &str) -> String {
        let template = Template {
            room_id: RoomId::parse(room).unwrap(),
            event_type: "m.room.message".into(),
            state_key: None,
            sender: UserId::parse(format!("@stranger:{}", self.name)).unwrap(),
            origin_server_ts: 1_700_000_000_000,
            content: json!({ "msgtype": "m.text", "body": body }).as_object().unwrap().clone(),
        };
        let [create, parent] = [create, parent].map(|id| EventId::parse(id).unwrap());
        let event = template.into_pdu(RoomVersion::I1, &[create], &[parent], &self.name, &self.key).unwrap();
        event.json().to_owned()
    }

    /// Sends a transaction with an event, as the hub would.
    fn send(&self, to: &Server, txn: &str, event: &str) -> Value {
        let (uri, destination) = (format!("/_matrix/federation/v2/send/{txn}"), ServerName::parse(to.name()).unwrap());
        let body = json!({ "edus": [], "pdus": [serde_json::from_str::<Value>(event).unwrap()] });
        let mut content = String::new();
        canonical_json::write_value(&mut content, &body);
        let request = SignedRequest {
            method: "PUT",
            uri: &uri,
            origin: &self.name,
            destination: &destination,
            content: Some(&content),
        };
        let header = sign_request(&request, &self.key).to_header();
        let address = to.setup.federation.unwrap();
        let client = self.network.https(to.name(), address);
        let url = format!("https://{}:{}{uri}", to.name(), address.port());
        let request = client.put(url).header("Authorization", header).header("Content-Type", "application/json");
        Answer::of(request.body(content).send().unwrap()).ok()
    }
}

#[test]
fn what_a_hub_does_wrong_is_told_to_operators_and_users() {
    let mut network = Network::start(["hub.test", "one.test"]);
    let alice = network.servers[0].register("alice");
    let room = alice.create_room(&json!({ "preset": "public_chat", "name": "Tea" }));
    let mut bob = Chat::register(&network.servers[1], "bob");
    bob.ok(&format!("/join {room} hub.test"));
    let head = alice.say(&room, "before");
    bob.hear("before");
    assert_eq!(bob.ok("/faults")["faults"], json!([]));

    let forger = Forger::of(&network, &network.servers[0]);
    let log = alice.log(&room);
    let create = log[0]["event_id"].as_str().unwrap();
    let lie = forger.message(&room, create, &head, "I was never in this room");
    let answer = forger.send(&network.servers[1], "lie", &lie);
    let failed: Vec<_> = answer["failed_pdus"].as_object().unwrap().keys().cloned().collect();
    let [lie_id] = &failed[..] else { panic!("{answer}") };

    // The user is told at once.
    let told = bob.until(|line| line["type"] == "fault");
    assert_eq!((&told["room_id"], &told["hub"], &told["event_id"]), (&json!(room), &json!("hub.test"), &json!(lie_id)));
    assert_eq!(told["kind"], "forbidden");
    assert!(told["detail"].as_str().unwrap().contains("the sender is not in the room"), "{told}");
    assert_eq!(bob.ok("/faults")["faults"].as_array().unwrap().len(), 1);
    // The same again is no news, and the room goes on.
    forger.send(&network.servers[1], "again", &lie);
    alice.say(&room, "after");
    bob.hear("after");
    assert_eq!(bob.ok("/faults")["faults"].as_array().unwrap().len(), 1);
    drop(bob);

    let one = &mut network.servers[1];
    assert_eq!(one.metric("axle_hub_faults_total"), 1.0);
    one.kill();
    one.start();
    // What was noticed is kept, for the operator and for a client that comes anew.
    let listed = one.admin_ok(&["list-faults"], "");
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["room_id"], &listed[0]["hub"], &listed[0]["kind"]),
        (&json!(room), &json!("hub.test"), &json!("forbidden"))
    );
    let mut again = Chat::resume(one, "bob");
    again.until(|line| line["type"] == "fault" && line["event_id"] == *lie_id);
    // A rejected event is kept, and would be rejected again.
    assert_eq!(one.admin_ok(&["verify"], "")["problem_count"], 0);
    until("everything is delivered", || {
        (network.servers[0].metric("axle_outbound_pending_events") == 0.0).then_some(())
    });
}
