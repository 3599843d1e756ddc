//! Pages that cover the screen: help, and what is too long for a line.

use axle_sdk::encryption::{DeviceView, Trust};
use axle_sdk::{HubFault, Membership, RoomView};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::commands::chat::app::{App, Page};
use crate::commands::chat::command::HELP;
use crate::commands::chat::lines::{clean, wrap};
use crate::commands::clock::moment;

/// How many commands of [`HELP`], at its end, are for scripts only.
const SCRIPT_COMMANDS: usize = 3;
/// Wider than this, lines are hard to follow.
const MAX_WIDTH: u16 = 96;
/// Narrower pages have what a command does below it, not beside it.
const MIN_WIDTH_FOR_COLUMNS: usize = 70;
const KEYS: [(&str, &str); 8] = [
    ("Tab, Shift-Tab, Alt-1..9", "go to another room"),
    ("PageUp, PageDown", "older and newer messages"),
    ("Esc", "back to the newest message"),
    ("Up, Down", "what you wrote before"),
    ("Ctrl-A, Ctrl-E", "to the beginning and the end of the line"),
    ("Ctrl-W, Ctrl-U", "delete a word, the line"),
    ("F1", "this page"),
    ("Ctrl-C", "quit"),
];

/// Draws a page of which `above` lines have been scrolled away.
pub(super) fn draw(app: &App, page: Page, above: usize, frame: &mut Frame<'_>) {
    let area = area(frame.area().width, frame.area().height);
    let rows = rows(app, page, usize::from(area.width.saturating_sub(2)));
    let height = usize::from(area.height.saturating_sub(2));
    let more = rows.len().saturating_sub(above + height);
    let foot = match more {
        0 => " any key closes this ".to_owned(),
        more => format!(" PageDown: {more} more lines · any other key closes this "),
    };
    let block = Block::bordered().title(title(page)).title_bottom(foot);
    let shown: Vec<_> = rows.into_iter().skip(above).take(height).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(shown).block(block), area);
}

/// How many lines a page has, and how many of them are shown at a time.
pub(crate) fn extent(app: &App, page: Page, (width, height): (u16, u16)) -> (usize, usize) {
    let area = area(width, height);
    let rows = rows(app, page, usize::from(area.width.saturating_sub(2)));
    (rows.len(), usize::from(area.height.saturating_sub(2)))
}

fn area(width: u16, height: u16) -> Rect {
    Rect::new(0, 0, width.min(MAX_WIDTH), height)
}

fn title(page: Page) -> &'static str {
    match page {
        Page::Help => " axle chat ",
        Page::Rooms => " rooms ",
        Page::Members => " members ",
        Page::Faults => " what the hub did wrong ",
        Page::Devices => " devices that can read this room ",
    }
}

fn rows(app: &App, page: Page, width: usize) -> Vec<Line<'static>> {
    let room = app.room();
    match page {
        Page::Help => help(width),
        Page::Rooms => rooms(app, width),
        Page::Members => room.map(|room| members(room, width)).unwrap_or_default(),
        Page::Faults => room.map(|room| faults(room, width)).unwrap_or_default(),
        Page::Devices => devices(&app.devices, width),
    }
}

fn help(width: usize) -> Vec<Line<'static>> {
    let commands = HELP.iter().take(HELP.len().saturating_sub(SCRIPT_COMMANDS));
    let mut rows = paragraph("What does not begin with a slash is said in the room. USER is a whole user id.", width);
    rows.push(Line::default());
    let column = HELP.iter().take(commands.len()).map(|(command, _)| command.len()).max().unwrap_or_default();
    rows.extend(commands.flat_map(|entry| explained(*entry, column, width)));
    rows.push(Line::default());
    rows.extend(KEYS.into_iter().flat_map(|entry| explained(entry, column, width)));
    rows.push(Line::default());
    rows.extend(paragraph("Times are UTC.", width));
    rows
}

