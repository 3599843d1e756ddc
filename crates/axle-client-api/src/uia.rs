//! User-interactive authentication: what needs more than an access token ("User-Interactive Authentication API" in
//! Matrix's specification).
//!
//! An endpoint names its flows; a client goes through the stages of one of them, a request each, and repeats its request
//! with the id of the session. Sessions live in memory: after a restart the client begins anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axle_protocol::{MatrixError, UserId};
use ruma::api::client::uiaa::{AuthData, AuthFlow, AuthType, Password, UiaaInfo, UserIdentifier};
use ruma::api::error::{ErrorKind, StandardErrorBody};

use crate::error::{ApiError, ApiResult};
use crate::session::random_token;
use crate::state::Api;

/// Random bytes in the id of a session.
const SESSION_BYTES: usize = 18;
/// How long a client may take.
const SESSION_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Sessions kept. When there are more, all are forgotten: clients are asked to begin anew.
const MAX_SESSIONS: usize = 10_000;

/// What somebody has to authenticate for.
pub(crate) struct Action<'a> {
    /// Tells actions apart: a session is good for one of them, with what it is done to.
    pub(crate) name: &'a str,
    /// Who has to authenticate.
    pub(crate) user_id: &'a UserId,
    /// Stages to go through, one list or another.
    pub(crate) flows: &'a [&'a [AuthType]],
}

/// Sessions that are not finished.
#[derive(Default)]
pub(crate) struct Sessions {
    pending: Mutex<HashMap<String, Pending>>,
}

#[derive(Clone)]
struct Pending {
    action: String,
    user_id: UserId,
    completed: Vec<AuthType>,
    ends: Instant,
}

/// Returns when the client has been through all stages of a flow. Otherwise the answer is 401 with what there is to do.
/// 403 `M_FORBIDDEN` for the session of another action, and for the password of another user: trying again is no use.
pub(crate) async fn require(api: &Api, action: &Action<'_>, auth: Option<&AuthData>) -> ApiResult<()> {
    let Some(auth) = auth else { return Err(begin(api, action, None)?) };
    let (id, mut pending) = match auth.session() {
        Some(id) => match api.uia.find(id) {
            Some(pending) if pending.is_for(action) => (id.to_owned(), pending),
            Some(_) => return Err(MatrixError::forbidden("This session is for something else.").into()),
            None => return Err(begin(api, action, Some("There is no such session, or it has ended."))?),
        },
        // A client that knows what is asked for may do without a session.
        None => (random_token(SESSION_BYTES)?, Pending::new(action)),
    };
    if let Some(stage) = auth.auth_type() {
        check_named(action.user_id, auth)?;
        let offered = action.flows.iter().any(|flow| flow.contains(&stage));
        let passed = offered && is_right(api, action.user_id, auth).await?;
        if !passed {
            let problem = if offered { "The authentication failed." } else { "This stage is not offered here." };
            return Err(api.uia.unfinished(id, pending, action, Some(problem)));
        }
        if !pending.completed.contains(&stage) {
            pending.completed.push(stage);
        }
    }
    let done = |flow: &&[AuthType]| flow.iter().all(|stage| pending.completed.contains(stage));
    if action.flows.iter().any(done) {
        api.uia.lock().remove(&id);
        return Ok(());
    }
    Err(api.uia.unfinished(id, pending, action, None))
}

fn begin(api: &Api, action: &Action<'_>, problem: Option<&str>) -> ApiResult<ApiError> {
    Ok(api.uia.unfinished(random_token(SESSION_BYTES)?, Pending::new(action), action, problem))
}

/// Whether a stage is passed.
async fn is_right(api: &Api, user_id: &UserId, auth: &AuthData) -> ApiResult<bool> {
    match auth {
        AuthData::Dummy(_) => Ok(true),
        AuthData::Password(password) if names_user(password) => {
            // Taken before the password is checked, so that guesses made at the same time count, too.
            api.limits.login_account.take(user_id.as_str())?;
            let user = api.store.user(user_id).await?;
            let hash = user.filter(|user| !user.deactivated).and_then(|user| user.password_hash);
            let right = api.passwords.verify(password.password.clone(), hash).await?;
            if right {
                api.limits.login_account.give_back(user_id.as_str());
            }
            Ok(right)
        }
        _ => Ok(false),
    }
}

/// Refuses who proves to be somebody else.
fn check_named(user_id: &UserId, auth: &AuthData) -> Result<(), MatrixError> {
    match auth {
        AuthData::Password(Password { identifier: UserIdentifier::Matrix(named), .. })
            if named.user != user_id.as_str() && named.user != user_id.localpart() =>
        {
            Err(MatrixError::forbidden("This is the password of another user."))
        }
        _ => Ok(()),
    }
}

/// Users are known here by their ids only.
fn names_user(password: &Password) -> bool {
    matches!(password.identifier, UserIdentifier::Matrix(_))
}

impl Sessions {
    fn find(&self, id: &str) -> Option<Pending> {
        self.lock().get(id).filter(|pending| pending.ends > Instant::now()).cloned()
    }

    /// Keeps a session; the answer to its client.
    fn unfinished(&self, id: String, pending: Pending, action: &Action<'_>, problem: Option<&str>) -> ApiError {
        let flows = action.flows.iter().map(|flow| AuthFlow::new(flow.to_vec())).collect();
        let mut info = UiaaInfo::new(flows);
        info.completed = pending.completed.clone();
        info.params = serde_json::value::to_raw_value(&serde_json::Map::new()).ok();
        info.session = Some(id.clone());
        let error = |problem: &str| Box::new(StandardErrorBody::new(ErrorKind::Forbidden, problem.to_owned()));
        info.auth_error = problem.map(error);
        let mut sessions = self.lock();
        if sessions.len() >= MAX_SESSIONS {
            let now = Instant::now();
            sessions.retain(|_, session| session.ends > now);
        }
        if sessions.len() >= MAX_SESSIONS {
            sessions.clear();
        }
        sessions.insert(id, pending);
        ApiError::Authenticate(Box::new(info))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn new(action: &Action<'_>) -> Self {
        Self {
            action: action.name.to_owned(),
            user_id: action.user_id.clone(),
            completed: Vec::new(),
            ends: Instant::now() + SESSION_LIFETIME,
        }
    }

    fn is_for(&self, action: &Action<'_>) -> bool {
        self.action == action.name && self.user_id == *action.user_id
    }
}
