//! The groups of rooms for the tests: what they are asked is written down, and what they answer is what the test says.

use std::sync::Mutex;

use async_trait::async_trait;
use axle_client_api::{BindingRequest, GroupAt, GroupService, MemberRequest, PairRequest, Paired, PairedWith};
use axle_protocol::{EventId, MatrixError, RoomId, UserId, base64};
use axle_store::ClientTxnKey;
use serde_json::{Map, Value, json};

#[derive(Default)]
pub struct TestGroups {
    asked: Mutex<Vec<Value>>,
    /// The transactions of pairs that were asked for.
    pub txns: Mutex<Vec<ClientTxnKey>>,
    /// What everything is answered with, if it is not answered rightly.
    pub refusal: Mutex<Option<MatrixError>>,
}

impl TestGroups {
    /// What was asked since the last look.
    pub fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answer<T>(&self, user_id: &UserId, room_id: &RoomId, asked: Value, answer: T) -> Result<T, MatrixError> {
        let mut whole = json!({"user": user_id, "room": room_id});
        whole.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        self.asked.lock().unwrap().push(whole);
        match &*self.refusal.lock().unwrap() {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(answer),
        }
    }
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

#[async_trait]
impl GroupService for TestGroups {
    async fn group(&self, user_id: &UserId, room_id: &RoomId, at: GroupAt) -> Result<Map<String, Value>, MatrixError> {
        let at = match at {
            GroupAt::Now => json!({"group": "now"}),
            GroupAt::After(commit) => json!({"group": commit}),
        };
        self.answer(user_id, room_id, at, fields(json!({"epoch": 7})))
    }

    async fn binding(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        request: BindingRequest,
    ) -> Result<Map<String, Value>, MatrixError> {
        let member = request.member.map(|member| {
            let MemberRequest { user_id, membership, content } = member;
            json!({"user_id": user_id, "membership": membership.as_str(), "content": content})
        });
        let asked = json!({"add": request.add, "member": member});
        self.answer(user_id, room_id, asked, fields(json!({"auth_events": ["$a"]})))
    }

    async fn pair(&self, user_id: &UserId, room_id: &RoomId, request: PairRequest) -> Result<Paired, MatrixError> {
        self.txns.lock().unwrap().push(request.txn);
        let member: Value = serde_json::from_str(request.member.get()).unwrap();
        let (with, commit_event_id) = match request.with {
            PairedWith::Commit(content) => (json!({"commit": content}), Some(id("$commit"))),
            PairedWith::Proposal(message) => (json!({"proposal": base64::encode(message)}), None),
        };
        let mut asked = with;
        asked["member"] = member;
        self.answer(user_id, room_id, asked, Paired { member_event_id: id("$member"), commit_event_id })
    }

    async fn propose(&self, user_id: &UserId, room_id: &RoomId, message: Vec<u8>) -> Result<(), MatrixError> {
        self.answer(user_id, room_id, json!({"propose": base64::encode(message)}), ())
    }

    async fn report(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        report: Map<String, Value>,
    ) -> Result<Option<u64>, MatrixError> {
        let rolled_back_to = (report["verdict"] == "cannot_apply").then_some(6);
        self.answer(user_id, room_id, json!({"report": report}), rolled_back_to)
    }
}
