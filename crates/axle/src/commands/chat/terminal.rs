//! The terminal client's edge: keys and syncs in, requests and the screen out.

use std::collections::HashMap;
use std::io;
use std::process::ExitCode;

use axle_sdk::encryption::Notice;
use axle_sdk::{SyncLoop, SyncStep};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, Event, EventStream};
use crossterm::execute;
use futures_util::StreamExt;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::account::{Account, Opened, next_notice};
use super::app::{App, Effect, Input};
use super::render;
use super::request::{Failure, Request};
use crate::commands::Outcome;

/// How many inputs may wait.
const QUEUE: usize = 256;

/// Runs until the person quits.
pub(super) async fn run(opened: Opened) -> Outcome {
    let own_id = opened.account.client.user_id()?;
    let mut terminal = ratatui::try_init()?;
    // Pasted text arrives as one event, where the terminal can do that.
    execute!(io::stdout(), EnableBracketedPaste).ok();
    let size = terminal.size()?;
    let mut app = App::new(&own_id, &axle_sdk::new_transaction_id(), (size.width, size.height));
    if let Some(because) = &opened.plain_because {
        app.begin_plain(because);
    }
    let outcome = follow(app, opened, &mut terminal).await;
    execute!(io::stdout(), DisableBracketedPaste).ok();
    ratatui::restore();
    outcome.map(|()| ExitCode::SUCCESS).map_err(Into::into)
}

async fn follow(mut app: App, opened: Opened, terminal: &mut ratatui::DefaultTerminal) -> io::Result<()> {
    let (inputs, mut queue) = mpsc::channel(QUEUE);
    let Opened { account, notices, .. } = opened;
    let sync = tokio::spawn(follow_server(account.clone(), notices, inputs.clone()));
    let mut lanes = Lanes { account, inputs, open: HashMap::new() };
    let mut keys = EventStream::new();
    let outcome = loop {
        terminal.draw(|frame| render::draw(&app, frame))?;
        let input = tokio::select! {
            event = keys.next() => match event {
                Some(Ok(event)) => from_terminal(event),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            },
            input = queue.recv() => input,
        };
        let effects = input.map(|input| app.handle(input)).unwrap_or_default();
        let mut quit = false;
        for effect in effects {
            match effect {
                Effect::Perform(request) => lanes.perform(request),
                Effect::Quit => quit = true,
            }
        }
        if quit {
            break Ok(());
        }
    };
    sync.abort();
    outcome
}

fn from_terminal(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) => Some(Input::Key(key)),
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Resize(width, height) => Some(Input::Resized(width, height)),
        _ => None,
    }
}

async fn follow_server(account: Account, mut notices: Option<UnboundedReceiver<Notice>>, inputs: mpsc::Sender<Input>) {
    let mut sync = SyncLoop::new(&account.client, None);
    loop {
        let mut step = tokio::select! {
            biased;
            // What is told of a sync comes after it.
            notice = next_notice(&mut notices) => {
                if inputs.send(Input::Told(notice)).await.is_err() {
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
        let (input, last) = match step {
            SyncStep::Synced(response) => (Input::Synced(response), false),
            SyncStep::Disconnected { error, retry_in } => {
                (Input::Lost { error: Failure::from(error).message, retry_in }, false)
            }
            SyncStep::LoggedOut(error) => (Input::LoggedOut(error.to_string()), true),
        };
        if inputs.send(input).await.is_err() || last {
            return;
        }
        if let Some(error) = trouble {
            let notice = Notice::Trouble { room_id: None, reason: error.to_string() };
            if inputs.send(Input::Told(notice)).await.is_err() {
                return;
            }
        }
    }
}

/// Requests of one room go out one after the other, those of different rooms at the same time.
struct Lanes {
    account: Account,
    inputs: mpsc::Sender<Input>,
    open: HashMap<String, mpsc::UnboundedSender<Request>>,
}

impl Lanes {
    fn perform(&mut self, request: Request) {
        let lane = self.open.entry(request.lane().to_owned()).or_insert_with(|| {
            // As long as what a person can type.
            let (sender, queue) = mpsc::unbounded_channel();
            tokio::spawn(work(queue, self.account.clone(), self.inputs.clone()));
            sender
        });
        // A lane ends only with the program.
        lane.send(request).ok();
    }
}

async fn work(mut queue: UnboundedReceiver<Request>, account: Account, inputs: mpsc::Sender<Input>) {
    while let Some(request) = queue.recv().await {
        let result = request.perform(&account).await;
        if inputs.send(Input::Answered { request, result }).await.is_err() {
            return;
        }
    }
}
