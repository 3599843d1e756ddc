//! `GET /_matrix/client/v3/joined_rooms`

use axle_protocol::auth::Membership;
use ruma::api::client::membership::joined_rooms::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn joined_rooms(api: Api, session: Session, _: Request) -> ApiResult<Response> {
    let rooms = api.store.user_rooms(&session.user_id).await?;
    let joined = rooms.into_iter().filter(|room| room.membership == Membership::Join);
    let joined = joined.map(|room| ids::ruma_room(&room.room_id)).collect::<Result<_, _>>()?;
    Ok(Response::new(joined))
}
