//! A hub in memory that judges as a real one does, and the people's devices as it knows them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axle_mls::event::{CommitContent, EncryptedContent, ProposalContent};
use axle_mls::hub::{DeviceState, HubSender, PairedMember, Refusal, Report, RollBack, RoomView, Verdict};
use axle_mls::limits::KEPT_EPOCHS;
use axle_mls::{Credential, HubGroup, RoomEncryption};
use axle_protocol::event::sha256;
use axle_protocol::{EventId, KeyId, RoomId, ServerName, SigningKey, UserId, base64};
use axle_sdk::encryption::{Clock, system_clock};
use axle_sdk::{ApiError, Error};
use serde_json::{Map, Value, json};

pub(crate) const KEY_PACKAGE: &str = "m.mls.v1.key_package.dhkemx25519-aes128gcm-sha256-ed25519";

type Object = Map<String, Value>;

#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<Everything>>);

/// By user and device.
type Devices = BTreeMap<(String, String), Published>;

#[derive(Default)]
pub(crate) struct Everything {
    pub(crate) rooms: BTreeMap<String, Room>,
    pub(crate) devices: Devices,
    /// Users whose devices have changed, in order.
    pub(crate) changed: Vec<String>,
    /// Requests that are done and whose answer is lost, by what they ask for; how many more times.
    pub(crate) lost_answers: HashMap<&'static str, u32>,
    /// How far the time is put forward, in seconds.
    pub(crate) ahead: u64,
    /// Messages from device to device that never arrive.
    pub(crate) lose_welcomes: bool,
    /// Who is not told of history.
    pub(crate) without_history: BTreeSet<String>,
    /// Whose reports do not get through.
    pub(crate) unheard: BTreeSet<String>,
    /// What they have tried to report.
    pub(crate) tried: Vec<Value>,
    /// What was reported and did get through.
    pub(crate) heard: Vec<Value>,
    /// Whose commits are changed on their way, so that no member can apply them, and the hub cannot tell.
    pub(crate) spoiled: Option<String>,
    /// Events that the hub hides from users.
    pub(crate) hidden: HashMap<String, BTreeSet<String>>,
    /// Uploaded, by the number in their address.
    pub(crate) files: Vec<Uploaded>,
    /// Pairs that are in a room, by what was asked for.
    pairs: HashMap<String, Object>,
    counter: u64,
}

#[derive(Clone)]
pub(crate) struct Uploaded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mimetype: String,
    pub(crate) name: Option<String>,
}

#[derive(Default)]
pub(crate) struct Published {
    pub(crate) object: Option<Value>,
    pub(crate) credential: Option<Credential>,
    pub(crate) one_time: VecDeque<(String, Value)>,
    pub(crate) last_resort: Option<(String, Value)>,
    pub(crate) last_resort_used: bool,
    pub(crate) inbox: Vec<Value>,
    /// Its server tells the others of it, and not the hub.
    pub(crate) is_unknown_to_hub: bool,
}

pub(crate) struct Room {
    pub(crate) events: Vec<Value>,
    pub(crate) joined: BTreeSet<UserId>,
    pub(crate) member_events: BTreeMap<UserId, EventId>,
    pub(crate) group: Option<HubGroup>,
    /// The group's state after each epoch that is kept.
    snapshots: BTreeMap<u64, Vec<u8>>,
    /// What was reported: by whom, of which epoch, and whether it could be applied.
    pub(crate) reports: Vec<(String, u64, Verdict)>,
    transactions: HashMap<String, String>,
    fixed: BTreeSet<EventId>,
}

/// The room as the hub's rules see it.
struct View<'a> {
    joined: &'a BTreeSet<UserId>,
    member_events: &'a BTreeMap<UserId, EventId>,
    fixed: &'a BTreeSet<EventId>,
    devices: &'a Devices,
    paired: Option<PairedMember>,
}

