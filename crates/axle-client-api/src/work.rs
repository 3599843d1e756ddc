//! What the API does without being asked: it tells push gateways and application services, makes messages searchable,
//! removes files of other servers and keys that have ended, sends delayed events, and tells other servers who is there.

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::state::Api;
use crate::{appservice, delayed, expired_keys, media, presence, push, search};

/// What the API does beside answering requests.
#[must_use = "to be run as long as requests are answered"]
pub struct Work(Api);

impl Work {
    pub(crate) fn new(api: Api) -> Self {
        Self(api)
    }

    /// Does it until the server stops. Nothing of it is left when this returns; what was not done is done after the next
    /// start.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Self(api) = self;
        let mut pushers = JoinSet::new();
        let work = async {
            tokio::join!(
                push::run(&api, &mut pushers),
                search::keep_indexed(&api),
                appservice::serve(api.clone()),
                media::keep_remote_media_small(&api),
                delayed::send_in_time(&api),
                presence::tell_servers(&api),
                expired_keys::forget(&api),
            )
        };
        tokio::select! {
            _ = work => {}
            // An error: whoever could stop it is gone.
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
        pushers.shutdown().await;
    }
}
