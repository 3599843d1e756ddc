//! `POST /_matrix/client/unstable/im.axle.mls.v1/rooms/{roomId}/pair`

use axle_mls::event::CommitContent;
use axle_protocol::event::sha256;
use axle_protocol::limits::MAX_EVENT_BYTES;
use axle_protocol::{EventId, MatrixError, RoomId, UserId, base64};
use axle_store::ClientTxnKey;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::endpoint::{RawRequest, respond};
use crate::endpoints::send;
use crate::error::ApiResult;
use crate::event_content;
use crate::groups::{PairRequest, PairedWith};
use crate::json_response::JsonResponse;
use crate::session::Session;
use crate::state::Api;
use crate::succession;
use crate::visibility::Access;

#[derive(Deserialize)]
struct Request {
    member: Box<RawValue>,
    commit: Option<Box<RawValue>>,
    proposal: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Proposal {
    message: String,
}

/// As far as it is looked at here.
#[derive(Deserialize)]
struct MemberEvent {
    sender: UserId,
    state_key: String,
    content: MemberContent,
}

#[derive(Deserialize)]
struct MemberContent {
    membership: String,
}

#[derive(Serialize)]
struct Answer {
    member_event_id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_event_id: Option<EventId>,
}

pub(crate) async fn pair(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    let room_id = super::room_id(&request)?;
    let Request { member, commit, proposal } = request.json().await?;
    let own = own_membership(&member, &session.user_id)?;
    if own.as_deref() != Some("leave") {
        session.require_active()?;
    }
    let txn = transaction(&session, &room_id, [Some(&*member), commit.as_deref(), proposal.as_deref()])?;
    let request = PairRequest { member, with: paired_with(commit.as_deref(), proposal.as_deref())?, txn };
    api.limits.changes.take(session.user_id.as_str())?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    let is_done_outside = match own.as_deref() {
        Some("join") => access.may_join(&api).await?,
        // Perhaps by this very request, of which they have not heard the answer. The room's rules decide.
        Some("leave") => access.has_left(),
        _ => false,
    };
    if !is_done_outside {
        access.require_joined()?;
    }
    let paired = api.groups.pair(&session.user_id, &room_id, request).await?;
    if own.as_deref() == Some("join") && !access.joined() {
        succession::follow(&api, &session.user_id, &room_id).await;
    }
    let answer = Answer { member_event_id: paired.member_event_id, commit_event_id: paired.commit_event_id };
    Ok(respond(JsonResponse(answer)))
}

/// The membership in a prepared member event, if it is the user's own. 403 if it is not the user who sends it.
fn own_membership(raw: &RawValue, user_id: &UserId) -> Result<Option<String>, MatrixError> {
    if raw.get().len() > MAX_EVENT_BYTES {
        return Err(MatrixError::too_large(format!("An event has at most {MAX_EVENT_BYTES} bytes.")));
    }
    let malformed = |error| MatrixError::bad_json(format!("`member` is not a prepared member event: {error}."));
    let member: MemberEvent = serde_json::from_str(raw.get()).map_err(malformed)?;
    if member.sender != *user_id {
        return Err(MatrixError::forbidden("The member event was prepared for somebody else."));
    }
    Ok(Some(member.content.membership).filter(|_| member.state_key == user_id.as_str()))
}

/// What a repetition is recognised by: the request itself. A member event is prepared once, and a commit or a proposal made
/// once, so that the same together mean the same.
fn transaction(
    session: &Session,
    room_id: &RoomId,
    parts: [Option<&RawValue>; 3],
) -> Result<ClientTxnKey, MatrixError> {
    let parts = parts.map(|part| sha256(part.map_or("", RawValue::get)));
    send::txn(session, format!("pair {room_id}"), &base64::encode(sha256(parts.concat())))
}

fn paired_with(commit: Option<&RawValue>, proposal: Option<&RawValue>) -> Result<PairedWith, MatrixError> {
    match (commit, proposal) {
        (Some(commit), None) => {
            let content = event_content::parse(commit)?;
            CommitContent::parse(&content)
                .map_err(|error| MatrixError::bad_json(format!("`commit` is no content of m.mls.commit: {error}.")))?;
            Ok(PairedWith::Commit(content))
        }
        (None, Some(proposal)) => {
            let proposal: Proposal = serde_json::from_str(proposal.get())
                .map_err(|error| MatrixError::bad_json(format!("`proposal` is not one: {error}.")))?;
            Ok(PairedWith::Proposal(super::message(&proposal.message)?))
        }
        _ => Err(MatrixError::bad_json("A member event is paired with either a commit or a proposal.")),
    }
}
