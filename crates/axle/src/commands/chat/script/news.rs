//! What the server tells, from a task of its own.

use axle_sdk::{Client, SyncLoop, SyncStep};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::commands::chat::request::Failure;

/// How many steps may wait.
const QUEUE: usize = 64;

/// One step of following the server.
pub(super) struct Piece {
    pub(super) step: SyncStep,
    /// The newest request of [`News::hurry`] that was made before this step began.
    pub(super) barrier: u64,
}

/// Follows the server and can be asked to be quick.
pub(super) struct News {
    pieces: mpsc::Receiver<Piece>,
    hurries: mpsc::UnboundedSender<u64>,
    asked: u64,
    task: JoinHandle<()>,
}

impl News {
    pub(super) fn follow(client: &Client) -> Self {
        let (sender, pieces) = mpsc::channel(QUEUE);
        let (hurries, asked) = mpsc::unbounded_channel();
        let task = tokio::spawn(follow(SyncLoop::new(client, None), sender, asked));
        Self { pieces, hurries, asked: 0, task }
    }

    /// The next step. After the session's end there is none.
    pub(super) async fn next(&mut self) -> Result<Piece, Failure> {
        self.pieces.recv().await.ok_or_else(|| Failure::local("the session is over"))
    }

    /// Asks for a step that begins now and does not wait for anything to happen. Returns its barrier.
    pub(super) fn hurry(&mut self) -> u64 {
        self.asked += 1;
        // Nobody listens after the session's end; `next` says so.
        self.hurries.send(self.asked).ok();
        self.asked
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(mut sync: SyncLoop, pieces: mpsc::Sender<Piece>, mut asked: mpsc::UnboundedReceiver<u64>) {
    let mut barrier = 0;
    loop {
        let step = tokio::select! {
            biased;
            Some(number) = asked.recv() => {
                barrier = number;
                sync.hurry();
                continue;
            }
            step = sync.next() => step,
        };
        let last = matches!(step, SyncStep::LoggedOut(_));
        if pieces.send(Piece { step, barrier }).await.is_err() || last {
            return;
        }
    }
}
