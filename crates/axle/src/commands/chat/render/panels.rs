//! The parts of the screen.

use axle_sdk::encryption::RoomStatus;
use axle_sdk::{Membership, RoomView};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::pages::MEMBER_GROUPS;
use crate::commands::chat::app::{App, Connection, Notice};
use crate::commands::chat::lines::{self, clean, short_id};

const PROMPT: &str = "> ";

pub(super) fn rooms(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let width = usize::from(area.width.saturating_sub(1));
    let (mut rows, mut current, mut group) = (Vec::new(), 0, None);
    for (index, room) in app.ordered().into_iter().enumerate() {
        let heading = heading(room.membership());
        if group != Some(heading) {
            group = Some(heading);
            rows.push(Line::from(heading).bold());
        }
        let is_current = app.current.as_deref() == Some(room.room_id());
        if is_current {
            current = rows.len();
        }
        let row = room_row(app, room, index + 1, width);
        rows.push(if is_current { row.reversed() } else { row });
    }
    if rows.is_empty() {
        rows.push(Line::from("no rooms yet").dim());
    }
    // The current room stays in sight.
    let above = (current + 1).saturating_sub(usize::from(area.height));
    let shown: Vec<_> = rows.into_iter().skip(above).collect();
    frame.render_widget(Paragraph::new(shown).block(Block::new().borders(Borders::RIGHT)), area);
}

/// A room in the list: its marks are never cut off, its title may be.
fn room_row(app: &App, room: &RoomView, number: usize, width: usize) -> Line<'static> {
    let unread = app.unread.get(room.room_id()).map(|count| format!(" ({count})")).unwrap_or_default();
    let fault = if room.hub_faults().is_empty() { "" } else { " !" };
    let number = format!(" {number} ");
    let left = width.saturating_sub(number.len() + unread.len() + fault.len());
    let title = Span::from(number + &lines::cut(&clean(&room.title()), left));
    let title = if room.membership() == Membership::Invite { title.yellow() } else { title };
    Line::from(vec![title, Span::from(unread).bold().yellow(), Span::from(fault).bold().red()])
}

pub(super) fn header(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let block = Block::new().borders(Borders::BOTTOM);
    let lines = match app.room() {
        Some(room) => vec![title_line(room), hub_line(app, room)],
        None if app.current.is_some() => vec![Line::from("the room is on its way")],
        None => vec![Line::from("axle chat").bold(), Line::from("/create, /join or /help").dim()],
    };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

pub(super) fn timeline(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let Some(room) = app.room() else { return };
    let fetching = app.fetching.contains(room.room_id());
    let mut all = lines::timeline(room, app.own_server(), usize::from(area.width), fetching);
    if room.membership() != Membership::Join {
        all.extend(standing(room));
    }
    let height = usize::from(area.height);
    let end = all.len().saturating_sub(app.scroll.min(all.len().saturating_sub(height)));
    let start = end.saturating_sub(height);
    let shown: Vec<_> = all.drain(start..end).collect();
    frame.render_widget(Paragraph::new(shown), area);
}

pub(super) fn members(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let mut rows = Vec::new();
    if let Some(room) = app.room() {
        for (heading, membership) in MEMBER_GROUPS {
            let names: Vec<_> = room
                .members_with(membership)
                .map(|(id, _)| Line::from(format!(" {}", short_id(id, app.own_server()))))
                .collect();
            if !names.is_empty() {
                rows.push(Line::from(format!("{heading} ({})", names.len())).bold());
                rows.extend(names);
            }
        }
    }
    frame.render_widget(Paragraph::new(rows).block(Block::new().borders(Borders::LEFT)), area);
}

pub(super) fn notice(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let (text, style) = match &app.notice {
        None => return,
        Some(Notice::Info(_)) => (notice_text(app), Style::new().cyan()),
        Some(Notice::Error(_)) => (notice_text(app), Style::new().red()),
    };
    let width = usize::from(area.width);
    let rows = lines::wrap(&text, width, width).into_iter().map(Line::from).collect::<Vec<_>>();
    frame.render_widget(Paragraph::new(rows).style(style), area);
}

/// How many rows the notice needs on a screen of this width.
pub(super) fn notice_rows(app: &App, width: u16) -> usize {
    let width = usize::from(width);
    lines::wrap(&notice_text(app), width, width).len()
}

fn notice_text(app: &App) -> String {
    match &app.notice {
        None => String::new(),
        Some(Notice::Info(text)) => clean(text),
        Some(Notice::Error(text)) => format!("✗ {}", clean(text)),
    }
}

pub(super) fn input(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let before = Span::raw(app.editor.before_cursor()).width() + PROMPT.len();
    // Long lines move to the left so that the cursor stays in sight.
    let hidden = (before + 1).saturating_sub(usize::from(area.width));
    let line = Line::from(vec![Span::from(PROMPT).bold(), Span::from(app.editor.text())]);
    let scroll = u16::try_from(hidden).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(line).scroll((0, scroll)), area);
    let column = u16::try_from(before - hidden).unwrap_or(0);
    frame.set_cursor_position(Position::new(area.x.saturating_add(column), area.y));
}

