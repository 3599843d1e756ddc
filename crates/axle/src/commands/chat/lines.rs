//! How a timeline is written down: one or more lines an event.

use axle_sdk::{Attachment, EventEncryption, OutgoingState, RoomView, TimelineItem};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};

use super::describe::describe;
use super::files;
use crate::commands::clock::{DAY_MS, date, time};

/// The longest text of one event that is shown.
const MAX_SHOWN_CHARS: usize = 4000;
const NAME_COLORS: [Color; 6] =
    [Color::Cyan, Color::Green, Color::Yellow, Color::Magenta, Color::Blue, Color::LightRed];

/// The server part of an id.
pub(crate) fn server_of(id: &str) -> &str {
    id.split_once(':').map_or("", |(_, server)| server)
}

/// A user id without its sigil, and without its server if that is ours.
pub(crate) fn short_id(id: &str, own_server: &str) -> String {
    let bare = id.strip_prefix('@').unwrap_or(id);
    let own = bare.split_once(':').filter(|(_, server)| *server == own_server);
    clean(own.map_or(bare, |(local, _)| local))
}

/// Text of others, made safe to show: no control characters, no tricks with the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    let tricky = |c: &char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().take(MAX_SHOWN_CHARS).map(|c| if tricky(&c) { '\u{fffd}' } else { c }).collect()
}

/// The whole timeline and what is on its way, oldest first.
pub(crate) fn timeline(room: &RoomView, own_server: &str, width: usize, fetching: bool) -> Vec<Line<'static>> {
    let timeline = room.timeline();
    let mut lines = Vec::new();
    if timeline.is_complete() {
        lines.push(Line::from("— the beginning —").dim().centered());
    } else if fetching {
        lines.push(Line::from("… fetching older messages").dim().centered());
    } else if timeline.prev_batch().is_some() {
        lines.push(Line::from("↑ PageUp fetches older messages").dim().centered());
    }
    let mut day = i64::MIN;
    // Files have numbers, counted from the newest.
    let mut left = files::of(room).count();
    for item in timeline.items() {
        let item_day = item.event.origin_server_ts.div_euclid(DAY_MS);
        let file = files::attachment(item).map(|file| {
            left -= 1;
            (left + 1, file)
        });
        let Some(entry) = entry(item, file, own_server) else { continue };
        if item_day != day {
            lines.push(Line::from(format!("— {} —", date(item_day))).dim().centered());
            day = item_day;
        }
        let head = Span::from(format!("{} ", time(item.event.origin_server_ts))).dim();
        lines.extend(lay_out(head, entry, width));
    }
    for message in room.outgoing() {
        let body = message.content.get("body").and_then(|body| body.as_str()).unwrap_or_default();
        let (mark, style, note) = match &message.state {
            OutgoingState::Pending => ("  ↑   ", Style::new().dim(), " (sending)".to_owned()),
            OutgoingState::Sent(_) => ("  ✓   ", Style::new().dim(), String::new()),
            OutgoingState::Failed(reason) => {
                let note = format!(" (NOT SENT: {} — /retry or /discard)", clean(reason));
                ("  ✗   ", Style::new().red(), note)
            }
        };
        let entry = Entry { name: None, paragraphs: vec![clean(body) + &note], style };
        lines.extend(lay_out(Span::styled(mark, style), entry, width));
    }
    lines
}

/// What an event says.
struct Entry {
    name: Option<Span<'static>>,
    paragraphs: Vec<String>,
    style: Style,
}

