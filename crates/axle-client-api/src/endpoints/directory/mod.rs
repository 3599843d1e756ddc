//! Aliases, the list of rooms, and what rooms say of themselves.

mod alias_delete;
mod alias_get;
mod alias_put;
mod aliases;
mod forget;
mod hierarchy;
mod listed_get;
mod listed_put;
mod public_rooms_get;
mod public_rooms_post;
mod report_event;
mod report_room;
mod report_user;
mod room_summary;
mod upgrade;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .open(alias_get::alias_get)
        .authed(alias_put::alias_put)
        .authed(alias_delete::alias_delete)
        .authed(aliases::aliases)
        .open(listed_get::listed_get)
        .authed(listed_put::listed_put)
        .open(public_rooms_get::public_rooms_get)
        .authed(public_rooms_post::public_rooms_post)
        .authed(forget::forget)
        .optional_at(&room_summary::PATHS, room_summary::room_summary)
        .authed(hierarchy::hierarchy)
        .authed(upgrade::upgrade)
        .authed(report_room::report_room)
        .authed(report_event::report_event)
        .authed(report_user::report_user)
}
