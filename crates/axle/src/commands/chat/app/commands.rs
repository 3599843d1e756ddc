//! What commands do.

use axle_sdk::OutgoingState;

use super::{App, Effect, Notice, Page};
use crate::commands::chat::command::Command;
use crate::commands::chat::files;
use crate::commands::chat::request::{Request, text_content};

impl App {
    pub(super) fn handle_line(&mut self, line: &str) -> Vec<Effect> {
        if line.trim().is_empty() {
            return Vec::new();
        }
        self.notice = None;
        match Command::parse(line) {
            Ok(command) => self.run(&command),
            Err(error) => self.complain(error),
        }
    }

    pub(super) fn run(&mut self, command: &Command) -> Vec<Effect> {
        match command {
            Command::Quit => return vec![Effect::Quit],
            Command::Help => self.open(Page::Help),
            Command::Room(name) => return self.go_to(name),
            Command::Rooms => self.open(Page::Rooms),
            Command::Members | Command::Faults if self.room().is_none() => return self.complain("there is no room"),
            Command::Members => self.open(Page::Members),
            Command::Faults => self.open(Page::Faults),
            Command::Retry => return self.retry(),
            Command::Discard => self.discard(),
            Command::Sync | Command::Wait { .. } | Command::Fails { .. } => {
                return self.complain("this is for scripts: axle chat --script");
            }
            command => return self.ask(command),
        }
        Vec::new()
    }

    fn ask(&mut self, command: &Command) -> Vec<Effect> {
        let txn = self.next_txn();
        let request = match Request::plan(command, self.room(), txn, self.encrypts) {
            Ok(request) => request,
            Err(error) => return self.complain(error),
        };
        match &request {
            Request::Send { room, content, txn } => {
                self.scroll = 0;
                if let Some(view) = self.list.room_mut(room) {
                    view.begin_send(txn, "m.room.message", content.clone());
                }
            }
            Request::SendFile { room, path, txn } => {
                self.scroll = 0;
                if let Some(view) = self.list.room_mut(room) {
                    view.begin_send(txn, "m.room.message", text_content(&format!("[file: {}]", files::name_of(path))));
                }
            }
            // One page at a time: the next begins where this one ends.
            Request::History { room, .. } if !self.fetching.insert(room.clone()) => return Vec::new(),
            _ => {}
        }
        vec![Effect::Perform(request)]
    }

    fn complain(&mut self, error: impl Into<String>) -> Vec<Effect> {
        self.notice = Some(Notice::Error(error.into()));
        Vec::new()
    }

    /// By number, else by id or title, else by the beginning of the title.
    fn go_to(&mut self, name: &str) -> Vec<Effect> {
        if name.parse().is_ok_and(|number| self.show_number(number)) {
            return Vec::new();
        }
        let lower = name.to_lowercase();
        let rooms = self.ordered();
        let exact = rooms.iter().find(|room| room.room_id() == name || room.title().to_lowercase() == lower);
        let found = exact.or_else(|| rooms.iter().find(|room| room.title().to_lowercase().starts_with(&lower)));
        match found.map(|room| room.room_id().to_owned()) {
            Some(room_id) => {
                self.show(&room_id);
                Vec::new()
            }
            None => self.complain(format!("there is no room {name:?}")),
        }
    }

    fn failed_here(&self) -> Vec<String> {
        let messages = self.room().map(|room| room.outgoing()).unwrap_or_default();
        let failed = messages.iter().filter(|message| matches!(message.state, OutgoingState::Failed(_)));
        failed.map(|message| message.transaction_id.clone()).collect()
    }

    fn retry(&mut self) -> Vec<Effect> {
        let failed = self.failed_here();
        let Some(view) = self.current.as_deref().and_then(|id| self.list.room_mut(id)) else { return Vec::new() };
        let mut effects = Vec::new();
        for txn in failed {
            if let Some(request) = self.failed.remove(&txn) {
                view.retry_send(&txn);
                effects.push(Effect::Perform(request));
            }
        }
        effects
    }

    fn discard(&mut self) {
        let failed = self.failed_here();
        let Some(view) = self.current.as_deref().and_then(|id| self.list.room_mut(id)) else { return };
        for txn in &failed {
            view.discard(txn);
            self.failed.remove(txn);
        }
    }
}
