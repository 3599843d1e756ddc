//! One sync request.

use std::time::Duration;

use serde_json::json;

use super::Client;
use super::request::Call;
use crate::{Error, SyncResponse};

/// How long an answer may take beyond the time that the server was told to wait.
const GRACE: Duration = Duration::from_secs(30);

impl Client {
    /// What happened since a token from before (`None`: everything that there is to know), waiting up to `wait` for
    /// something to happen. `timeline_limit`: how many events of each room at most.
    pub async fn sync(
        &self,
        since: Option<&str>,
        wait: Duration,
        timeline_limit: usize,
    ) -> Result<SyncResponse, Error> {
        let filter = json!({"room": {"timeline": {"limit": timeline_limit}}});
        let mut call = Call::get(&["v3", "sync"])
            .query("timeout", wait.as_millis().to_string())
            .query("filter", filter.to_string())
            .timeout(wait + GRACE);
        if let Some(since) = since {
            call = call.query("since", since);
        }
        self.call(call).await
    }
}
