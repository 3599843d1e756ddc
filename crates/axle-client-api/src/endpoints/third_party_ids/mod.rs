//! Mail addresses and telephone numbers of accounts ("Third-party identifiers"): there are none here, and clients are
//! told so in the way that each of them understands.

mod add;
mod list;
mod remove;
mod request_token;

use axle_protocol::MatrixError;

use crate::endpoint::Endpoints;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    request_token::routes(endpoints)
        .authed(list::list)
        .authed(add::add)
        .authed(add::bind)
        .authed(remove::delete)
        .authed(remove::unbind)
}

fn denied() -> MatrixError {
    MatrixError::new(403, "M_THREEPID_DENIED", "Accounts of this server have no mail addresses or telephone numbers.")
}