impl RoomView for View<'_> {
    fn is_joined(&self, user: &UserId) -> bool {
        self.joined.contains(user)
    }

    fn is_world_readable(&self) -> bool {
        false
    }

    fn device(&self, user: &UserId, device_id: &str) -> DeviceState<'_> {
        let device = self.devices.get(&(user.to_string(), device_id.to_owned()));
        if device.is_some_and(|device| device.is_unknown_to_hub) {
            return DeviceState::Unknown;
        }
        device.and_then(|device| device.credential.as_ref()).map_or(DeviceState::Removed, DeviceState::Published)
    }

    fn auth_events(&self, sender: &UserId) -> BTreeSet<EventId> {
        self.fixed.iter().cloned().chain(self.member_event(sender)).collect()
    }

    fn member_event(&self, user: &UserId) -> Option<EventId> {
        self.member_events.get(user).cloned()
    }

    fn paired(&self) -> Option<&PairedMember> {
        self.paired.as_ref()
    }
}

impl World {
    /// The time, which is the system's unless a test puts it forward.
    pub(crate) fn clock(&self) -> Clock {
        let (world, system) = (self.clone(), system_clock());
        Arc::new(move || system() + world.lock().ahead)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Everything> {
        self.0.lock().unwrap()
    }
}

impl Everything {
    pub(crate) fn room(&mut self, id: &str) -> Result<&mut Room, Error> {
        self.rooms.get_mut(id).ok_or_else(|| api(404, "M_NOT_FOUND", "no such room"))
    }

    /// Whether the answer to this request is to be lost.
    pub(crate) fn loses(&mut self, what: &'static str) -> bool {
        let Some(left) = self.lost_answers.get_mut(what).filter(|left| **left > 0) else { return false };
        *left -= 1;
        true
    }

    pub(crate) fn append(
        &mut self,
        room: &str,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: &Value,
    ) -> EventId {
        self.counter += 1;
        let id = EventId::from_reference_hash(&sha256(self.counter.to_be_bytes()));
        let mut event = json!({
            "event_id": id.as_str(), "sender": sender, "type": kind, "content": content, "origin_server_ts": self.counter,
        });
        if let Some(key) = key {
            event["state_key"] = json!(key);
        }
        self.rooms.get_mut(room).unwrap().events.push(event);
        id
    }

    pub(crate) fn create(&mut self, creator: &str, mut content: Object) -> String {
        self.counter += 1;
        let id = format!("!room{}:hub.test", self.counter);
        content.entry("room_version").or_insert(json!("I.1"));
        let (events, joined, member_events) = (vec![], BTreeSet::new(), BTreeMap::new());
        let (transactions, fixed) = (HashMap::new(), BTreeSet::new());
        let (group, snapshots, reports) = (None, BTreeMap::new(), vec![]);
        let room = Room { events, joined, member_events, group, snapshots, reports, transactions, fixed };
        self.rooms.insert(id.clone(), room);
        let create = self.append(&id, creator, "m.room.create", Some(""), &Value::Object(content));
        self.rooms.get_mut(&id).unwrap().fixed.insert(create);
        self.member(&id, creator, creator, "join");
        id
    }

    pub(crate) fn power_levels(&mut self, room: &str, sender: &str, content: &Value) {
        let id = self.append(room, sender, "m.room.power_levels", Some(""), content);
        self.rooms.get_mut(room).unwrap().fixed.insert(id);
    }

    pub(crate) fn member(&mut self, room: &str, sender: &str, user: &str, membership: &str) -> EventId {
        let id = self.append(room, sender, "m.room.member", Some(user), &json!({ "membership": membership }));
        let room = self.rooms.get_mut(room).unwrap();
        let user = UserId::parse(user).unwrap();
        if membership == "join" {
            room.joined.insert(user.clone());
        } else {
            room.joined.remove(&user);
        }
        room.member_events.insert(user, id.clone());
        self.queue_removals();
        id
    }

