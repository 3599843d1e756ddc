//! `PUT /_matrix/client/v3/profile/{userId}/displayname`

use ruma::api::client::profile::set_display_name::v3::{Request, Response};

use crate::error::ApiResult;
use crate::profile;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn displayname_put(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let name = request.displayname.filter(|name| !name.is_empty());
    profile::check_displayname(name.as_deref())?;
    profile::change(&api, &session, request.user_id.as_str(), |profile| profile.displayname = name).await?;
    Ok(Response::new())
}
