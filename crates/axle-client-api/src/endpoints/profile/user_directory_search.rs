//! `POST /_matrix/client/v3/user_directory/search`

use axle_store::{FoundUser, Profile};
use ruma::api::client::user_directory::search_users::v3::{Request, Response, User};

use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

/// The most users in an answer.
const MAX_USERS: usize = 50;
/// The most words that are looked for; the others are not looked at.
const MAX_WORDS: usize = 8;

pub(crate) async fn user_directory_search(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    api.limits.changes.take(session.user_id.as_str())?;
    let words = request.search_term.split(|letter: char| !letter.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty()).take(MAX_WORDS).map(str::to_owned).collect();
    let limit = usize::try_from(u64::from(request.limit)).unwrap_or(MAX_USERS).min(MAX_USERS);
    let found = api.store.search_users(&session.user_id, words, limit).await?;
    let mut users = Vec::with_capacity(found.users.len());
    for found in found.users {
        users.push(user(as_known(&api, found).await?)?);
    }
    Ok(Response::new(users, found.limited))
}

/// Users of this server as they show themselves to all, whatever they are called in the room by which they were found.
async fn as_known(api: &Api, found: FoundUser) -> ApiResult<FoundUser> {
    if found.user_id.server_str() != api.config.server_name.as_str() {
        return Ok(found);
    }
    let Profile { displayname, avatar_url } = api.store.profile(&found.user_id).await?;
    Ok(FoundUser { displayname, avatar_url, ..found })
}

fn user(found: FoundUser) -> ApiResult<User> {
    let mut user = User::new(ids::ruma_user(&found.user_id)?);
    user.display_name = found.displayname;
    user.avatar_url = found.avatar_url.map(Into::into);
    Ok(user)
}