pub(super) fn status(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let (text, style) = match &app.connection {
        Connection::Connecting => ("connecting…".to_owned(), Style::new().yellow()),
        Connection::Connected => ("connected".to_owned(), Style::new().green()),
        Connection::Lost { error, retry_in } => (
            format!("CONNECTION LOST, trying again in {:.1} s: {}", retry_in.as_secs_f32(), clean(error)),
            Style::new().red(),
        ),
        Connection::LoggedOut(error) => {
            (format!("LOGGED OUT: {}. Quit and log in again.", clean(error)), Style::new().red())
        }
    };
    let mut spans = vec![Span::from(format!("{} ", app.list.own_id())).bold(), Span::styled(text, style)];
    let unread: usize = app.unread.values().sum();
    if unread > 0 {
        spans.push(Span::from(format!(" · {unread} unread")).bold().yellow());
    }
    if app.scroll > 0 {
        spans.push(Span::from(format!(" · {} lines below, Esc goes there", app.scroll)));
    }
    spans.push(Span::from(" · F1 help").dim());
    frame.render_widget(Line::from(spans), area);
}

fn heading(membership: Membership) -> &'static str {
    match membership {
        Membership::Invite => "Invites",
        Membership::Join => "Rooms",
        Membership::Knock => "Asked to join",
        Membership::Leave | Membership::Ban => "Left",
    }
}

fn title_line(room: &RoomView) -> Line<'static> {
    let mut spans = vec![Span::from(clean(&room.title())).bold()];
    if let Some(topic) = room.topic().filter(|topic| !topic.is_empty()) {
        spans.push(Span::from(format!(" · {}", clean(topic))));
    }
    Line::from(spans)
}

/// Who orders the room, and whether that is our own server.
fn hub_line(app: &App, room: &RoomView) -> Line<'static> {
    let role = match room.hub() {
        Some(hub) if hub == app.own_server() => format!("hub: {} (your server)", clean(&hub)),
        Some(hub) => format!("hub: {}", clean(&hub)),
        None => "hub: not known yet".to_owned(),
    };
    let warning = match room.hub_faults().len() {
        0 => Span::default(),
        1 => Span::from("! the hub did wrong, /faults · ").bold().red(),
        count => Span::from(format!("! the hub did wrong {count} times, /faults · ")).bold().red(),
    };
    let rule = room.join_rule().map(|rule| format!(" · {}", clean(rule))).unwrap_or_default();
    let sealing = sealing(app, room);
    Line::from(vec![warning, sealing, Span::from(format!("{role}{rule} · {}", clean(room.room_id()))).dim()])
}

/// Who can read the room, as far as it is known.
fn sealing(app: &App, room: &RoomView) -> Span<'static> {
    let group = match app.encryption.get(room.room_id()) {
        None if room.is_encrypted() && !app.encrypts => return Span::from("encrypted, not readable here · ").red(),
        None => return Span::default(),
        Some(RoomStatus::Plain) => return Span::from("NOT ENCRYPTED · ").yellow(),
        Some(RoomStatus::Unknown(_)) => return Span::from("encrypted in an unknown way · ").red(),
        Some(RoomStatus::Encrypted(group)) => group,
    };
    match group.epoch {
        Some(epoch) => Span::from(format!("encrypted: {} devices, epoch {epoch} · ", group.devices)).green(),
        None => Span::from("encrypted: waiting to be let in · ").yellow(),
    }
}

/// What to do in a room that one is not in.
fn standing(room: &RoomView) -> Vec<Line<'static>> {
    let inviter = || format!("{} invites you.", clean(room.inviter().unwrap_or("someone")));
    let (text, advice) = match room.membership() {
        Membership::Invite => (inviter(), "/accept or /reject"),
        Membership::Knock => ("You asked to be invited.".to_owned(), "/leave takes it back"),
        Membership::Ban => ("You are banned from this room.".to_owned(), ""),
        Membership::Leave => ("You are no longer in this room.".to_owned(), ""),
        Membership::Join => return Vec::new(),
    };
    vec![Line::default(), Line::from(text).bold(), Line::from(advice)]
}
