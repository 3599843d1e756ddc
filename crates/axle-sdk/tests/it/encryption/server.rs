//! The homeserver of one device, in front of the hub in memory.

use async_trait::async_trait;
use axle_mls::DeviceInfo;
use axle_sdk::encryption::{ByDevice, Homeserver};
use axle_sdk::{CreateRoom, Error, Event, MessagesPage, PageFrom, SyncResponse};
use serde_json::{Map, Value, json};

use super::hub::{KEY_PACKAGE, Uploaded, World, api};

/// Events on a page of history.
const PAGE: usize = 20;

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) world: World,
    pub(crate) user: String,
    pub(crate) device: String,
}

/// Where a device's sync goes on.
#[derive(Default)]
pub(crate) struct Since {
    events: std::collections::BTreeMap<String, usize>,
    changed: usize,
    inbox: usize,
}

impl Server {
    /// What happened since the last sync; the timeline of each room is cut to `limit` events.
    pub(crate) fn sync(&self, since: &mut Since, limit: usize) -> SyncResponse {
        let world = self.world.lock();
        let (mut join, mut leave) = (Map::new(), Map::new());
        for (id, room) in &world.rooms {
            let seen = since.events.get(id).copied();
            let ours = |event: &&Value| event["type"] == "m.room.member" && event["state_key"] == self.user.as_str();
            let Some(last) = room.events.iter().rev().find(ours) else { continue };
            let is_joined = last["content"]["membership"] == "join";
            if room.events.len() == seen.unwrap_or(0) || (seen.is_none() && !is_joined) {
                continue;
            }
            // Who is out sees nothing after that.
            let hidden = world.hidden.get(&self.user);
            let is_shown =
                |event: &&Value| hidden.is_none_or(|hidden| !hidden.contains(event["event_id"].as_str().unwrap()));
            let end =
                if is_joined { room.events.len() } else { room.events.iter().position(|it| it == last).unwrap() + 1 };
            let from = seen.unwrap_or(0).max(end.saturating_sub(limit)).min(end);
            let state: Vec<&Value> = room.events[seen.unwrap_or(0).min(from)..from]
                .iter()
                .filter(|it| it.get("state_key").is_some())
                .filter(is_shown)
                .collect();
            let events: Vec<&Value> = room.events[from..end].iter().filter(is_shown).collect();
            let timeline = json!({
                "events": events, "limited": from > seen.unwrap_or(0), "prev_batch": format!("{from}"),
            });
            // Who comes back is told everything from the beginning.
            if is_joined {
                since.events.insert(id.clone(), room.events.len());
            } else {
                since.events.remove(id);
            }
            let update = json!({ "state": { "events": state }, "timeline": timeline });
            if is_joined {
                join.insert(id.clone(), update)
            } else {
                leave.insert(id.clone(), update)
            };
        }
        let device = &world.devices[&(self.user.clone(), self.device.clone())];
        let unused = if device.last_resort.is_some() && !device.last_resort_used { vec![KEY_PACKAGE] } else { vec![] };
        let answer = json!({
            "next_batch": "s", "rooms": { "join": join, "leave": leave },
            "to_device": { "events": device.inbox[since.inbox..] },
            "device_lists": { "changed": world.changed[since.changed..] },
            "device_one_time_keys_count": { KEY_PACKAGE: device.one_time.len() },
            "device_unused_fallback_key_types": unused,
        });
        (since.changed, since.inbox) = (world.changed.len(), device.inbox.len());
        serde_json::from_value(answer).unwrap()
    }

    /// What was done, unless its answer is to be lost.
    fn answer<T>(&self, what: &'static str, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.is_ok() && self.world.lock().loses(what) { Err(api(502, "M_UNKNOWN", "lost")) } else { outcome }
    }
}