/// A command or key, and what it does.
fn explained((what, does): (&'static str, &'static str), column: usize, width: usize) -> Vec<Line<'static>> {
    let beside = column + 2;
    let (indent, mut rows) = match width < MIN_WIDTH_FOR_COLUMNS {
        true => (4, vec![Line::from(what).bold()]),
        false => (beside, Vec::new()),
    };
    let room = width.saturating_sub(indent);
    for text in wrap(does, room, room) {
        let head = match rows.is_empty() {
            true => Span::from(format!("{what:indent$}")).bold(),
            false => Span::from(" ".repeat(indent)),
        };
        rows.push(Line::from(vec![head, Span::from(text)]));
    }
    rows
}

fn rooms(app: &App, width: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for (index, room) in app.ordered().into_iter().enumerate() {
        let hub = room.hub().map(|hub| format!(" · hub: {}", clean(&hub))).unwrap_or_default();
        let unread = app.unread.get(room.room_id()).map(|count| format!(" · {count} unread")).unwrap_or_default();
        let standing = room.membership().as_str();
        rows.push(Line::from(format!("{} {}", index + 1, clean(&room.title()))).bold());
        rows.extend(paragraph(&format!("  {standing}{hub}{unread} · {}", clean(room.room_id())), width));
    }
    if rows.is_empty() {
        rows.extend(paragraph("No rooms yet: /create NAME makes one, /join ROOM enters one.", width));
    }
    rows
}

fn members(room: &RoomView, width: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    for (heading, membership) in MEMBER_GROUPS {
        let members: Vec<_> = room.members_with(membership).collect();
        if members.is_empty() {
            continue;
        }
        rows.push(Line::from(format!("{heading} ({})", members.len())).bold());
        for (id, member) in members {
            let name = member.displayname.as_ref().map(|name| format!("  {}", clean(name))).unwrap_or_default();
            rows.extend(paragraph(&format!("{}{name}", clean(id)), width));
        }
    }
    rows
}

/// How members are grouped.
pub(super) const MEMBER_GROUPS: [(&str, Membership); 4] = [
    ("Members", Membership::Join),
    ("Invited", Membership::Invite),
    ("Asking", Membership::Knock),
    ("Banned", Membership::Ban),
];

fn faults(room: &RoomView, width: usize) -> Vec<Line<'static>> {
    let hub = room.hub().map_or_else(|| "The hub".to_owned(), |hub| clean(&hub));
    if room.hub_faults().is_empty() {
        return paragraph(&format!("Nothing: {hub} has done nothing wrong that your server noticed."), width);
    }
    let advice = format!(
        "{hub}, the server that orders this room, did what it should not have. Your server left out what was wrong. Be \
         careful with what you read here, and tell the people who run the servers."
    );
    let mut rows = paragraph(&advice, width);
    for HubFault { event_id, kind, detail, origin_server_ts } in room.hub_faults().iter().rev() {
        rows.push(Line::default());
        rows.push(Line::from(format!("{} · {}", moment(*origin_server_ts), clean(kind))).bold());
        rows.extend(paragraph(&clean(detail), width));
        rows.extend(paragraph(&clean(event_id), width).into_iter().map(Stylize::dim));
    }
    rows
}

fn devices(devices: &[DeviceView], width: usize) -> Vec<Line<'static>> {
    let advice = "Compare a device's code with what the same page shows there, by telephone or side by side, and then write \
                  /verify USER DEVICE.";
    let mut rows = paragraph(advice, width);
    for device in devices {
        rows.push(Line::default());
        let name = format!("{} {}", clean(&device.user_id), clean(&device.device_id));
        rows.push(match (device.is_this, device.trust) {
            (true, _) => Line::from(format!("{name} · this device")).bold(),
            (_, Trust::Verified) => Line::from(format!("{name} · verified")).bold().green(),
            (_, Trust::Unverified) => Line::from(name).bold(),
            (_, Trust::ChangedSince) => Line::from(format!("{name} · ANOTHER KEY SINCE IT WAS VERIFIED")).bold().red(),
        });
        if !device.is_this {
            rows.extend(paragraph(&device.safety_code, width));
        }
    }
    rows
}

fn paragraph(text: &str, width: usize) -> Vec<Line<'static>> {
    wrap(text, width, width).into_iter().map(Line::from).collect()
}
