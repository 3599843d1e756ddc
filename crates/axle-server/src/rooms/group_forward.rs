//! Groups of rooms whose hub is another server: it is asked, for our users.

use std::time::Duration;

use axle_client_api::{GroupAt, PairRequest, Paired, PairedWith};
use axle_federation::PairedAtHub;
use axle_mls::event::CommitContent;
use axle_protocol::event::Template;
use axle_protocol::{Event, EventKind, MatrixError, RoomId, RoomVersion, ServerName, UserId};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{PeerError, Rooms, Turn, errors, groups, leaving};

/// How long a client waits, after the hub has appended what it sent, for that to come back.
const ECHO_PATIENCE: Duration = Duration::from_secs(5);

/// A room's hub if it is another server, `None` if it is this one. 403 for a room that is not known here, or is blocked.
pub(crate) async fn other_hub(rooms: &Rooms, room_id: &RoomId) -> Result<Option<ServerName>, MatrixError> {
    let blocked = rooms.0.blocks.now(&*rooms.0.store).await.map_err(errors::broken)?;
    blocked.check_room(room_id)?;
    let hub = rooms.hub(room_id).await?.ok_or_else(|| MatrixError::forbidden("You are not in the room."))?;
    if hub == rooms.0.me.name {
        return Ok(None);
    }
    blocked.check_server(&hub)?;
    Ok(Some(hub))
}

/// The state of the group.
pub(crate) async fn group(
    rooms: &Rooms,
    hub: &ServerName,
    room_id: &RoomId,
    at: &GroupAt,
) -> Result<Map<String, Value>, MatrixError> {
    rooms.0.peers.group(hub, room_id, at).await.map_err(|error| of_hub(hub, error))
}

/// Has the hub append a member event and what belongs to it. Nothing is queued: a commit that cannot be sent now would be
/// of an old epoch later.
pub(crate) async fn pair(
    rooms: &Rooms,
    hub: &ServerName,
    user_id: &UserId,
    room_id: &RoomId,
    request: PairRequest,
) -> Result<Paired, MatrixError> {
    let member = member_lpdu(&request.member, user_id, room_id)?;
    // One that is queued after this is later than what was prepared before.
    leaving::delivered(rooms, user_id, room_id).await?;
    let commit;
    // They are appended as one, so that the last of them stands for both.
    let (last, with) = match &request.with {
        PairedWith::Commit(content) => {
            // Made at the same time as the member event, so that it is the same LPDU if it is asked for again, by which the
            // hub recognises it.
            commit = commit_lpdu(rooms, user_id, room_id, (content.clone(), member.origin_server_ts())).await?;
            (&commit, PairedAtHub::Commit(&commit))
        }
        PairedWith::Proposal(message) => (&member, PairedAtHub::Proposal { sender: user_id, message }),
    };
    let hash = *last.lpdu_hash().ok_or_else(|| MatrixError::unknown("The LPDU has no hash."))?;
    let mut echo = rooms.0.echoes.wait(hash);
    let paired = rooms.0.peers.pair(hub, room_id, &member, with).await.map_err(|error| of_hub(hub, error))?;
    if let Err(error) = groups::note_pair(rooms, room_id, request.txn.clone(), &paired).await {
        // It is done, and the hub recognises it if it is asked for again.
        tracing::warn!(%room_id, %error, "a pair that is done cannot be noted");
    }
    let last = paired.commit_event_id.as_ref().unwrap_or(&paired.member_event_id);
    let is_here = !rooms.0.store.events(std::slice::from_ref(last)).await.map_err(errors::broken)?.is_empty();
    if !is_here {
        // A client that asks again at once is to see what it has done. If it takes longer, it is done all the same.
        let _ = tokio::time::timeout(ECHO_PATIENCE, echo.outcome()).await;
    }
    Ok(paired)
}

/// Has the hub queue a proposal.
pub(crate) async fn propose(
    rooms: &Rooms,
    hub: &ServerName,
    user_id: &UserId,
    room_id: &RoomId,
    message: &[u8],
) -> Result<(), MatrixError> {
    rooms.0.peers.propose(hub, room_id, user_id, message).await.map_err(|error| of_hub(hub, error))
}

/// Tells the hub what a device says of a commit.
pub(crate) async fn report(
    rooms: &Rooms,
    hub: &ServerName,
    room_id: &RoomId,
    report: &Map<String, Value>,
) -> Result<Option<u64>, MatrixError> {
    rooms.0.peers.report(hub, room_id, report).await.map_err(|error| of_hub(hub, error))
}

/// The member event that this server has prepared: the user's own, since the server's signature is for anybody's.
fn member_lpdu(raw: &RawValue, user_id: &UserId, room_id: &RoomId) -> Result<Event, MatrixError> {
    // Every linearized version has the same format.
    let lpdu = Event::parse(raw.get().as_bytes(), RoomVersion::I1);
    let lpdu = lpdu.map_err(|error| MatrixError::bad_json(format!("`member` is not a valid event: {error}.")))?;
    let is_theirs = lpdu.sender() == user_id && lpdu.room_id() == room_id;
    if lpdu.kind() != EventKind::Lpdu || lpdu.event_type() != "m.room.member" || !is_theirs {
        return Err(MatrixError::bad_json("`member` is not a member event that was prepared for you in this room."));
    }
    Ok(lpdu)
}

