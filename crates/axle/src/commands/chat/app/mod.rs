//! The terminal client as a state machine: inputs in, effects out. No I/O, no clock.

mod commands;
mod editor;
mod encryption;
mod keys;
mod news;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axle_sdk::encryption::{DeviceView, Notice as Told, RoomStatus};
use axle_sdk::{Membership, RoomList, RoomView, SyncResponse};
use crossterm::event::KeyEvent;

pub(crate) use editor::Editor;

use super::lines;
use super::render::Areas;
use super::request::{Answer, Failure, Request};

/// Everything that the screen shows.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) list: RoomList,
    /// The room that is shown. It may not have arrived by sync yet.
    pub(crate) current: Option<String>,
    pub(crate) editor: Editor,
    pub(crate) connection: Connection,
    pub(crate) notice: Option<Notice>,
    /// How many lines of the timeline are below the screen.
    pub(crate) scroll: usize,
    /// Messages since the room was last shown.
    pub(crate) unread: BTreeMap<String, usize>,
    /// Rooms whose history is on its way.
    pub(crate) fetching: BTreeSet<String>,
    /// How rooms are encrypted, as far as it is known.
    pub(crate) encryption: BTreeMap<String, RoomStatus>,
    /// The devices that the page of devices shows.
    pub(crate) devices: Vec<DeviceView>,
    /// Whether this device has keys at all.
    pub(crate) encrypts: bool,
    /// What covers the screen, and how many of its lines are above it.
    pub(crate) page: Option<(Page, usize)>,
    /// What was asked for to send messages that failed, by transaction.
    failed: BTreeMap<String, Request>,
    size: (u16, u16),
    txn_prefix: String,
    txn_count: u64,
}

/// Where the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    /// The first sync is on its way.
    Connecting,
    /// All is well.
    Connected,
    /// It is being tried again.
    Lost { error: String, retry_in: Duration },
    /// The session is over.
    LoggedOut(String),
}

/// What can cover the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Help,
    Rooms,
    Members,
    Faults,
    Devices,
}

/// A line for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    Info(String),
    Error(String),
}

/// What happens to the application.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    Paste(String),
    Resized(u16, u16),
    Synced(Box<SyncResponse>),
    Lost {
        error: String,
        retry_in: Duration,
    },
    LoggedOut(String),
    /// Encryption has something to tell.
    Told(Told),
    Answered {
        request: Request,
        result: Result<Answer, Failure>,
    },
}

/// What the application wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    Perform(Request),
    Quit,
}

impl App {
    /// Nothing has arrived yet. `txn_prefix` makes the transaction ids of this run unlike those of others.
    pub(crate) fn new(own_id: &str, txn_prefix: &str, size: (u16, u16)) -> Self {
        Self {
            list: RoomList::new(own_id),
            current: None,
            editor: Editor::default(),
            connection: Connection::Connecting,
            notice: None,
            scroll: 0,
            unread: BTreeMap::new(),
            fetching: BTreeSet::new(),
            encryption: BTreeMap::new(),
            devices: Vec::new(),
            encrypts: true,
            page: None,
            failed: BTreeMap::new(),
            size,
            txn_prefix: txn_prefix.to_owned(),
            txn_count: 0,
        }
    }

    /// Takes an input. The one way in.
    pub(crate) fn handle(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Key(key) => return self.handle_key(key),
            Input::Paste(text) => self.editor.insert_text(&text),
            Input::Resized(width, height) => self.size = (width, height),
            Input::Synced(response) => self.handle_sync(*response),
            Input::Lost { error, retry_in } => self.connection = Connection::Lost { error, retry_in },
            Input::LoggedOut(error) => self.connection = Connection::LoggedOut(error),
            Input::Told(told) => self.handle_told(told),
            Input::Answered { request, result } => self.handle_answer(request, result),
        }
        Vec::new()
    }

    /// This device has no keys, for a reason that people should know.
    pub(crate) fn begin_plain(&mut self, because: &str) {
        self.encrypts = false;
        self.notice = Some(Notice::Info(because.to_owned()));
    }

    /// The room that is shown, if it has arrived.
    pub(crate) fn room(&self) -> Option<&RoomView> {
        self.list.room(self.current.as_deref()?)
    }

    /// All rooms as the list shows them: invites, rooms, knocks, the rest; each by title.
    pub(crate) fn ordered(&self) -> Vec<&RoomView> {
        let mut rooms: Vec<_> = self.list.rooms().map(|room| (rank(room.membership()), room.title(), room)).collect();
        rooms.sort_by(|a, b| (a.0, &a.1, a.2.room_id()).cmp(&(b.0, &b.1, b.2.room_id())));
        rooms.into_iter().map(|(_, _, room)| room).collect()
    }

    /// The server part of the own id.
    pub(crate) fn own_server(&self) -> &str {
        lines::server_of(self.list.own_id())
    }

    fn show(&mut self, room_id: &str) {
        self.unread.remove(room_id);
        self.scroll = 0;
        self.current = Some(room_id.to_owned());
    }

    fn open(&mut self, page: Page) {
        self.page = Some((page, 0));
    }

    fn areas(&self) -> Areas {
        Areas::of(ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1), self)
    }

    /// How many lines the timeline of the current room has on this screen.
    fn timeline_height(&self) -> usize {
        let width = usize::from(self.areas().timeline.width);
        self.room().map_or(0, |room| lines::timeline(room, self.own_server(), width, false).len())
    }

    fn next_txn(&mut self) -> String {
        self.txn_count += 1;
        format!("{}.{}", self.txn_prefix, self.txn_count)
    }
}

fn rank(membership: Membership) -> u8 {
    match membership {
        Membership::Invite => 0,
        Membership::Join => 1,
        Membership::Knock => 2,
        Membership::Leave | Membership::Ban => 3,
    }
}
