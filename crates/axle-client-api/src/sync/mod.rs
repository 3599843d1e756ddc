//! What happened for a user since a moment.
//!
//! Only rooms in which something happened are read. A moment is a place in stream order; `since < stream <= until` is
//! what one answer covers, so that consecutive answers neither miss nor repeat anything.

mod invited;
mod joined;
mod left;
mod membership;
mod response;
mod timeline;

use axle_protocol::auth::Membership;
use axle_store::{OutOfRoom, UserRoom};
use ruma::api::client::filter::FilterDefinition;

use crate::error::ApiResult;
use crate::event_filter::{EventFilter, allows_room};
use crate::session::Session;
use crate::state::Api;
use crate::token::Token;

use response::Rooms;
pub(crate) use response::SyncResponse;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct News {
    /// What the client knows already; `None`: nothing.
    pub(crate) since: Option<i64>,
    /// Where the answer ends.
    pub(crate) until: i64,
    /// Whether the client wants all state again.
    pub(crate) full_state: bool,
}

/// Everything that the parts of a sync work with.
struct Sync<'a> {
    api: &'a Api,
    session: &'a Session,
    news: News,
    timeline_filter: EventFilter,
    state_filter: EventFilter,
    include_leave: bool,
}

/// Reads an answer.
pub(crate) async fn read(
    api: &Api,
    session: &Session,
    filter: &FilterDefinition,
    news: News,
) -> ApiResult<SyncResponse> {
    let sync = Sync {
        api,
        session,
        news,
        timeline_filter: EventFilter::new(filter.room.timeline.clone()),
        state_filter: EventFilter::new(filter.room.state.clone()),
        include_leave: filter.room.include_leave,
    };
    let wanted = |room_id: &_| allows_room(filter.room.rooms.as_deref(), &filter.room.not_rooms, room_id);
    let mut rooms = Rooms::default();
    let elsewhere = api.store.out_of_room(&session.user_id).await?;
    for room in sync.rooms().await? {
        if wanted(&room.room_id) && !elsewhere.iter().any(|entry| supersedes(entry, &room)) {
            sync.read_room(&mut rooms, room).await?;
        }
    }
    for entry in elsewhere.into_iter().filter(|entry| wanted(&entry.room_id)) {
        sync.read_elsewhere(&mut rooms, entry).await?;
    }
    Ok(SyncResponse::new(Token::Stream(news.until).to_string(), rooms))
}

impl Sync<'_> {
    async fn rooms(&self) -> ApiResult<Vec<UserRoom>> {
        let user_id = &self.session.user_id;
        Ok(match self.news.since {
            Some(since) if !self.news.full_state => self.api.store.user_rooms_changed(user_id, since).await?,
            _ => self.api.store.user_rooms(user_id).await?,
        })
    }

    async fn read_room(&self, rooms: &mut Rooms, room: UserRoom) -> ApiResult<()> {
        // The store is read after `until` was: the room may be further than this answer goes.
        let Some(now) = membership::at(self.api, self.session, &room, self.news.until).await? else { return Ok(()) };
        let before = match self.news.since {
            Some(since) => membership::at(self.api, self.session, &room, since).await?,
            None => None,
        };
        let room_id = room.room_id.clone();
        let is_new = self.is_new(now.stream);
        match now.membership {
            Membership::Join => {
                let room = joined::read(self, &room_id, &now, before.as_ref()).await?;
                if self.news.full_state || self.news.since.is_none() || !room.is_empty() {
                    rooms.join.insert(room_id, room);
                }
            }
            Membership::Invite if is_new => {
                rooms.invite.insert(room_id.clone(), invited::invite(self, &room_id, &now).await?);
            }
            Membership::Knock if is_new => {
                rooms.knock.insert(room_id.clone(), invited::knock(self, &room_id, &now).await?);
            }
            Membership::Leave | Membership::Ban if self.wants_left(now.stream) => {
                rooms.leave.insert(room_id.clone(), left::read(self, &room_id, &now, before.as_ref()).await?);
            }
            _ => {}
        }
        Ok(())
    }

    async fn read_elsewhere(&self, rooms: &mut Rooms, entry: OutOfRoom) -> ApiResult<()> {
        let is_over = matches!(entry.membership, Membership::Leave | Membership::Ban);
        let wanted = if is_over { self.wants_left(entry.stream) } else { self.is_new(entry.stream) };
        if !wanted || entry.stream > self.news.until || self.overtaken(&entry).await? {
            return Ok(());
        }
        let room_id = entry.room_id.clone();
        match entry.membership {
            Membership::Invite => {
                rooms.invite.insert(room_id, invited::invite_elsewhere(&entry)?);
            }
            Membership::Knock => {
                rooms.knock.insert(room_id, invited::knock_elsewhere(&entry)?);
            }
            Membership::Leave | Membership::Ban => {
                rooms.leave.insert(room_id, left::read_elsewhere(self, entry).await?);
            }
            // Who has joined a room is in it.
            Membership::Join => {}
        }
        Ok(())
    }

    /// Whether the room itself knows better by now.
    async fn overtaken(&self, entry: &OutOfRoom) -> ApiResult<bool> {
        let user_id = self.session.user_id.as_str();
        let member = self.api.store.state_event(&entry.room_id, "m.room.member", user_id).await?;
        Ok(member.is_some_and(|member| member.stream > entry.stream))
    }

    /// Whether the client does not know yet what is at this stream position.
    fn is_new(&self, stream: i64) -> bool {
        self.news.full_state || self.news.since.is_none_or(|since| stream > since)
    }

    /// Whether the client is to be told of a room that was left at this stream position.
    fn wants_left(&self, stream: i64) -> bool {
        match self.news.since {
            Some(since) => stream > since,
            None => self.include_leave,
        }
    }
}

/// Whether an invite or knock came after what the room itself says: this server has left the room.
fn supersedes(entry: &OutOfRoom, room: &UserRoom) -> bool {
    entry.room_id == room.room_id && entry.stream > room.stream
}
