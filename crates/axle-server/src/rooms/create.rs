//! New rooms, whose hub is this server.

use axle_client_api::{CreateRoom, SendEvent};
use axle_protocol::event::Template;
use axle_protocol::{MatrixError, RoomId};
use axle_room::{Change, Room};
use serde_json::{Map, Value};

use super::{Rooms, refused, send};

/// One state event to be: type, state key, content.
type State = (String, String, Map<String, Value>);

/// Makes a room: create event, the creator's join and the first state in one atomic append; then the invites.
pub(crate) async fn create_room(rooms: &Rooms, request: CreateRoom) -> Result<RoomId, MatrixError> {
    let CreateRoom { room_id, creator, creator_profile, room_version, creation_content, initial_state, invites } =
        request;
    let version = room_version.unwrap_or(rooms.0.default_version);
    let mut create = creation_content;
    create.insert("room_version".into(), version.as_str().into());
    let mut join = creator_profile;
    join.insert("membership".into(), "join".into());
    let mut state: Vec<State> =
        vec![("m.room.create".into(), String::new(), create), ("m.room.member".into(), creator.to_string(), join)];
    state.extend(initial_state);

    let (me, id, sender) = (rooms.0.me.clone(), room_id.clone(), creator.clone());
    let made = rooms.with(&room_id, move |turn| {
        if turn.slot.is_some() {
            return Err(MatrixError::unknown("The room id is taken."));
        }
        let mut room = Room::new(me.name.clone(), id.clone(), version);
        let mut change = Change::default();
        for (event_type, state_key, content) in &state {
            let template = Template {
                room_id: id.clone(),
                event_type: event_type.clone(),
                state_key: Some(state_key.clone()),
                sender: sender.clone(),
                origin_server_ts: turn.now,
                content: content.clone(),
            };
            let accepted = room.send_local(&me, template, turn.known).map_err(refused)?;
            change.merge(accepted.change().unwrap_or_default());
        }
        *turn.slot = Some(room);
        turn.batch.change.merge(change);
        Ok(())
    });
    made.await??;

    for (user, mut content) in invites {
        content.insert("membership".into(), "invite".into());
        let invite = SendEvent {
            room_id: room_id.clone(),
            sender: creator.clone(),
            event_type: "m.room.member".into(),
            state_key: Some(user.to_string()),
            content,
            txn: None,
        };
        // The room stands. Who could not be invited can be invited again.
        if let Err(error) = send::send(rooms, invite, None).await {
            tracing::warn!(%room_id, %user, %error, "an invite of a new room failed");
        }
    }
    Ok(room_id)
}
