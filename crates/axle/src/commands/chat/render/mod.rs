//! Draws the screen from the application's state.

mod panels;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::app::App;

const ROOMS_WIDTH: u16 = 26;
const MEMBERS_WIDTH: u16 = 28;
/// Narrower screens show no list of members.
const MIN_WIDTH_FOR_MEMBERS: u16 = 100;
/// Narrower screens show no list of rooms.
const MIN_WIDTH_FOR_ROOMS: u16 = 60;

/// Where everything goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) rooms: Rect,
    pub(crate) header: Rect,
    pub(crate) timeline: Rect,
    pub(crate) members: Rect,
    pub(crate) notice: Rect,
    pub(crate) input: Rect,
    pub(crate) status: Rect,
}

impl Areas {
    /// The areas of a screen of this size.
    pub(crate) fn of(screen: Rect) -> Self {
        let rooms = if screen.width < MIN_WIDTH_FOR_ROOMS { 0 } else { ROOMS_WIDTH };
        let members = if screen.width < MIN_WIDTH_FOR_MEMBERS { 0 } else { MEMBERS_WIDTH };
        let rows = [Constraint::Min(1), Constraint::Length(1), Constraint::Length(1), Constraint::Length(1)];
        let [main, notice, input, status] = Layout::vertical(rows).areas(screen);
        let columns = [Constraint::Length(rooms), Constraint::Min(1), Constraint::Length(members)];
        let [rooms, centre, members] = Layout::horizontal(columns).areas(main);
        let [header, timeline] = Layout::vertical([Constraint::Length(3), Constraint::Min(1)]).areas(centre);
        Self { rooms, header, timeline, members, notice, input, status }
    }
}

/// Draws all of it.
pub(crate) fn draw(app: &App, frame: &mut Frame<'_>) {
    let areas = Areas::of(frame.area());
    panels::rooms(app, areas.rooms, frame);
    panels::header(app, areas.header, frame);
    panels::timeline(app, areas.timeline, frame);
    panels::members(app, areas.members, frame);
    panels::notice(app, areas.notice, frame);
    panels::input(app, areas.input, frame);
    panels::status(app, areas.status, frame);
    if app.help {
        panels::help(frame);
    }
}