    /// What a hub does when somebody has left.
    pub(crate) fn queue_removals(&mut self) {
        let (hub, key) = (hub_sender(), hub_key());
        for room in self.rooms.values_mut() {
            let Room { joined, member_events, fixed, group, .. } = room;
            let view = View { joined, member_events, fixed, devices: &self.devices, paired: None };
            if let Some(group) = group {
                group.queue_removals(&hub, &key, &view).unwrap();
            }
        }
    }

    fn group_of(&mut self, id: &str) -> Result<(&mut HubGroup, View<'_>), Error> {
        let room = self.rooms.get_mut(id).ok_or_else(|| api(404, "M_NOT_FOUND", "no such room"))?;
        let Room { joined, member_events, fixed, group, .. } = room;
        let view = View { joined, member_events, fixed, devices: &self.devices, paired: None };
        Ok((group.as_mut().ok_or_else(|| api(404, "M_NOT_FOUND", "no group"))?, view))
    }

    pub(crate) fn send(
        &mut self,
        room: &str,
        sender: &str,
        kind: &str,
        content: &Object,
        txn: &str,
    ) -> Result<EventId, Error> {
        let transaction = format!("{sender} {txn}");
        if let Some(id) = self.room(room)?.transactions.get(&transaction) {
            return Ok(EventId::parse(id).unwrap());
        }
        let user = UserId::parse(sender).unwrap();
        if !self.room(room)?.joined.contains(&user) {
            return Err(api(403, "M_FORBIDDEN", "not joined"));
        }
        let id = match kind {
            CommitContent::EVENT_TYPE if self.spoiled.as_deref() == Some(sender) => {
                self.commit(room, &user, &spoil(content), None)?
            }
            CommitContent::EVENT_TYPE => self.commit(room, &user, content, None)?,
            EncryptedContent::EVENT_TYPE => {
                let content = EncryptedContent::parse(content).map_err(|_| api(400, "M_BAD_JSON", "malformed"))?;
                self.group_of(room)?.0.check_message(&content, &user).map_err(refused)?;
                self.append(room, sender, kind, None, &Value::Object(content.to_content()))
            }
            _ => self.append(room, sender, kind, None, &Value::Object(content.clone())),
        };
        self.room(room)?.transactions.insert(transaction, id.to_string());
        Ok(id)
    }

    fn commit(
        &mut self,
        id: &str,
        sender: &UserId,
        content: &Object,
        paired: Option<PairedMember>,
    ) -> Result<EventId, Error> {
        let parsed = CommitContent::parse(content).map_err(|_| api(400, "M_BAD_JSON", "malformed"))?;
        let room_id = RoomId::parse(id).unwrap();
        let Room { joined, member_events, fixed, group, events, .. } = self.room(id)?;
        let layering = RoomEncryption::of_create(events[0]["content"].as_object().unwrap()).unwrap().unwrap().layering;
        // The devices are borrowed apart from the rooms.
        let (joined, member_events, fixed) = (joined.clone(), member_events.clone(), fixed.clone());
        let group = group.take();
        let view =
            View { joined: &joined, member_events: &member_events, fixed: &fixed, devices: &self.devices, paired };
        let judged = match group {
            None => HubGroup::create(&room_id, layering, &hub_sender(), &parsed, sender, &view).map(Judged::New),
            Some(group) => match group.check(&parsed, sender, &view) {
                Ok(staged) => Ok(Judged::Next(group, staged)),
                Err(refusal) => {
                    self.room(id)?.group = Some(group);
                    Err(refusal)
                }
            },
        };
        let judged = judged.map_err(refused)?;
        let event_id =
            self.append(id, sender.as_str(), CommitContent::EVENT_TYPE, None, &Value::Object(content.clone()));
        let group = match judged {
            Judged::New(created) => created.confirm(event_id.clone()),
            Judged::Next(mut group, staged) => {
                group.merge(staged, event_id.clone()).map_err(refused)?;
                group
            }
        };
        let room = self.room(id)?;
        let (epoch, awaited) = (group.epoch(), group.awaited_epochs());
        room.snapshots.insert(epoch, group.to_bytes().unwrap());
        room.snapshots.retain(|other, _| other + KEPT_EPOCHS > epoch || awaited.contains(other));
        room.group = Some(group);
        Ok(event_id)
    }

