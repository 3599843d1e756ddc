//! Tasks that requests begin and leave behind.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// Those that are under way.
#[derive(Default)]
pub(crate) struct Background(Mutex<JoinSet<()>>);

impl Background {
    /// Does something that nobody waits for. It is broken off when the server stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended since.
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a task in the background broke off");
            }
        }
        tasks.spawn(task);
    }

    /// Breaks off whatever is under way; nothing of it is left when this returns.
    pub(crate) async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn nothing_is_left_when_it_has_ended() {
        let (background, held) = (Background::default(), Arc::new(()));
        for _ in 0..3 {
            let held = held.clone();
            background.spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        background.end().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
