//! Sessions of registration: what a client wanted when it began, so that it need not say it again, and what came of it, so
//! that a request whose answer was lost can be repeated.
//!
//! Kept in memory: after a restart clients begin anew.

use std::num::NonZeroUsize;
use std::time::Duration;

use axle_protocol::UserId;
use ruma::OwnedDeviceId;
use ruma::api::client::account::register::v3::Request;

use crate::cache::Cache;

/// Sessions that are remembered; of more, the oldest are forgotten.
const MAX_SESSIONS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// How long a session is remembered, from the last request on.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Bytes of a guest's access token that is remembered; those of this server are shorter.
const MAX_TOKEN_BYTES: usize = 255;

/// How far a session is.
#[derive(Clone)]
pub(crate) enum Registering {
    /// Stages are to be passed yet.
    Begun(Box<Wanted>),
    /// This account was made, for who wanted this.
    Made(UserId, Box<Wanted>),
}

/// What a client wants. Other lengths have been checked.
#[derive(Clone)]
pub(crate) struct Wanted {
    username: Option<String>,
    password: Option<String>,
    device_id: Option<OwnedDeviceId>,
    device_name: Option<String>,
    guest_access_token: Option<String>,
    inhibit_login: bool,
    refresh_token: bool,
}

impl Wanted {
    /// What a request says.
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            username: request.username.clone(),
            password: request.password.clone(),
            device_id: request.device_id.clone(),
            device_name: request.initial_device_display_name.clone(),
            guest_access_token: request.guest_access_token.clone().filter(|token| token.len() <= MAX_TOKEN_BYTES),
            inhibit_login: request.inhibit_login,
            refresh_token: request.refresh_token,
        }
    }

    /// The same for longer: a password is kept no longer than it has to be.
    pub(crate) fn without_password(self) -> Self {
        Self { password: None, ..self }
    }

    /// Completes a later request of the session.
    pub(crate) fn complete(self, request: &mut Request) {
        request.username = request.username.take().or(self.username);
        request.password = request.password.take().or(self.password);
        request.device_id = request.device_id.take().or(self.device_id);
        request.initial_device_display_name = request.initial_device_display_name.take().or(self.device_name);
        request.guest_access_token = request.guest_access_token.take().or(self.guest_access_token);
        request.inhibit_login |= self.inhibit_login;
        request.refresh_token |= self.refresh_token;
    }
}

/// The sessions, by their ids.
pub(crate) struct Registrations(Cache<String, Registering>);

impl Default for Registrations {
    fn default() -> Self {
        Self(Cache::new(MAX_SESSIONS))
    }
}

impl Registrations {
    /// How far a session is; `None`: it is none of this server's, or forgotten.
    pub(crate) fn of(&self, session: &str) -> Option<Registering> {
        self.0.get(&session.to_owned())
    }

    /// A session, which has an id of this server's, is so far now.
    pub(crate) fn note(&self, session: &str, state: Registering) {
        self.0.put(session.to_owned(), state, LIFETIME);
    }
}