    pub(crate) fn group(&mut self, id: &str, commit: Option<&str>) -> Result<Object, Error> {
        if let Some(commit) = commit {
            let kept = self.room(id)?.snapshots.values().map(|state| HubGroup::from_bytes(state).unwrap());
            let group = kept.into_iter().find(|group| group.last_commit().is_some_and(|id| id.as_str() == commit));
            let tree = group.ok_or_else(|| api(404, "M_NOT_FOUND", "not kept"))?.ratchet_tree();
            return Ok(object(json!({ "commit_event_id": commit, "ratchet_tree": base64::encode(tree) })));
        }
        let (group, view) = self.group_of(id)?;
        let due: Vec<_> = group
            .due_removals(&view)
            .iter()
            .map(|it| json!({ "user_id": it.user_id.as_str(), "device_id": it.device_id }))
            .collect();
        Ok(object(json!({
            "epoch": group.epoch(), "layering": group.layering().as_str(),
            "commit_event_id": group.last_commit().unwrap().as_str(),
            "group_info": base64::encode(group.group_info()), "ratchet_tree": base64::encode(group.ratchet_tree()),
            "proposals": group.due_proposals(&view).iter().map(base64::encode).collect::<Vec<_>>(), "removals_due": due,
        })))
    }

    pub(crate) fn binding(&mut self, id: &str, user: &str, request: &Value) -> Result<Object, Error> {
        let room = self.room(id)?;
        let asker = UserId::parse(user).unwrap();
        let mut auth_events = room.fixed.clone();
        auth_events.extend(room.member_events.get(&asker).cloned());
        for added in request["add"].as_array().into_iter().flatten() {
            auth_events.extend(room.member_events.get(&UserId::parse(added.as_str().unwrap()).unwrap()).cloned());
        }
        let ids: Vec<&str> = auth_events.iter().map(EventId::as_str).collect();
        let hub = json!({ "server_name": "hub.test", "key": hub_key().verify_key().to_base64() });
        let mut answer = json!({ "auth_events": ids, "hub": hub });
        if let Some(member) = request.get("member") {
            let joins = member["user_id"] == user && member["membership"] == "join";
            if joins && self.room(id)?.joined.contains(&asker) {
                return Err(api(403, "M_FORBIDDEN", "in the room already"));
            }
            let lpdu = json!({
                "type": "m.room.member", "sender": user, "state_key": member["user_id"],
                "content": { "membership": member["membership"] },
            });
            answer["member"] = json!({ "lpdu": lpdu, "lpdu_hash": base64::encode(sha256(lpdu.to_string())) });
        }
        Ok(object(answer))
    }

    /// Takes a report, and goes back if there are enough.
    pub(crate) fn report(&mut self, id: &str, user: &str, report: &Value) -> Result<(), Error> {
        let parsed = Report::parse(&report.to_string()).unwrap();
        let verdict = if report["verdict"] == "applied" { Verdict::Applied } else { Verdict::CannotApply };
        self.heard.push(report.clone());
        self.room(id)?.reports.push((user.to_owned(), report["epoch"].as_u64().unwrap(), verdict));
        let (group, view) = self.group_of(id)?;
        let Some(back) = group.report(parsed, &view).map_err(refused)? else { return Ok(()) };
        self.roll_back(id, &back);
        Ok(())
    }

    /// Forgets what is kept of an epoch, as a hub does after long.
    pub(crate) fn forget_epoch(&mut self, id: &str, epoch: u64) {
        self.rooms.get_mut(id).unwrap().snapshots.remove(&epoch).unwrap();
    }

