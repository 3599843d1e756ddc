//! The terminal client's edge: keys and syncs in, requests and the screen out.

use std::collections::HashMap;
use std::io;
use std::process::ExitCode;

use axle_sdk::{Client, SyncLoop, SyncStep};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, Event, EventStream};
use crossterm::execute;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::app::{App, Effect, Input};
use super::render;
use super::request::{Failure, Request};
use crate::commands::Outcome;

/// How many inputs may wait.
const QUEUE: usize = 256;

/// Runs until the person quits.
pub(super) async fn run(client: Client) -> Outcome {
    let own_id = client.user_id()?;
    let mut terminal = ratatui::try_init()?;
    // Pasted text arrives as one event, where the terminal can do that.
    execute!(io::stdout(), EnableBracketedPaste).ok();
    let size = terminal.size()?;
    let app = App::new(&own_id, &axle_sdk::new_transaction_id(), (size.width, size.height));
    let outcome = follow(app, client, &mut terminal).await;
    execute!(io::stdout(), DisableBracketedPaste).ok();
    ratatui::restore();
    outcome.map(|()| ExitCode::SUCCESS).map_err(Into::into)
}

async fn follow(mut app: App, client: Client, terminal: &mut ratatui::DefaultTerminal) -> io::Result<()> {
    let (inputs, mut queue) = mpsc::channel(QUEUE);
    let sync = tokio::spawn(follow_server(client.clone(), inputs.clone()));
    let mut lanes = Lanes { client, inputs, open: HashMap::new() };
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

async fn follow_server(client: Client, inputs: mpsc::Sender<Input>) {
    let mut sync = SyncLoop::new(&client, None);
    loop {
        let (input, last) = match sync.next().await {
            SyncStep::Synced(response) => (Input::Synced(response), false),
            SyncStep::Disconnected { error, retry_in } => {
                (Input::Lost { error: Failure::from(error).message, retry_in }, false)
            }
            SyncStep::LoggedOut(error) => (Input::LoggedOut(error.to_string()), true),
        };
        if inputs.send(input).await.is_err() || last {
            return;
        }
    }
}

/// Requests of one room go out one after the other, those of different rooms at the same time.
struct Lanes {
    client: Client,
    inputs: mpsc::Sender<Input>,
    open: HashMap<String, mpsc::UnboundedSender<Request>>,
}

impl Lanes {
    fn perform(&mut self, request: Request) {
        let lane = self.open.entry(request.lane().to_owned()).or_insert_with(|| {
            // As long as what a person can type.
            let (sender, queue) = mpsc::unbounded_channel();
            tokio::spawn(work(queue, self.client.clone(), self.inputs.clone()));
            sender
        });
        // A lane ends only with the program.
        lane.send(request).ok();
    }
}

async fn work(mut queue: mpsc::UnboundedReceiver<Request>, client: Client, inputs: mpsc::Sender<Input>) {
    while let Some(request) = queue.recv().await {
        let result = request.perform(&client).await;
        if inputs.send(Input::Answered { request, result }).await.is_err() {
            return;
        }
    }
}