fn entry(item: &TimelineItem, file: Option<(usize, Attachment)>, own_server: &str) -> Option<Entry> {
    let event = &item.event;
    let sender = short_id(&event.sender, own_server);
    if event.event_type == "m.room.message" {
        let name = Some(Span::from(format!("{sender}  ")).fg(color_of(&event.sender)).bold());
        if let Some(redaction) = &item.redacted {
            let by = if redaction.sender == event.sender {
                String::new()
            } else {
                format!(" by {}", short_id(&redaction.sender, own_server))
            };
            let why = redaction.reason.as_ref().map(|reason| format!(": {}", clean(reason))).unwrap_or_default();
            return Some(Entry { name, paragraphs: vec![format!("(taken back{by}{why})")], style: Style::new().dim() });
        }
        let body = event.text("body").unwrap_or("(a message without text)");
        let mut paragraphs: Vec<String> = body.lines().map(clean).collect();
        if let Some((number, file)) = file {
            // What is written beside a file is shown below it.
            paragraphs.retain(|_| body != file.name);
            paragraphs.insert(0, files::label(number, &file));
        }
        return Some(Entry { name, paragraphs, style: Style::new() });
    }
    if let Some(EventEncryption::Failed { reason }) = &event.encryption {
        let name = Some(Span::from(format!("{sender}  ")).fg(color_of(&event.sender)).bold());
        return Some(Entry {
            name,
            paragraphs: vec![format!("(cannot be read: {reason})")],
            style: Style::new().dim(),
        });
    }
    let text = describe(item, &sender, own_server)?;
    Some(Entry { name: None, paragraphs: vec![format!("· {text}")], style: Style::new().dim() })
}

/// Wraps an entry; what follows the first line is indented under it.
fn lay_out(head: Span<'static>, entry: Entry, width: usize) -> Vec<Line<'static>> {
    let indent = head.width();
    let mut first = vec![head];
    let mut used = indent;
    if let Some(name) = entry.name {
        used += name.width();
        first.push(name);
    }
    let room = width.saturating_sub(indent).max(1);
    let first_room = width.saturating_sub(used).max(1);
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut first = Some(first);
    for (index, paragraph) in entry.paragraphs.iter().enumerate() {
        let rows = wrap(paragraph, if index == 0 { first_room } else { room }, room);
        for row in rows {
            let mut spans = first.take().unwrap_or_else(|| vec![Span::from(" ".repeat(indent))]);
            spans.push(Span::styled(row, entry.style));
            lines.push(Line::from(spans));
        }
    }
    // An empty message still shows who sent it.
    lines.extend(first.map(Line::from));
    lines
}

/// As much of a text as fits, with a mark where something is left out.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        let mut longer = kept.clone();
        longer.push(c);
        if width_of(&longer) + 1 > width {
            break;
        }
        kept = longer;
    }
    if width > 0 { kept + "…" } else { kept }
}

/// Breaks text at spaces where it can, else anywhere. The first row may have another width than the rest.
pub(crate) fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut room = first;
    for word in text.split_inclusive(' ') {
        let fits = |row: &String, room: usize| width_of(row) + width_of(word.trim_end()) <= room;
        if rows.last().is_some_and(|row| !row.is_empty() && !fits(row, room)) {
            rows.push(String::new());
            room = rest;
        }
        for c in word.chars() {
            let mut buffer = [0; 4];
            let c = &*c.encode_utf8(&mut buffer);
            if rows.last().is_some_and(|row| !row.is_empty() && width_of(row) + width_of(c) > room) {
                if c == " " {
                    continue;
                }
                rows.push(String::new());
                room = rest;
            }
            if let Some(row) = rows.last_mut() {
                row.push_str(c);
            }
        }
    }
    rows
}

fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}

fn color_of(user: &str) -> Color {
    let sum = user.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    NAME_COLORS.get(sum % NAME_COLORS.len()).copied().unwrap_or(Color::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_spaces_and_else_anywhere() {
        assert_eq!(wrap("one two three", 7, 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3, 4), ["abc", "defg", "h"]);
        assert_eq!(wrap("漢字漢字", 5, 5), ["漢字", "漢字"]);
        assert_eq!(wrap("", 5, 5), [""]);
        assert_eq!(wrap("a", 0, 0), ["a"]);
    }

    #[test]
    fn cuts_by_width_and_marks_it() {
        assert_eq!(cut("Tea", 3), "Tea");
        assert_eq!(cut("Tea time", 4), "Tea…");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("Tea", 0), "");
    }

    #[test]
    fn others_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(clean(&"x".repeat(10_000)).len(), MAX_SHOWN_CHARS);
    }

    #[test]
    fn ids_of_our_own_server_are_short() {
        assert_eq!(short_id("@alice:a.test", "a.test"), "alice");
        assert_eq!(short_id("@alice:b.test", "a.test"), "alice:b.test");
    }
}
