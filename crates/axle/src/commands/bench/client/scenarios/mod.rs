//! What clients do, one scenario a file.

mod first_sync;
mod history;
mod join;
mod login;
mod send;
mod wake;

pub(super) use first_sync::{FirstSync, Protocol, make_rooms};
pub(super) use history::History;
pub(super) use join::Join;
pub(super) use login::Login;
pub(super) use send::Send;
pub(super) use wake::Wake;

use super::Result;
use super::homeserver::Homeserver;
use super::user::User;

/// Users that are registered at once.
const REGISTER_AT_ONCE: usize = 8;

/// Registers so many users.
pub(super) async fn register(
    http: &reqwest::Client,
    server: &Homeserver,
    prefix: &str,
    count: usize,
) -> Result<Vec<User>> {
    use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
    stream::iter(0..count)
        .map(|number| async move { User::register(http, &server.url, &format!("{prefix}-{number}")).await })
        .buffered(REGISTER_AT_ONCE)
        .try_collect()
        .await
}

/// A room of the first user that all others are in.
pub(super) async fn room_of(users: &[User]) -> Result<String> {
    let creator = users.first().ok_or("a room needs somebody")?;
    let room = creator.create_room().await?;
    for user in users.iter().skip(1) {
        user.join(&room).await?;
    }
    Ok(room)
}
