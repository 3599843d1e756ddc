//! What a commit or a proposal has to be bound to, and the member event that is to be appended with it.

use axle_client_api::{BindingRequest, MemberRequest};
use axle_protocol::auth::Membership;
use axle_protocol::event::Template;
use axle_protocol::{Event, MatrixError, RoomId, UserId, base64};
use axle_room::{Identity, Room};
use serde_json::{Map, Value, json};

use super::super::{Rooms, refused};
use super::{Asker, lpdu};

/// What a commit or proposal of a local user has to be bound to, as this server knows the room.
pub(crate) async fn binding(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    request: BindingRequest,
) -> Result<Map<String, Value>, MatrixError> {
    let (me, user, asker) = (rooms.0.me.clone(), user_id.clone(), Asker::User(user_id).to_owned());
    let answer = rooms.with(room_id, move |turn| {
        let now = turn.now;
        let (room, _) = turn.room()?;
        asker.check_reads_or_joins(room)?;
        let mut answer = Map::new();
        let mut events = room.binding_events(&user, &request.add);
        if let Some(member) = &request.member {
            if member.user_id == user {
                // At that time it is another one, which has no id yet.
                room.state().get("m.room.member", user.as_str()).map(|own| events.remove(own));
            }
            answer.insert("member".into(), prepare(room, &me, &user, member, now)?);
        }
        let events: Vec<Value> = events.iter().map(|id| id.as_str().into()).collect();
        answer.insert("auth_events".into(), events.into());
        if room.is_hub() {
            let key = me.key.verify_key().to_base64();
            answer.insert("hub".into(), json!({ "server_name": me.name.as_str(), "key": key }));
        }
        Ok(answer)
    });
    answer.await?
}

/// A member event that waits for what is appended with it: an LPDU, or, of a user of the hub, the fields of its event.
fn prepare(
    room: &Room,
    me: &Identity,
    sender: &UserId,
    member: &MemberRequest,
    now: i64,
) -> Result<Value, MatrixError> {
    let is_own_join = member.membership == Membership::Join && member.user_id == *sender;
    if !is_own_join && !matches!(member.membership, Membership::Leave | Membership::Ban) {
        let text = "Only a leave, a ban or the own join can be appended together with a commit.";
        return Err(MatrixError::invalid_param(text));
    }
    let mut content = member.content.clone();
    content.insert("membership".into(), member.membership.as_str().into());
    let template = Template {
        room_id: room.id().clone(),
        event_type: "m.room.member".into(),
        state_key: Some(member.user_id.to_string()),
        sender: sender.clone(),
        origin_server_ts: now,
        content,
    };
    let (event, hash) = if room.is_hub() {
        let event = unfinished(room, me, &template)?;
        (fields(&template), event.computed_lpdu_hash())
    } else {
        let event = lpdu(room, template, me)?;
        let object = serde_json::from_str(event.json()).map_err(|error| MatrixError::unknown(error.to_string()))?;
        (object, event.computed_lpdu_hash())
    };
    Ok(json!({ "lpdu": event, "lpdu_hash": base64::encode(hash) }))
}

/// The event, on nothing: only for its hash, into which its place does not go.
fn unfinished(room: &Room, me: &Identity, template: &Template) -> Result<Event, MatrixError> {
    template.clone().into_pdu(room.version(), &[], &[], &me.name, &me.key).map_err(|error| refused(error.into()))
}

fn fields(template: &Template) -> Value {
    json!({
        "room_id": template.room_id.as_str(),
        "type": template.event_type,
        "state_key": template.state_key,
        "sender": template.sender.as_str(),
        "origin_server_ts": template.origin_server_ts,
        "content": template.content,
    })
}
