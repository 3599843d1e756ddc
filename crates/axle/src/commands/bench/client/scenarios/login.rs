//! Logins with a password.

use std::time::Duration;

use super::super::Result;
use super::super::homeserver::{Homeserver, Kind};
use super::super::scenario::{Scenario, repeat};
use super::super::user::{self, User};

/// How many times less than Synapse.
const WANTED: f64 = 10.0;

/// A user logs in, each time with a new device.
pub(in super::super) struct Login {
    /// Logins of a round.
    pub(in super::super) logins: usize,
}

/// Where to.
pub(in super::super) struct Ready {
    http: reqwest::Client,
    url: String,
}

impl Scenario for Login {
    type Ready = Ready;

    fn name(&self) -> String {
        "login with a password".to_owned()
    }

    fn operation(&self) -> &'static str {
        "a login"
    }

    fn wanted(&self) -> Option<f64> {
        Some(WANTED)
    }

    fn operations(&self, _kind: Kind) -> usize {
        self.logins
    }

    async fn prepare(&self, server: &Homeserver, _rounds: usize) -> Result<Ready> {
        let http = user::http()?;
        User::register(&http, &server.url, "login").await?;
        Ok(Ready { http, url: server.url.clone() })
    }

    async fn round(&self, ready: &mut Ready, operations: usize) -> Result<Vec<Duration>> {
        let Ready { http, url } = &*ready;
        repeat(operations, 1, |_| async move {
            User::login(http, url, "login").await?;
            Ok(())
        })
        .await
    }
}