#[async_trait]
impl Homeserver for Server {
    async fn upload_keys(&self, body: &Value) -> Result<(), Error> {
        let mut world = self.world.lock();
        let name = (self.user.clone(), self.device.clone());
        let device = world.devices.entry(name).or_default();
        if body.get("device_keys").is_some() {
            // Packages of another credential are void.
            (device.one_time, device.last_resort) = (Default::default(), None);
        }
        let packages = |field: &str| -> Vec<(String, Value)> {
            body[field].as_object().into_iter().flatten().map(|(id, key)| (id.clone(), key.clone())).collect()
        };
        device.one_time.extend(packages("one_time_keys"));
        if let Some(last_resort) = packages("fallback_keys").pop() {
            (device.last_resort, device.last_resort_used) = (Some(last_resort), false);
        }
        if let Some(object) = body.get("device_keys") {
            device.credential = Some(DeviceInfo::parse(&object.to_string()).unwrap().credential().clone());
            device.object = Some(object.clone());
            world.changed.push(self.user.clone());
            world.queue_removals();
        }
        Ok(())
    }

    async fn list_keys(&self) -> Result<Map<String, Value>, Error> {
        let world = self.world.lock();
        let device = &world.devices[&(self.user.clone(), self.device.clone())];
        let one_time: Vec<&String> = device.one_time.iter().map(|(id, _)| id).collect();
        let last_resort: Vec<&String> = device.last_resort.iter().map(|(id, _)| id).collect();
        let ids = json!({ "one_time_keys": one_time, "fallback_keys": last_resort });
        Ok(ids.as_object().unwrap().clone())
    }

    async fn withdraw_keys(&self, ids: &Value) -> Result<(), Error> {
        let mut world = self.world.lock();
        let device = world.devices.get_mut(&(self.user.clone(), self.device.clone())).unwrap();
        let is_named = |field: &str, id: &String| ids[field].as_array().unwrap().iter().any(|named| named == id);
        device.one_time.retain(|(id, _)| !is_named("one_time_keys", id));
        device.last_resort.take_if(|(id, _)| is_named("fallback_keys", id));
        Ok(())
    }

    async fn query_keys(&self, users: &[String]) -> Result<ByDevice, Error> {
        let world = self.world.lock();
        let of = |user: &String| {
            let devices = world.devices.iter().filter(|((other, _), _)| other == user);
            // As servers do, with the device's name beside what it has signed.
            let named = |mut object: Value| {
                object["unsigned"] = json!({ "device_display_name": "laptop" });
                object
            };
            devices.filter_map(|((_, id), device)| Some((id.clone(), named(device.object.clone()?)))).collect()
        };
        Ok(users.iter().map(|user| (user.clone(), of(user))).collect())
    }

    async fn claim_keys(&self, algorithm: &str, devices: &[(String, String)]) -> Result<ByDevice, Error> {
        assert_eq!(algorithm, KEY_PACKAGE);
        let mut world = self.world.lock();
        let mut claimed = ByDevice::new();
        for name in devices {
            let Some(device) = world.devices.get_mut(name) else { continue };
            let key = device.one_time.pop_front().or_else(|| {
                device.last_resort_used = true;
                device.last_resort.clone()
            });
            if let Some((id, key)) = key {
                claimed.entry(name.0.clone()).or_default().insert(name.1.clone(), json!({ id: key }));
            }
        }
        Ok(claimed)
    }

    async fn send_to_device(&self, event_type: &str, _transaction_id: &str, messages: &Value) -> Result<(), Error> {
        let mut world = self.world.lock();
        if world.lose_welcomes {
            return Ok(());
        }
        for (user, devices) in messages.as_object().unwrap() {
            for (device, content) in devices.as_object().unwrap() {
                let inbox = &mut world.devices.get_mut(&(user.clone(), device.clone())).unwrap().inbox;
                inbox.push(json!({ "type": event_type, "sender": self.user, "content": content }));
            }
        }
        drop(world);
        self.answer("to_device", Ok(()))
    }

    async fn group(&self, room_id: &str, commit: Option<&str>) -> Result<Map<String, Value>, Error> {
        self.world.lock().group(room_id, commit)
    }

    async fn binding(&self, room_id: &str, request: &Value) -> Result<Map<String, Value>, Error> {
        // Others have time to come between, as they have in life.
        tokio::task::yield_now().await;
        self.world.lock().binding(room_id, &self.user, request)
    }

