//! A client with a device of MLS: everything it does goes over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axle_mls::algorithm::KEY_PACKAGE_ALGORITHM;
use axle_mls::event::{CommitContent, EncryptedContent, ProposalContent, RoomBinding, WelcomeContent};
use axle_mls::hub::{HubSender, Verdict, without_adds_of};
use axle_mls::member::{CommitPlan, HubState, MemoryStore};
use axle_mls::{CheckedKeyPackage, Credential, DeviceKey, Layering, Member, RoomEncryption};
use axle_protocol::{EventId, RoomId, ServerName, UserId, VerifyKey, base64};
use axle_server::Server;
use axle_server::listen::Api;
use serde_json::{Map, Value, json};

use crate::people::Person;

/// What differs from one request to the next.
static TXN: AtomicU64 = AtomicU64::new(0);

pub struct Phone {
    pub person: Person,
    pub member: Member,
    /// Where the sync was before anything happened to it.
    since: String,
}

/// What a commit or proposal has to say, and what it is appended with.
pub struct Prepared {
    pub binding: RoomBinding,
    pub hub: Option<HubSender>,
    pub member: Value,
}

impl Phone {
    /// Registers somebody whose device publishes itself and leaves KeyPackages.
    pub async fn register(server: &Server, name: &str) -> Self {
        let person = Person::register(server.addresses(Api::Client).next().unwrap(), name).await;
        let key = DeviceKey::generate(UserId::parse(&person.user_id).unwrap(), &person.device_id).unwrap();
        let mut member = Member::open(key, MemoryStore::default());
        let object: Value = serde_json::from_str(member.device_info().json()).unwrap();
        let keys: Map<String, Value> = (0..3).map(|_| key_package(&mut member)).collect();
        let (status, answer) = person.post("keys/upload", json!({"device_keys": object, "one_time_keys": keys})).await;
        assert_eq!(status, 200, "{answer}");
        let since = person.now().await;
        Self { person, member, since }
    }

    pub fn user_id(&self) -> &str {
        &self.person.user_id
    }