/// An `m.mls.commit` of a user of ours, as the hub is to get it.
async fn commit_lpdu(
    rooms: &Rooms,
    user_id: &UserId,
    room_id: &RoomId,
    (content, origin_server_ts): (Map<String, Value>, i64),
) -> Result<Event, MatrixError> {
    let (me, sender) = (rooms.0.me.clone(), user_id.clone());
    let made = rooms.with(room_id, move |turn: &mut Turn<'_>| {
        let (room, _) = turn.room().map_err(|_| MatrixError::forbidden("You are not in the room."))?;
        let template = Template {
            room_id: room.id().clone(),
            event_type: CommitContent::EVENT_TYPE.to_owned(),
            state_key: None,
            sender: sender.clone(),
            origin_server_ts,
            content: content.clone(),
        };
        // Whether the room allows it is the hub's to say, on the state after the member event.
        groups::lpdu(room, template, &me)
    });
    made.await?
}

/// What a client is told when the hub failed or refused. Its answer is passed on only where it is about what was asked
/// for: its 401 would have the client log out here.
fn of_hub(hub: &ServerName, error: PeerError) -> MatrixError {
    let error = match error {
        PeerError::Refused(error) => error,
        PeerError::Unreachable(reason) => {
            return MatrixError::gateway_timeout(format!("The room's hub, {hub}, does not answer: {reason}."));
        }
    };
    match (error.status, error.errcode.as_str()) {
        (409, code) if is_group_refusal(code) => error,
        (404 | 405, "M_UNRECOGNIZED") => {
            let text = format!("The room's hub, {hub}, cannot do this: it does not have im.axle.mls.v1.");
            MatrixError::new(502, "M_UNRECOGNIZED", text)
        }
        (400, "M_BAD_JSON" | "M_INVALID_PARAM" | "M_MISSING_PARAM")
        | (403, "M_FORBIDDEN")
        | (404, "M_NOT_FOUND")
        | (413, "M_TOO_LARGE")
        | (429, "M_LIMIT_EXCEEDED") => MatrixError { error: format!("{hub}: {}", error.error), ..error },
        _ => MatrixError::bad_gateway(format!("{hub}: {error}")),
    }
}

/// Whether this is one of the codes of `axle_mls::hub::Refusal`, as they are answered.
fn is_group_refusal(errcode: &str) -> bool {
    let code = errcode.strip_prefix("IM.AXLE.MLS.");
    code.is_some_and(|code| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: PeerError) -> (u16, String, String) {
        let MatrixError { status, errcode, error, .. } = of_hub(&ServerName::parse("hub.test").unwrap(), error);
        (status, errcode, error)
    }

    fn refused(status: u16, errcode: &str) -> (u16, String) {
        let (status, errcode, text) = told(PeerError::Refused(MatrixError::new(status, errcode, "why")));
        assert!(text.contains("why") || errcode == "M_UNRECOGNIZED", "{text}");
        (status, errcode)
    }

    #[test]
    fn what_is_about_the_group_is_passed_on() {
        for (status, errcode) in [
            (409, "IM.AXLE.MLS.WRONG_EPOCH"),
            (400, "M_BAD_JSON"),
            (403, "M_FORBIDDEN"),
            (404, "M_NOT_FOUND"),
            (413, "M_TOO_LARGE"),
            (429, "M_LIMIT_EXCEEDED"),
        ] {
            assert_eq!(refused(status, errcode), (status, errcode.to_owned()));
        }
        let wait = MatrixError::limit_exceeded(1_500);
        let hub = ServerName::parse("hub.test").unwrap();
        assert_eq!(of_hub(&hub, PeerError::Refused(wait)).retry_after_ms, Some(1_500));
    }

    #[test]
    fn everything_else_is_the_hubs_failure() {
        for (status, errcode) in [
            (401, "M_UNKNOWN_TOKEN"),
            (409, "M_FORBIDDEN"),
            (409, "IM.AXLE.MLS."),
            (409, "IM.AXLE.MLS.wrong"),
            (400, "IM.AXLE.MLS.WRONG_EPOCH"),
            (400, "M_WRONG_SERVER"),
            (500, "M_UNKNOWN"),
            (302, "M_UNKNOWN"),
        ] {
            assert_eq!(refused(status, errcode), (502, "M_UNKNOWN".to_owned()), "{status} {errcode}");
        }
        // A hub that does not have the paths is not asked again.
        assert_eq!(refused(404, "M_UNRECOGNIZED"), (502, "M_UNRECOGNIZED".to_owned()));
        let (status, errcode, text) = told(PeerError::Unreachable("no answer within 30s".into()));
        assert_eq!((status, errcode.as_str()), (504, "M_UNKNOWN"));
        assert!(text.contains("hub.test") && text.contains("30s"), "{text}");
    }
}
