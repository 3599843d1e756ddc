//! `GET /_matrix/client/v3/notifications`
//!
//! Nothing is kept for it: what notifies a user is found in the log of their rooms, by today's rules.

use axle_protocol::auth::Membership;
use axle_store::UserRoom;
use ruma::MilliSecondsSinceUnixEpoch;
use ruma::api::client::push::get_notifications::v3::{Notification, Request, Response};
use ruma::push::Action;
use ruma::{UInt, uint};

use crate::error::ApiResult;
use crate::ids;
use crate::page;
use crate::push;
use crate::render::{Format, View, origin_server_ts, render_event};
use crate::session::Session;
use crate::state::Api;
use crate::token::{BEFORE_EVERYTHING, Token};
use crate::unread::{Notifying, Reader};
use crate::visibility::Access;

/// Notifications of one page, if the client does not say.
const DEFAULT_LIMIT: usize = 20;
/// The most notifications of one page.
const MAX_LIMIT: usize = 100;
/// So many rooms are looked at, those in which something happened last; of each the newest
/// [`MAX_LISTED`](crate::unread::MAX_LISTED) events, whatever the page.
const MAX_ROOMS: usize = 50;

pub(crate) async fn notifications(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    let until = match &request.from {
        Some(token) => Token::parse_stream(token)?,
        None => i64::MAX,
    };
    let limit = page::limit(request.limit, DEFAULT_LIMIT, MAX_LIMIT);
    let only_highlights = request.only.as_deref() == Some("highlight");
    let mut found = newest(&api, &session, until, limit, only_highlights).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| Token::Stream(last.event.stream.saturating_sub(1)).to_string());
    let mut notifications = Vec::with_capacity(found.len());
    for notifying in found {
        notifications.push(notification(&api, &session, notifying).await?);
    }
    let mut response = Response::new(notifications);
    response.next_token = next;
    Ok(response)
}

/// Events up to a stream position that notify the user, the newest first: one more than is asked for at least, if there
/// are as many.
async fn newest(
    api: &Api,
    session: &Session,
    until: i64,
    limit: usize,
    only_highlights: bool,
) -> ApiResult<Vec<Notifying>> {
    let mut rooms = api.store.user_rooms(&session.user_id).await?;
    rooms.retain(|room| room.membership == Membership::Join);
    rooms.sort_by_key(|room| std::cmp::Reverse(room.room_stream));
    let reader = Reader::new(api, &session.user_id);
    let wanted = |notifying: &Notifying| {
        let is_highlight = || notifying.actions.iter().any(Action::is_highlight);
        notifying.event.stream <= until && (!only_highlights || is_highlight())
    };
    let mut found: Vec<Notifying> = Vec::new();
    for room in rooms.iter().take(MAX_ROOMS) {
        // Nothing in this room, nor in those after it, comes before what is found.
        let newer = found.iter().filter(|notifying| notifying.event.stream > room.room_stream).count();
        if newer > limit {
            break;
        }
        found.extend(of_room(api, session, &reader, room).await?.into_iter().filter(wanted));
    }
    found.sort_by_key(|notifying| std::cmp::Reverse(notifying.event.stream));
    Ok(found)
}

async fn of_room(api: &Api, session: &Session, reader: &Reader<'_>, room: &UserRoom) -> ApiResult<Vec<Notifying>> {
    let user_id = &session.user_id;
    let Some(member) = api.store.event(&room.event_id).await? else { return Ok(Vec::new()) };
    let own = api.store.receipts(&room.room_id, user_id, BEFORE_EVERYTHING, i64::MAX, 0).await?.own;
    let found = reader.notifying(&room.room_id, &member, own, (BEFORE_EVERYTHING, i64::MAX), true).await?;
    push::only_seen(api, &Access::of_member(user_id, &room.room_id), found).await
}

async fn notification(api: &Api, session: &Session, notifying: Notifying) -> ApiResult<Notification> {
    let Notifying { event, actions, read, .. } = notifying;
    let room_id = ids::ruma_room(&event.room_id)?;
    let ts = UInt::try_from(origin_server_ts(&event)?).unwrap_or(uint!(0));
    let event = render_event(api, session, event, View::timeline(Format::Full, None)).await?;
    let mut notification = Notification::new(actions, event, read, room_id, MilliSecondsSinceUnixEpoch(ts));
    // There are no rules but those of the profile that all devices have.
    notification.profile_tag = Some(String::new());
    Ok(notification)
}
