//! The task of one pusher.

use std::time::Duration;

use axle_store::{PushProgress, Pusher};
use serde::Deserialize;

use super::badge::Badge;
use super::due;
use super::notification::{self, Device};
use crate::error::ApiResult;
use crate::state::{Api, now_ms};
use crate::unread::Notifying;

/// The first pause after a failure; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// When a gateway could not be reached for so long, what is due is dropped, in milliseconds: nobody wants yesterday's
/// news on their telephone.
const GIVE_UP_AFTER_MS: i64 = 24 * 3600 * 1000;
/// When nothing was told in so many stream positions, it is noted all the same how far the pusher is. One that has gone with
/// its device is noticed then, or when there is something to tell.
const UNNOTED: i64 = 1000;

/// Where a pusher stands after an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything is told.
    Done,
    /// The gateway could not be reached.
    Failed,
    /// The pusher is no more.
    Gone,
}

/// Tells the gateway of a pusher what notifies its user, until the pusher is gone.
pub(super) async fn run(api: Api, pusher: Pusher) {
    let Some(device) = Device::of(&pusher) else {
        tracing::error!(user_id = %pusher.set.user_id, "a stored pusher cannot be read");
        return;
    };
    let Pusher { id, set, progress } = pusher;
    let badge = Badge::new(set.user_id.clone());
    let mut task = Task { api: api.clone(), id, device, noted: progress.cursor, progress, badge };
    let mut pause = FIRST_PAUSE;
    loop {
        // Before anything is read: then nothing falls between.
        let changed = api.notifier.changed(&set.user_id);
        match task.catch_up().await {
            Ok(Outcome::Done) => {
                // Nothing may be due any more although the gateway was not there.
                if task.progress.failing_since.is_none() {
                    pause = FIRST_PAUSE;
                }
                changed.await;
                continue;
            }
            Ok(Outcome::Gone) => return,
            Ok(Outcome::Failed) => {}
            Err(error) => tracing::error!(user_id = %set.user_id, ?error, "a pusher could not find out what is due"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Task {
    api: Api,
    id: i64,
    device: Device,
    progress: PushProgress,
    /// The cursor that is stored.
    noted: i64,
    badge: Badge,
}

impl Task {
    /// Tells what is due.
    async fn catch_up(&mut self) -> ApiResult<Outcome> {
        let until = self.api.store.max_stream().await?;
        if until <= self.progress.cursor {
            return Ok(Outcome::Done);
        }
        let given_up = self.progress.failing_since.is_some_and(|since| now_ms() - since > GIVE_UP_AFTER_MS);
        let mut due = due::read(&self.api, self.badge.user_id(), self.progress.cursor, until).await?;
        if given_up {
            // One is tried: the gateway may be there again.
            due.drain(..due.len().saturating_sub(1));
        }
        let outcome =
            if due.is_empty() { self.tell_badge(until).await? } else { self.tell_events(&due, until).await? };
        match outcome {
            Outcome::Done => {
                self.progress.cursor = until;
                if until - self.noted >= UNNOTED { self.note().await } else { Ok(Outcome::Done) }
            }
            Outcome::Failed if given_up => self.drop_due(until).await,
            other => Ok(other),
        }
    }

    /// Tells events, one after the other.
    async fn tell_events(&mut self, due: &[Notifying], until: i64) -> ApiResult<Outcome> {
        for notifying in due {
            let badge = self.badge.at(&self.api, until).await?;
            let user_id = self.badge.user_id();
            let notification = notification::of_event(&self.api, user_id, &self.device, notifying, badge).await?;
            let outcome = self.tell(notification, notifying.event.stream, badge).await?;
            if outcome != Outcome::Done {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Done)
    }

    /// Tells how many messages are unread, if that has changed without another.
    async fn tell_badge(&mut self, until: i64) -> ApiResult<Outcome> {
        // Without an event it can only become less.
        if self.progress.badge.is_none_or(|told| told == 0) {
            return Ok(Outcome::Done);
        }
        let badge = self.badge.at(&self.api, until).await?;
        if self.progress.badge == Some(badge) {
            return Ok(Outcome::Done);
        }
        self.tell(notification::of_badge(&self.device, badge)?, until, badge).await
    }

    /// Whether the pusher is there: its device may have been logged out.
    async fn is_there(&self) -> ApiResult<bool> {
        let pushers = self.api.store.pushers(self.badge.user_id()).await?;
        Ok(pushers.iter().any(|pusher| pusher.id == self.id))
    }

    /// Sends a notification. When it has arrived, what came up to `cursor` is told, and so many unread messages.
    async fn tell(&mut self, notification: Vec<u8>, cursor: i64, badge: u64) -> ApiResult<Outcome> {
        let Some(answer) = self.ask(notification).await? else { return Ok(Outcome::Gone) };
        match answer {
            Ok(answer) if rejects(&answer, &self.device.pushkey) => {
                self.api.store.remove_pusher(self.id).await?;
                Ok(Outcome::Gone)
            }
            Ok(_) => {
                self.progress = PushProgress { cursor, badge: Some(badge), failing_since: None };
                self.note().await
            }
            Err(error) => {
                tracing::debug!(url = self.device.url, error, "a push gateway was not told");
                if self.progress.failing_since.is_none() {
                    self.progress.failing_since = Some(now_ms());
                    if self.note().await? == Outcome::Gone {
                        return Ok(Outcome::Gone);
                    }
                }
                Ok(Outcome::Failed)
            }
        }
    }

    /// Waits for its turn, and makes a request to the gateway. `None`: the pusher is gone.
    async fn ask(&self, notification: Vec<u8>) -> ApiResult<Option<Result<Vec<u8>, String>>> {
        // The semaphore is never closed.
        let _permit = self.api.pushing.requests.acquire().await;
        if !self.is_there().await? {
            return Ok(None);
        }
        Ok(Some(self.api.gateway.notify(&self.device.url, notification).await))
    }

    /// Gives up what could not be told for too long.
    async fn drop_due(&mut self, until: i64) -> ApiResult<Outcome> {
        self.progress.cursor = until;
        match self.note().await? {
            Outcome::Done => Ok(Outcome::Failed),
            other => Ok(other),
        }
    }

    /// Stores how far the pusher is.
    async fn note(&mut self) -> ApiResult<Outcome> {
        if !self.api.store.push_progress(self.id, self.progress).await? {
            return Ok(Outcome::Gone);
        }
        self.noted = self.progress.cursor;
        Ok(Outcome::Done)
    }
}

/// Whether a gateway's answer says that a push key is good no longer.
fn rejects(answer: &[u8], pushkey: &str) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        rejected: Vec<String>,
    }
    serde_json::from_slice::<Answer>(answer).is_ok_and(|answer| answer.rejected.iter().any(|key| key == pushkey))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_key_can_be_rejected() {
        assert!(rejects(br#"{"rejected":["a","b"]}"#, "b"));
        for answer in
            [&br#"{"rejected":["a"]}"#[..], br#"{"rejected":[]}"#, b"{}", b"", b"[]", br#"{"rejected":[1,"b"]}"#]
        {
            assert!(!rejects(answer, "b"));
        }
    }
}