    /// Goes back to an epoch, because of a commit of the only device of this user.
    pub(crate) fn go_back(&mut self, id: &str, committer: &str, to_epoch: u64) {
        let group = self.rooms[id].group.as_ref().unwrap();
        let committer = group.members().find(|device| device.user_id.as_str() == committer).unwrap().clone();
        self.roll_back(id, &RollBack { to_epoch, committer });
    }

    fn roll_back(&mut self, id: &str, back: &RollBack) {
        let room = self.rooms.get_mut(id).unwrap();
        let before = &room.snapshots[&back.to_epoch];
        room.group = Some(room.group.as_ref().unwrap().roll_back(back, before).unwrap());
        self.queue_removals();
    }

    /// The same again has the same answer.
    pub(crate) fn pair(&mut self, id: &str, sender: &str, body: &Value) -> Result<Object, Error> {
        let request = format!("{id} {sender} {body}");
        if let Some(answer) = self.pairs.get(&request) {
            return Ok(answer.clone());
        }
        let answer = self.append_pair(id, sender, body)?;
        self.pairs.insert(request, answer.clone());
        Ok(answer)
    }

    fn append_pair(&mut self, id: &str, sender: &str, body: &Value) -> Result<Object, Error> {
        let user = UserId::parse(sender).unwrap();
        let (target, membership) = (&body["member"]["state_key"], &body["member"]["content"]["membership"]);
        let (target, membership) = (target.as_str().unwrap(), membership.as_str().unwrap());
        let lpdu_hash = sha256(body["member"].to_string());
        let changing = UserId::parse(target).unwrap();
        let puts_out = (membership != "join").then(|| changing.clone());
        let paired = PairedMember { lpdu_hash, event_id: None, puts_out };
        let before = self.room(id)?.joined.clone();
        if membership == "join" {
            self.room(id)?.joined.insert(changing);
        } else {
            self.room(id)?.joined.remove(&changing);
        }
        let outcome = match body.get("commit") {
            Some(commit) => self.commit(id, &user, commit.as_object().unwrap(), Some(paired)).map(Some),
            None => {
                let content = ProposalContent::parse(body["proposal"].as_object().unwrap()).unwrap();
                let (group, mut view) = self.group_of(id)?;
                view.paired = Some(paired);
                let queued = group.check_proposal(&content, &user, &view).and_then(|checked| group.queue(checked));
                queued.map(|()| None).map_err(refused)
            }
        };
        match outcome {
            Err(error) => {
                self.room(id)?.joined = before;
                Err(error)
            }
            Ok(commit) => {
                let member = self.member(id, sender, target, membership);
                if commit.is_some() {
                    // In the log, the member event comes first.
                    let events = &mut self.room(id)?.events;
                    let last = events.len() - 1;
                    events.swap(last - 1, last);
                }
                let commit = commit.map(|id| id.to_string());
                Ok(object(json!({ "member_event_id": member.as_str(), "commit_event_id": commit })))
            }
        }
    }
}

enum Judged {
    New(axle_mls::hub::Created),
    Next(HubGroup, axle_mls::hub::Staged),
}

pub(crate) fn api(status: u16, errcode: &str, message: &str) -> Error {
    let (errcode, message) = (errcode.to_owned(), message.to_owned());
    ApiError { status, errcode, message, retry_after: None, body: Map::new() }.into()
}

/// Another membership tag, at the end of the message, which only members can check.
fn spoil(content: &Object) -> Object {
    let mut parsed = CommitContent::parse(content).unwrap();
    *parsed.message.last_mut().unwrap() ^= 1;
    parsed.to_content()
}

fn refused(refusal: Refusal) -> Error {
    api(409, &format!("IM.AXLE.MLS.{}", refusal.code().to_uppercase()), &refusal.to_string())
}

fn object(value: Value) -> Object {
    value.as_object().unwrap().clone()
}

fn hub_key() -> SigningKey {
    SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[9; 32])
}

fn hub_sender() -> HubSender {
    HubSender::new(&ServerName::parse("hub.test").unwrap(), &hub_key().verify_key())
}
