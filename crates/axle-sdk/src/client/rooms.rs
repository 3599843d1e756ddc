//! Rooms: create them, come and go, let others in and put them out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Client;
use super::request::Call;
use crate::Error;

/// A room to be made.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CreateRoom {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Who may come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Invited at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invite: Vec<String>,
    /// `None`: the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_version: Option<String>,
    /// Further state, which overrides that of the preset: objects with `type`, `state_key` and `content`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub initial_state: Vec<Value>,
    /// Further content of `m.room.create`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub creation_content: Map<String, Value>,
}

/// Sets of rules for a new room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// By invite only.
    PrivateChat,
    /// By invite only; who is invited has the creator's power.
    TrustedPrivateChat,
    /// Open to everyone.
    PublicChat,
}

/// How people come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinRule {
    /// Everyone may join.
    Public,
    /// By invite only.
    Invite,
    /// By invite; everyone may ask for one.
    Knock,
}

impl CreateRoom {
    /// A room with this name and this way in.
    pub fn named(name: impl Into<String>, join_rule: JoinRule) -> Self {
        let mut room = Self { name: Some(name.into()), ..Self::default() };
        room.preset = Some(match join_rule {
            JoinRule::Public => Preset::PublicChat,
            JoinRule::Invite | JoinRule::Knock => Preset::PrivateChat,
        });
        if join_rule == JoinRule::Knock {
            let content = json!({"join_rule": "knock"});
            room.initial_state = vec![json!({"type": "m.room.join_rules", "state_key": "", "content": content})];
        }
        room
    }
}

#[derive(Deserialize)]
struct RoomIdAnswer {
    room_id: String,
}

impl Client {
    /// Makes a room. Returns its id.
    pub async fn create_room(&self, room: &CreateRoom) -> Result<String, Error> {
        let body = json!(room);
        Ok(self.call::<RoomIdAnswer>(Call::post(&["v3", "createRoom"], body)).await?.room_id)
    }

    /// Joins a room, through one of these servers if ours does not know it. Returns its id.
    pub async fn join(&self, room: &str, via: &[String]) -> Result<String, Error> {
        let path = ["v3", "join", room];
        Ok(self.call::<RoomIdAnswer>(with_via(Call::post(&path, json!({})), via)).await?.room_id)
    }

    /// Asks for an invite. Returns the room's id.
    pub async fn knock(&self, room: &str, via: &[String], reason: Option<&str>) -> Result<String, Error> {
        let path = ["v3", "knock", room];
        Ok(self.call::<RoomIdAnswer>(with_via(Call::post(&path, with_reason(reason)), via)).await?.room_id)
    }

    /// Leaves a room, declines an invite or takes back a knock.
    pub async fn leave(&self, room_id: &str) -> Result<(), Error> {
        self.room_action(room_id, "leave", json!({})).await
    }

    /// Invites a user.
    pub async fn invite(&self, room_id: &str, user_id: &str) -> Result<(), Error> {
        self.room_action(room_id, "invite", json!({"user_id": user_id})).await
    }

    /// Puts a user out; an invite or a knock ends.
    pub async fn kick(&self, room_id: &str, user_id: &str, reason: Option<&str>) -> Result<(), Error> {
        self.act_on_user(room_id, "kick", user_id, reason).await
    }

    /// Puts a user out for good.
    pub async fn ban(&self, room_id: &str, user_id: &str, reason: Option<&str>) -> Result<(), Error> {
        self.act_on_user(room_id, "ban", user_id, reason).await
    }

    /// Ends a ban.
    pub async fn unban(&self, room_id: &str, user_id: &str) -> Result<(), Error> {
        self.act_on_user(room_id, "unban", user_id, None).await
    }

    /// The rooms that the user is in.
    pub async fn joined_rooms(&self) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct JoinedRooms {
            joined_rooms: Vec<String>,
        }
        Ok(self.call::<JoinedRooms>(Call::get(&["v3", "joined_rooms"])).await?.joined_rooms)
    }

    async fn act_on_user(&self, room: &str, action: &str, user_id: &str, reason: Option<&str>) -> Result<(), Error> {
        let mut body = with_reason(reason);
        body["user_id"] = json!(user_id);
        self.room_action(room, action, body).await
    }

    async fn room_action(&self, room_id: &str, action: &str, body: Value) -> Result<(), Error> {
        let path = ["v3", "rooms", room_id, action];
        self.call::<Value>(Call::post(&path, body)).await.map(drop)
    }
}

fn with_reason(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}))
}

/// `via`, and its name of before v1.12 beside it.
fn with_via<'a>(call: Call<'a>, via: &[String]) -> Call<'a> {
    via.iter().fold(call, |call, server| call.query("via", server).query("server_name", server))
}
