//! `POST /_matrix/client/v3/register` by an application service, for one of its users ("Server admin style permissions").

use axle_protocol::MatrixError;
use axle_store::StoreError;
use ruma::api::client::account::register::v3::Request;

use super::register::{Registered, answer};
use crate::accounts::{self, in_use, wanted_user};
use crate::appservice::{exclusive, new_user};
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::json_response::JsonResponse;
use crate::session;
use crate::state::Api;

/// Makes an account without a password, whoever else may register. 400 `M_EXCLUSIVE` for a name that is none of the
/// service's.
pub(super) async fn register(api: Api, caller: Caller, request: Request) -> ApiResult<JsonResponse<Registered>> {
    let service = caller.service.and_then(|index| api.config.services.get(index));
    let service =
        service.ok_or_else(|| MatrixError::missing_token("Only an application service registers like this."))?;
    let name = request.username.clone().ok_or_else(|| MatrixError::missing_param("There is no user name."))?;
    let user_id = wanted_user(&api.config.server_name, &name)?;
    session::check_device(request.device_id.as_ref(), request.initial_device_display_name.as_deref())?;
    if !service.has_user(user_id.as_str()) {
        return Err(exclusive("This user name is none of the application service's.").into());
    }
    api.config.services.check_user(caller.service, &user_id)?;
    match accounts::make(&*api.store, new_user(user_id.clone()), None).await {
        Ok(_) => {}
        Err(StoreError::Exists(_)) => return Err(in_use(&user_id).into()),
        Err(error) => return Err(error.into()),
    }
    answer(&api, caller, &user_id, request).await
}
