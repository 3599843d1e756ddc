//! Wakes the syncs of local users.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axle_client_api::Notifier;
use axle_protocol::UserId;
use tokio::sync::watch;

/// Who waits for news. An entry lives only as long as somebody waits.
#[derive(Debug, Default)]
pub struct Wakes {
    waiting: Mutex<Waiting>,
    /// For those who want to know of everything.
    everything: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    users: HashMap<UserId, watch::Sender<()>>,
    sweep_at: usize,
}

/// Entries that nobody waits on any more are swept out when there are at least this many.
const SWEEP_MIN: usize = 256;

impl Wakes {
    /// Something happened for one user.
    pub fn wake(&self, user: &str) {
        self.everything.send_replace(());
        let mut waiting = self.lock();
        if waiting.users.get(user).is_some_and(|sender| sender.send(()).is_err()) {
            waiting.users.remove(user);
        }
    }

    /// Something happened in a room. Costs no more than the smaller of two numbers: local members and waiting users.
    pub fn wake_members<'a>(
        &self,
        count: usize,
        members: impl Iterator<Item = &'a str>,
        is_member: impl Fn(&str) -> bool,
    ) {
        self.everything.send_replace(());
        let mut waiting = self.lock();
        if waiting.users.len() < count {
            waiting.users.retain(|user, sender| !is_member(user.as_str()) || sender.send(()).is_ok());
            return;
        }
        for user in members {
            if waiting.users.get(user).is_some_and(|sender| sender.send(()).is_err()) {
                waiting.users.remove(user);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notifier for Wakes {
    fn changed(&self, user_id: &UserId) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut waiting = self.lock();
        if waiting.users.len() >= waiting.sweep_at.max(SWEEP_MIN) {
            waiting.users.retain(|_, sender| sender.receiver_count() > 0);
            waiting.sweep_at = waiting.users.len() * 2;
        }
        let mut receiver = waiting.users.entry(user_id.clone()).or_insert_with(|| watch::channel(()).0).subscribe();
        Box::pin(async move {
            // The sender is dropped only after nobody waits, so an error cannot hide news; it ends the wait.
            let _ = receiver.changed().await;
        })
    }

    fn wake(&self, user_id: &UserId) {
        Wakes::wake(self, user_id.as_str());
    }

    fn stirred(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut receiver = self.everything.subscribe();
        Box::pin(async move {
            // The sender goes with the server: then there is nothing to wait for.
            let _ = receiver.changed().await;
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(format!("@{name}:a.test")).unwrap()
    }

    #[test]
    fn wakes_who_waits_and_nobody_else() {
        let wakes = Wakes::default();
        let (mut alice, mut bob) = (wakes.changed(&user("alice")), wakes.changed(&user("bob")));
        wakes.wake("@alice:a.test");
        assert!((&mut alice).now_or_never().is_some());
        assert!((&mut bob).now_or_never().is_none());
    }

    #[test]
    fn a_wake_before_the_first_poll_is_not_lost() {
        let wakes = Wakes::default();
        let changed = wakes.changed(&user("alice"));
        wakes.wake_members(1, ["@alice:a.test"].into_iter(), |_| true);
        assert!(changed.now_or_never().is_some());
        assert!(wakes.changed(&user("alice")).now_or_never().is_none());
    }

    #[test]
    fn whoever_wants_to_know_of_everything_is_woken_by_anything() {
        let wakes = Wakes::default();
        let (one, other, quiet) = (wakes.stirred(), wakes.stirred(), Wakes::default().stirred());
        wakes.wake("@alice:a.test");
        assert!(one.now_or_never().is_some() && other.now_or_never().is_some());
        let room = wakes.stirred();
        wakes.wake_members(0, std::iter::empty(), |_| false);
        assert!(room.now_or_never().is_some());
        assert!(wakes.stirred().now_or_never().is_none());
        drop(quiet);
    }

    #[test]
    fn large_rooms_go_by_who_waits() {
        let wakes = Wakes::default();
        let changed = wakes.changed(&user("alice"));
        wakes.wake_members(10_000, std::iter::empty(), |name| name == "@alice:a.test");
        assert!(changed.now_or_never().is_some());
    }
}
