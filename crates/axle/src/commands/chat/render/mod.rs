//! Draws the screen from the application's state.

pub(crate) mod pages;
mod panels;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::app::App;

const ROOMS_WIDTH: u16 = 26;
/// The same where there is little room.
const NARROW_ROOMS_WIDTH: u16 = 18;
const MIN_WIDTH_FOR_WIDE_ROOMS: u16 = 80;
const MEMBERS_WIDTH: u16 = 28;
/// Narrower screens show no list of members.
const MIN_WIDTH_FOR_MEMBERS: u16 = 100;
/// Narrower screens show no list of rooms.
const MIN_WIDTH_FOR_ROOMS: u16 = 60;
/// Rows that a notice has at most.
const MAX_NOTICE_ROWS: u16 = 3;

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
    /// The areas of a screen of this size, with what is to be shown.
    pub(crate) fn of(screen: Rect, app: &App) -> Self {
        let rooms = match screen.width {
            MIN_WIDTH_FOR_WIDE_ROOMS.. => ROOMS_WIDTH,
            MIN_WIDTH_FOR_ROOMS.. => NARROW_ROOMS_WIDTH,
            _ => 0,
        };
        let notice = u16::try_from(panels::notice_rows(app, screen.width)).unwrap_or(u16::MAX);
        let notice = notice.clamp(1, MAX_NOTICE_ROWS);
        let members = if screen.width < MIN_WIDTH_FOR_MEMBERS { 0 } else { MEMBERS_WIDTH };
        let rows = [Constraint::Min(1), Constraint::Length(notice), Constraint::Length(1), Constraint::Length(1)];
        let [main, notice, input, status] = Layout::vertical(rows).areas(screen);
        let columns = [Constraint::Length(rooms), Constraint::Min(1), Constraint::Length(members)];
        let [rooms, centre, members] = Layout::horizontal(columns).areas(main);
        let [header, timeline] = Layout::vertical([Constraint::Length(3), Constraint::Min(1)]).areas(centre);
        Self { rooms, header, timeline, members, notice, input, status }
    }
}

/// Draws all of it.
pub(crate) fn draw(app: &App, frame: &mut Frame<'_>) {
    let areas = Areas::of(frame.area(), app);
    panels::rooms(app, areas.rooms, frame);
    panels::header(app, areas.header, frame);
    panels::timeline(app, areas.timeline, frame);
    panels::members(app, areas.members, frame);
    panels::notice(app, areas.notice, frame);
    panels::input(app, areas.input, frame);
    panels::status(app, areas.status, frame);
    if let Some((page, above)) = app.page {
        pages::draw(app, page, above, frame);
    }
}
