//! The make and send handshake: join, leave, knock.

use axle_protocol::{Event, RoomId, RoomVersion, ServerName, UserId};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer;
use super::events::MAX_STATE_ANSWER_BYTES;
use super::path::{FEDERATION, both, encode};
use super::{Client, ClientError};
use crate::{MembershipChange, RoomTemplate};

const MAX_TEMPLATE_BYTES: usize = 256 * 1024;
const MAX_KNOCK_ANSWER_BYTES: usize = 1024 * 1024;

/// The answer to `send_join`, not checked yet.
#[derive(Debug)]
pub struct SentJoin {
    /// The finished join; some servers leave it out.
    pub event: Option<Box<RawValue>>,
    /// State before the join.
    pub state: Vec<Box<RawValue>>,
    /// Their auth events.
    pub auth_chain: Vec<Box<RawValue>>,
}

impl Client {
    /// `GET /make_join`, `/make_leave` or `/make_knock`. The template says what the room is like; what is signed is to
    /// be built from our own fields.
    pub async fn make_membership(
        &self,
        to: &ServerName,
        change: MembershipChange,
        room: &RoomId,
        user: &UserId,
        versions: &[RoomVersion],
    ) -> Result<RoomTemplate, ClientError> {
        let asked = if change == MembershipChange::Leave { &[] } else { versions };
        let body = self.ask(to, &make_path(change, room, user, asked), &self.get(MAX_TEMPLATE_BYTES)).await?;
        let (event, version) = answer::template(&body)?;
        let room_version = match (version, versions) {
            (Some(version), _) if asked.is_empty() || asked.contains(&version) => version,
            (Some(version), _) => {
                return Err(ClientError::Malformed(format!("a room of version {version}, which was not asked for")));
            }
            (None, [only]) => *only,
            (None, _) => self.probe_version(to, change, room, user, asked).await?,
        };
        Ok(RoomTemplate { event, room_version })
    }

    /// `POST /send_join/:txnId`.
    pub async fn send_join(&self, to: &ServerName, txn_id: &str, lpdu: &Event) -> Result<SentJoin, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            event: Option<Box<RawValue>>,
            state: Vec<Box<RawValue>>,
            #[serde(default)]
            auth_chain: Vec<Box<RawValue>>,
        }
        let answer: Answer = answer::json(&self.send_membership(to, "send_join", txn_id, lpdu).await?)?;
        Ok(SentJoin {
            event: answer.event.map(answer::event).transpose()?,
            state: answer::events(answer.state)?,
            auth_chain: answer::events(answer.auth_chain)?,
        })
    }

    /// `POST /send_leave/:txnId`.
    pub async fn send_leave(&self, to: &ServerName, txn_id: &str, lpdu: &Event) -> Result<(), ClientError> {
        self.send_membership(to, "send_leave", txn_id, lpdu).await.map(drop)
    }

    /// `POST /send_knock/:txnId`: stripped state.
    pub async fn send_knock(&self, to: &ServerName, txn_id: &str, lpdu: &Event) -> Result<Vec<Value>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            stripped_state: Option<Vec<Value>>,
            knock_room_state: Option<Vec<Value>>,
        }
        let answer: Answer = answer::json(&self.send_membership(to, "send_knock", txn_id, lpdu).await?)?;
        // Matrix's name for it; some servers answer with both.
        Ok(answer.stripped_state.or(answer.knock_room_state).unwrap_or_default())
    }

    async fn send_membership(
        &self,
        to: &ServerName,
        endpoint: &str,
        txn_id: &str,
        lpdu: &Event,
    ) -> Result<Bytes, ClientError> {
        let most = if endpoint == "send_join" { MAX_STATE_ANSWER_BYTES } else { MAX_KNOCK_ANSWER_BYTES };
        let ask = self.with_body(Method::POST, Bytes::copy_from_slice(lpdu.json().as_bytes()), most);
        self.ask_either(to, &both("v3", &format!("{endpoint}/{}", encode(txn_id))), &ask).await
    }

    /// Which version the room has, where a bare template does not say: the one that is not refused.
    async fn probe_version(
        &self,
        to: &ServerName,
        change: MembershipChange,
        room: &RoomId,
        user: &UserId,
        versions: &[RoomVersion],
    ) -> Result<RoomVersion, ClientError> {
        for version in versions {
            let path = make_path(change, room, user, &[*version]);
            match self.ask(to, &path, &self.get(MAX_TEMPLATE_BYTES)).await {
                Ok(_) => return Ok(*version),
                Err(ClientError::Refused(refusal)) if refusal.error.errcode == "M_INCOMPATIBLE_ROOM_VERSION" => {}
                Err(error) => return Err(error),
            }
        }
        Err(ClientError::Malformed("the template does not tell the room's version".into()))
    }
}

fn make_path(change: MembershipChange, room: &RoomId, user: &UserId, versions: &[RoomVersion]) -> String {
    let endpoint = match change {
        MembershipChange::Join => "make_join",
        MembershipChange::Leave => "make_leave",
        MembershipChange::Knock => "make_knock",
    };
    let mut path = format!("{FEDERATION}/v1/{endpoint}/{}/{}", encode(room.as_str()), encode(user.as_str()));
    for (i, version) in versions.iter().enumerate() {
        path.push_str(if i == 0 { "?ver=" } else { "&ver=" });
        path.push_str(&encode(version.as_str()));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let (room, user) = (RoomId::parse("!r:hub.test").unwrap(), UserId::parse("@a:b.test").unwrap());
        assert_eq!(
            make_path(MembershipChange::Join, &room, &user, &[RoomVersion::I1, RoomVersion::Unstable02]),
            "/_matrix/federation/v1/make_join/%21r%3Ahub.test/%40a%3Ab.test?ver=I.1\
             &ver=org.matrix.i-d.ralston-mimi-linearized-matrix.02"
        );
        assert_eq!(
            make_path(MembershipChange::Leave, &room, &user, &[]),
            "/_matrix/federation/v1/make_leave/%21r%3Ahub.test/%40a%3Ab.test"
        );
    }
}