    async fn pair(&self, room_id: &str, body: &Value) -> Result<Map<String, Value>, Error> {
        let outcome = self.world.lock().pair(room_id, &self.user, body);
        self.answer("pair", outcome)
    }

    async fn report(&self, room_id: &str, report: &Value) -> Result<(), Error> {
        let mut world = self.world.lock();
        if world.unheard.contains(&self.user) {
            world.tried.push(report.clone());
            return Err(api(504, "M_UNKNOWN", "the hub does not answer"));
        }
        world.report(room_id, &self.user, report)
    }

    async fn send(
        &self,
        room_id: &str,
        event_type: &str,
        content: &Map<String, Value>,
        transaction_id: &str,
    ) -> Result<String, Error> {
        tokio::task::yield_now().await;
        let sent = self.world.lock().send(room_id, &self.user, event_type, content, transaction_id);
        let what = if event_type == "m.mls.commit" { "commit" } else { "send" };
        self.answer(what, sent.map(|id| id.to_string()))
    }

    async fn upload(&self, bytes: Vec<u8>, mimetype: &str, name: Option<&str>) -> Result<String, Error> {
        let mut world = self.world.lock();
        world.files.push(Uploaded { bytes, mimetype: mimetype.to_owned(), name: name.map(str::to_owned) });
        Ok(format!("mxc://hub.test/{}", world.files.len() - 1))
    }

    async fn history(&self, room_id: &str, from: &PageFrom, types: &[&str]) -> Result<MessagesPage, Error> {
        let mut world = self.world.lock();
        if world.without_history.contains(&self.user) {
            return Err(api(504, "M_UNKNOWN", "no answer in time"));
        }
        let events = &world.room(room_id)?.events;
        let end = match from {
            PageFrom::Before(token) => token.parse().unwrap(),
            _ => events.len(),
        };
        let start = end.saturating_sub(PAGE);
        let wanted = |event: &&Value| types.iter().any(|kind| event["type"] == *kind);
        let chunk: Vec<&Value> = events[start..end].iter().rev().filter(wanted).collect();
        let page = json!({ "chunk": chunk, "end": (start > 0).then(|| start.to_string()) });
        Ok(serde_json::from_value(page).unwrap())
    }

    async fn event(&self, room_id: &str, event_id: &str) -> Result<Event, Error> {
        let mut world = self.world.lock();
        let is_hidden = world.hidden.get(&self.user).is_some_and(|hidden| hidden.contains(event_id));
        let found = world.room(room_id)?.events.iter().find(|event| event["event_id"] == event_id && !is_hidden);
        let found = found.ok_or_else(|| api(404, "M_NOT_FOUND", "no such event"))?;
        Ok(serde_json::from_value(found.clone()).unwrap())
    }

    async fn create_content(&self, room_id: &str) -> Result<Map<String, Value>, Error> {
        Ok(self.world.lock().room(room_id)?.events[0]["content"].as_object().unwrap().clone())
    }

    async fn default_room_version(&self) -> Result<String, Error> {
        Ok("I.1".to_owned())
    }

    async fn create_room(&self, room: &CreateRoom) -> Result<String, Error> {
        let mut content = room.creation_content.clone();
        if let Some(version) = &room.room_version {
            content.insert("room_version".into(), json!(version));
        }
        Ok(self.world.lock().create(&self.user, content))
    }

    async fn join(&self, room: &str, _via: &[String]) -> Result<String, Error> {
        self.world.lock().member(room, &self.user, &self.user, "join");
        Ok(room.to_owned())
    }

    async fn put_out(&self, room_id: &str, action: &str, user_id: &str, _reason: Option<&str>) -> Result<(), Error> {
        let membership = if action == "ban" { "ban" } else { "leave" };
        self.world.lock().member(room_id, &self.user, user_id, membership);
        Ok(())
    }

    async fn leave(&self, room_id: &str) -> Result<(), Error> {
        self.world.lock().member(room_id, &self.user, &self.user, "leave");
        Ok(())
    }
}
