//! The parts of the screen.

use axle_sdk::{Membership, RoomView};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use crate::commands::chat::app::{App, Connection, Notice};
use crate::commands::chat::command::HELP;
use crate::commands::chat::lines::{self, clean, short_id};

const PROMPT: &str = "> ";
/// How many commands of [`HELP`], at its end, are for scripts only.
const SCRIPT_COMMANDS: usize = 3;

pub(super) fn rooms(app: &App, area: Rect, frame: &mut Frame<'_>) {
    let mut rows: Vec<Line<'_>> = Vec::new();
    let mut group = None;
    for (index, room) in app.ordered().into_iter().enumerate() {
        let heading = heading(room.membership());
        if group != Some(heading) {
            group = Some(heading);
            rows.push(Line::from(heading).bold());
        }
        let shown = app.current.as_deref() == Some(room.room_id());
        let unread = app.unread.get(room.room_id()).map(|count| format!(" ({count})")).unwrap_or_default();
        let text = format!(" {} {}", index + 1, clean(&room.title()));
        let mut spans = vec![Span::from(text), Span::from(unread).bold().yellow()];
        if room.membership() == Membership::Invite {
            spans = spans.into_iter().map(Stylize::yellow).collect();
        }
        rows.push(if shown { Line::from(spans).reversed() } else { Line::from(spans) });
    }
    if rows.is_empty() {
        rows.push(Line::from("no rooms yet").dim());
    }
    frame.render_widget(Paragraph::new(rows).block(Block::new().borders(Borders::RIGHT)), area);
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
        for (heading, membership) in [
            ("Members", Membership::Join),
            ("Invited", Membership::Invite),
            ("Asking", Membership::Knock),
            ("Banned", Membership::Ban),
        ] {
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
    let line = match &app.notice {
        None => Line::default(),
        Some(Notice::Info(text)) => Line::from(clean(text)).cyan(),
        Some(Notice::Error(text)) => Line::from(format!("✗ {}", clean(text))).red(),
    };
    frame.render_widget(line, area);
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
    if app.scroll > 0 {
        spans.push(Span::from(format!(" · {} lines below, Esc goes there", app.scroll)));
    }
    spans.push(Span::from(" · F1 help").dim());
    frame.render_widget(Line::from(spans), area);
}

pub(super) fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let commands = HELP.len().saturating_sub(SCRIPT_COMMANDS);
    let width = HELP.iter().take(commands).map(|(command, _)| command.len()).max().unwrap_or_default();
    let mut rows: Vec<Line<'_>> = HELP
        .iter()
        .take(commands)
        .map(|(command, what)| Line::from(vec![Span::from(format!("{command:width$}  ")).bold(), Span::from(*what)]))
        .collect();
    rows.push(Line::default());
    rows.push(Line::from("Tab, Shift-Tab, Alt-1..9: other room · PageUp: older messages · Esc: back down"));
    rows.push(Line::from("Up, Down: what you wrote before · Ctrl-C: quit · times are UTC · any key closes this"));
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let inner = Rect::new(area.x, area.y, area.width.min(90), height);
    frame.render_widget(Clear, inner);
    frame.render_widget(Paragraph::new(rows).block(Block::bordered().title(" axle chat ")), inner);
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
    let rule = room.join_rule().map(|rule| format!(" · {}", clean(rule))).unwrap_or_default();
    Line::from(format!("{role}{rule} · {}", clean(room.room_id()))).dim()
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