    /// A public room that is encrypted, with a group of this device alone. The power levels are these users'.
    pub async fn create_room(&mut self, layering: Layering, levels: Value) -> RoomId {
        let encryption = RoomEncryption { layering }.to_json();
        let rule = json!({"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "public"}});
        let body = json!({
            "creation_content": {"encryption": encryption}, "initial_state": [rule],
            "power_level_content_override": {"users": levels}
        });
        let (status, answer) = self.person.post("createRoom", body).await;
        assert_eq!(status, 200, "{answer}");
        let room = RoomId::parse(answer["room_id"].as_str().unwrap()).unwrap();
        let prepared = self.prepare(&room, json!({})).await;
        let hub = prepared.hub.filter(|_| layering == Layering::Bound);
        let pending = self.member.create_group(&room, layering, hub.as_ref(), &prepared.binding).unwrap();
        let event_id = self.send_commit(&room, &pending.content).await.unwrap();
        self.member.confirm(&room, &event_id).unwrap();
        room
    }

    pub async fn join(&self, room: &RoomId, via: &str) {
        let (status, answer) = self.person.post(&format!("join/{room}?server_name={via}"), json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// `GET group`.
    pub async fn group(&self, room: &RoomId) -> (u16, Value) {
        self.person.try_get(&path(room, "group")).await
    }

    /// The group as it is now.
    pub async fn group_now(&self, room: &RoomId) -> Value {
        let (status, answer) = self.group(room).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// `POST binding`.
    pub async fn prepare(&self, room: &RoomId, request: Value) -> Prepared {
        let (status, answer) = self.person.post(&path(room, "binding"), request).await;
        assert_eq!(status, 200, "{answer}");
        let ids = answer["auth_events"].as_array().unwrap().iter();
        let auth_events = ids.map(|id| EventId::parse(id.as_str().unwrap()).unwrap()).collect();
        let hash = answer["member"]["lpdu_hash"].as_str().map(|hash| base64::decode_array(hash).unwrap());
        let hub = answer["hub"].as_object().map(|hub| {
            let key = VerifyKey::from_base64(hub["key"].as_str().unwrap()).unwrap();
            HubSender::new(&ServerName::parse(hub["server_name"].as_str().unwrap()).unwrap(), &key)
        });
        let binding = RoomBinding { auth_events, member_event: hash };
        Prepared { binding, hub, member: answer["member"]["lpdu"].clone() }
    }

    /// Sends a commit; the code of the refusal if it is refused.
    pub async fn send_commit(&self, room: &RoomId, content: &CommitContent) -> Result<EventId, String> {
        self.send(room, CommitContent::EVENT_TYPE, content.to_content()).await
    }

    async fn send(&self, room: &RoomId, kind: &str, content: Map<String, Value>) -> Result<EventId, String> {
        let txn = TXN.fetch_add(1, Ordering::Relaxed);
        let answer = self.person.try_put(&format!("rooms/{room}/send/{kind}/{txn}"), content.into()).await;
        outcome(answer).map(|answer| EventId::parse(answer["event_id"].as_str().unwrap()).unwrap())
    }

    /// Makes and sends a commit of its own; nothing has changed if it is refused.
    pub async fn commit(&mut self, room: &RoomId, plan: CommitPlan) -> Result<EventId, String> {
        let pending = self.member.commit(room, plan).unwrap();
        let sent = self.send_commit(room, &pending.content).await;
        match &sent {
            Ok(event_id) => self.member.confirm(room, event_id).unwrap(),
            Err(_) => self.member.discard(room).unwrap(),
        }
        sent
    }

    /// A commit that brings new keys and nothing else, as it should be.
    pub async fn update_plan(&self, room: &RoomId) -> CommitPlan {
        let queued = self.queued(room).await;
        let binding = self.prepare(room, json!({})).await.binding;
        CommitPlan { update: true, queued, binding, ..CommitPlan::default() }
    }

    /// The proposals that wait.
    pub async fn queued(&self, room: &RoomId) -> Vec<Vec<u8>> {
        let group = self.group_now(room).await;
        let proposals = group["proposals"].as_array().unwrap().iter();
        proposals.map(|text| base64::decode(text.as_str().unwrap()).unwrap()).collect()
    }

    /// A KeyPackage of somebody's device.
    pub async fn claim(&self, of: &Person) -> CheckedKeyPackage {
        let wanted = json!({"one_time_keys": {&of.user_id: {&of.device_id: KEY_PACKAGE_ALGORITHM}}});
        let (_, answer) = self.person.post("keys/claim", wanted).await;
        let keys = answer["one_time_keys"][&of.user_id][&of.device_id].as_object();
        let key = keys.and_then(|keys| keys.values().next()?.as_str()).unwrap_or_else(|| panic!("{answer}"));
        CheckedKeyPackage::parse(&base64::decode(key).unwrap()).unwrap()
    }

    /// Adds somebody's device by a KeyPackage of it, and sends the Welcome.
    pub async fn add(&mut self, room: &RoomId, of: &Person) -> Result<EventId, String> {
        let add = vec![self.claim(of).await];
        let queued = self.queued(room).await;
        let binding = self.prepare(room, json!({"add": [of.user_id]})).await.binding;
        let plan = CommitPlan { add, queued, binding, ..CommitPlan::default() };
        let pending = self.member.commit(room, plan).unwrap();
        let event_id = match self.send_commit(room, &pending.content).await {
            Ok(event_id) => event_id,
            Err(code) => {
                self.member.discard(room).unwrap();
                return Err(code);
            }
        };
        self.member.confirm(room, &event_id).unwrap();
        let welcome = WelcomeContent { welcome: pending.welcome.unwrap(), commit_event_id: event_id.clone() };
        let messages = json!({&of.user_id: {&of.device_id: welcome.to_content()}});
        let txn = TXN.fetch_add(1, Ordering::Relaxed);
        self.person.put(&format!("sendToDevice/m.room.encrypted/{txn}"), json!({"messages": messages})).await;
        Ok(event_id)
    }

    /// Joins by the Welcome, with the tree that the hub has of its epoch.
    pub async fn join_group(&mut self, room: &RoomId, layering: Layering) {
        let welcome = |sync: &Value| {
            let events = sync["to_device"]["events"].as_array()?.iter();
            let content = events.filter_map(|event| event["content"].as_object());
            content.filter_map(|content| WelcomeContent::parse(content).ok()).next_back()
        };
        let welcome = self.person.sync_until(self.since.clone(), welcome).await;
        let at = path(room, &format!("group?commit={}", welcome.commit_event_id));
        let (status, state) = self.person.try_get(&at).await;
        assert_eq!(status, 200, "{state}");
        let fields: Vec<&String> = state.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["commit_event_id", "epoch", "group_info", "ratchet_tree"]);
        let tree = base64::decode(state["ratchet_tree"].as_str().unwrap()).unwrap();
        self.member.join(room, layering, &welcome, &tree).unwrap();
    }

    /// Joins by itself, with the state that the hub shows.
    pub async fn join_by_itself(&mut self, room: &RoomId, layering: Layering) -> Result<EventId, String> {
        let hub = self.hub_state(room).await;
        let binding = self.prepare(room, json!({})).await.binding;
        let pending = self.member.join_external(room, layering, &hub, &binding).unwrap();
        let event_id = self.send_commit(room, &pending.content).await?;
        self.member.confirm(room, &event_id).unwrap();
        Ok(event_id)
    }

    /// Joins the room and its group with one stroke; the ids of both events.
    pub async fn enter(&mut self, room: &RoomId) -> Result<(EventId, EventId), String> {
        let hub = self.hub_state(room).await;
        let member = json!({"user_id": self.user_id(), "membership": "join"});
        let prepared = self.prepare(room, json!({"member": member, "add": [self.user_id()]})).await;
        let pending = self.member.join_external(room, Layering::Bound, &hub, &prepared.binding).unwrap();
        self.pair(room, prepared.member, &pending.content).await
    }

    async fn hub_state(&self, room: &RoomId) -> HubState {
        let group = self.group_now(room).await;
        let bytes = |field: &str| base64::decode(group[field].as_str().unwrap()).unwrap();
        let last_commit = EventId::parse(group["commit_event_id"].as_str().unwrap()).unwrap();
        HubState { group_info: bytes("group_info"), ratchet_tree: bytes("ratchet_tree"), last_commit }
    }

    /// Has a member event appended together with its commit; nothing has changed if that is refused.
    async fn pair(
        &mut self,
        room: &RoomId,
        member: Value,
        commit: &CommitContent,
    ) -> Result<(EventId, EventId), String> {
        let body = json!({"member": member, "commit": commit.to_content()});
        let paired = match outcome(self.person.post(&path(room, "pair"), body.clone()).await) {
            Ok(paired) => {
                // As if it had not heard the answer.
                assert_eq!(outcome(self.person.post(&path(room, "pair"), body).await).as_ref(), Ok(&paired));
                paired
            }
            Err(code) => {
                self.member.discard(room).unwrap();
                return Err(code);
            }
        };
        let id = |field: &str| EventId::parse(paired[field].as_str().unwrap()).unwrap();
        self.member.confirm(room, &id("commit_event_id")).unwrap();
        Ok((id("member_event_id"), id("commit_event_id")))
    }

    /// An event, once it is here.
    pub async fn event(&self, room: &RoomId, event_id: &EventId) -> Value {
        let look = async {
            loop {
                let since = self.person.now().await;
                let (status, event) = self.person.try_get(&format!("rooms/{room}/event/{event_id}")).await;
                if status == 200 {
                    return event;
                }
                self.person.sync(Some(&since), 30_000).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), look).await.expect("the event never came")
    }

    /// Follows a commit of another device.
    pub async fn follow(&mut self, room: &RoomId, commit: &EventId) {
        let event = self.event(room, commit).await;
        let content = CommitContent::parse(event["content"].as_object().unwrap()).unwrap();
        self.member.process(room, &content, commit).unwrap();
    }

    /// Says something to the group.
    pub async fn say(&mut self, room: &RoomId, text: &str) -> Result<EventId, String> {
        let content = self.member.encrypt(room, text.as_bytes()).unwrap();
        self.send(room, EncryptedContent::EVENT_TYPE, content.to_content()).await
    }

    /// What somebody said.
    pub async fn hear(&mut self, room: &RoomId, event_id: &EventId) -> String {
        let event = self.event(room, event_id).await;
        let content = EncryptedContent::parse(event["content"].as_object().unwrap()).unwrap();
        let said = self.member.decrypt(room, &content).unwrap();
        assert_eq!(event["sender"], said.sender.user_id.as_str());
        String::from_utf8(said.plaintext).unwrap()
    }

    /// Kicks or bans somebody together with the commit that removes their device; the ids of both events.
    pub async fn remove(
        &mut self,
        room: &RoomId,
        whom: &Phone,
        membership: &str,
    ) -> Result<(EventId, EventId), String> {
        let queued = without_adds_of(&whom.member.credential().user_id, self.queued(room).await);
        self.put_out(room, whom.user_id(), membership, (vec![whom.member.credential().clone()], queued)).await
    }

    /// The same, with a commit that removes these devices and includes these proposals.
    pub async fn put_out(
        &mut self,
        room: &RoomId,
        user_id: &str,
        membership: &str,
        (remove, queued): (Vec<Credential>, Vec<Vec<u8>>),
    ) -> Result<(EventId, EventId), String> {
        let member = json!({"user_id": user_id, "membership": membership, "reason": "spam"});
        let prepared = self.prepare(room, json!({ "member": member })).await;
        let plan = CommitPlan { remove, queued, binding: prepared.binding, ..CommitPlan::default() };
        let pending = self.member.commit(room, plan).unwrap();
        self.pair(room, prepared.member, &pending.content).await
    }

    /// Leaves the room together with the proposal to remove this device; the id of the leave.
    pub async fn leave(&mut self, room: &RoomId) -> Result<EventId, String> {
        let member = json!({"user_id": self.user_id(), "membership": "leave"});
        let prepared = self.prepare(room, json!({ "member": member })).await;
        let proposal = self.member.leave(room, &prepared.binding).unwrap();
        let body = json!({"member": prepared.member, "proposal": proposal.to_content()});
        let paired = outcome(self.person.post(&path(room, "pair"), body.clone()).await)?;
        assert_eq!(paired.get("commit_event_id"), None);
        assert_eq!(outcome(self.person.post(&path(room, "pair"), body).await).as_ref(), Ok(&paired), "asked again");
        Ok(EventId::parse(paired["member_event_id"].as_str().unwrap()).unwrap())
    }

    /// Has the hub queue a proposal.
    pub async fn propose(&self, room: &RoomId, proposal: &ProposalContent) -> Result<(), String> {
        outcome(self.person.post(&path(room, "proposals"), proposal.to_content().into()).await).map(drop)
    }

    /// Says of a commit whether this device could apply it.
    pub async fn report(&self, room: &RoomId, commit: &EventId, verdict: Verdict) -> Result<Value, String> {
        let event = self.event(room, commit).await;
        let content = CommitContent::parse(event["content"].as_object().unwrap()).unwrap();
        let epoch = self.group_now(room).await["epoch"].as_u64().unwrap();
        let report = self.member.report(room, epoch, &content.message, verdict).to_json();
        let report = serde_json::from_str(&report).unwrap();
        outcome(self.person.post(&path(room, "reports"), report).await)
    }
}

/// A path of groups, from where the ordinary ones begin.
pub fn path(room: &RoomId, rest: &str) -> String {
    format!("../unstable/im.axle.mls.v1/rooms/{room}/{rest}")
}

fn outcome((status, answer): (u16, Value)) -> Result<Value, String> {
    match status {
        200 => Ok(answer),
        409 => Err(answer["errcode"].as_str().unwrap().strip_prefix("IM.AXLE.MLS.").unwrap().to_owned()),
        _ => Err(format!("{status} {}", answer["errcode"].as_str().unwrap())),
    }
}

fn key_package(member: &mut Member) -> (String, Value) {
    let bytes = member.key_package(false).unwrap();
    let key_id = CheckedKeyPackage::parse(&bytes).unwrap().key_id();
    (key_id, base64::encode(bytes).into())
}
