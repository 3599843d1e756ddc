//! What the server tells, from a task of its own.

use axle_sdk::encryption::Notice;
use axle_sdk::{SyncLoop, SyncStep};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::commands::chat::account::{Account, next_notice};
use crate::commands::chat::request::Failure;

/// How many steps may wait.
const QUEUE: usize = 64;

/// What happened.
pub(super) enum What {
    /// A step of following the server, decrypted.
    Step(SyncStep),
    /// Something that encryption has to tell.
    Notice(Notice),
}

/// One thing that happened.
pub(super) struct Piece {
    pub(super) what: What,
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
    pub(super) fn follow(account: &Account, notices: Option<UnboundedReceiver<Notice>>) -> Self {
        let (sender, pieces) = mpsc::channel(QUEUE);
        let (hurries, asked) = mpsc::unbounded_channel();
        let task = tokio::spawn(follow(account.clone(), notices, sender, asked));
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

async fn follow(
    account: Account,
    mut notices: Option<UnboundedReceiver<Notice>>,
    pieces: mpsc::Sender<Piece>,
    mut asked: UnboundedReceiver<u64>,
) {
    let mut sync = SyncLoop::new(&account.client, None);
    let mut barrier = 0;
    loop {
        let mut step = tokio::select! {
            biased;
            Some(number) = asked.recv() => {
                barrier = number;
                sync.hurry();
                continue;
            }
            // What is told of a sync comes after it.
            notice = next_notice(&mut notices) => {
                if pieces.send(Piece { what: What::Notice(notice), barrier }).await.is_err() {
                    return;
                }
                continue;
            }
            step = sync.next() => step,
        };
        let mut trouble = None;
        if let (SyncStep::Synced(response), Some(encryption)) = (&mut step, &account.encryption) {
            trouble = encryption.take_in(response).await.err();
        }
        let last = matches!(step, SyncStep::LoggedOut(_));
        if pieces.send(Piece { what: What::Step(step), barrier }).await.is_err() || last {
            return;
        }
        if let Some(error) = trouble {
            let notice = Notice::Trouble { room_id: None, reason: error.to_string() };
            if pieces.send(Piece { what: What::Notice(notice), barrier }).await.is_err() {
                return;
            }
        }
    }
}
