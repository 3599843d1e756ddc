//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{App, Effect, Page};
use crate::commands::chat::command::Command;
use crate::commands::chat::render::pages;

impl App {
    pub(super) fn handle_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if let Some((page, above)) = self.page.filter(|_| !is_control) {
            self.page = self.scroll_page(page, above, key.code);
            return Vec::new();
        }
        if is_control {
            return self.handle_control(key.code);
        }
        if key.modifiers.contains(KeyModifiers::ALT) {
            self.handle_alt(key.code);
            return Vec::new();
        }
        match key.code {
            KeyCode::Enter => {
                let line = self.editor.take();
                return self.handle_line(&line);
            }
            KeyCode::Char(c) => self.editor.insert(c),
            KeyCode::Backspace => self.editor.backspace(),
            KeyCode::Delete => self.editor.delete(),
            KeyCode::Left => self.editor.left(),
            KeyCode::Right => self.editor.right(),
            KeyCode::Home => self.editor.home(),
            KeyCode::End => self.editor.end(),
            KeyCode::Up => self.editor.older(),
            KeyCode::Down => self.editor.newer(),
            KeyCode::PageUp => return self.scroll_up(),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_sub(self.page()),
            KeyCode::Tab => self.step_room(1),
            KeyCode::BackTab => self.step_room(-1),
            KeyCode::F(1) => self.open(Page::Help),
            KeyCode::Esc => {
                self.notice = None;
                self.scroll = 0;
            }
            _ => {}
        }
        Vec::new()
    }

    fn handle_control(&mut self, code: KeyCode) -> Vec<Effect> {
        match code {
            KeyCode::Char('c' | 'q') => return vec![Effect::Quit],
            KeyCode::Char('n') => self.step_room(1),
            KeyCode::Char('p') => self.step_room(-1),
            KeyCode::Char('a') => self.editor.home(),
            KeyCode::Char('e') => self.editor.end(),
            KeyCode::Char('w') => self.editor.delete_word(),
            KeyCode::Char('u') => self.editor.clear(),
            _ => {}
        }
        Vec::new()
    }

    fn handle_alt(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(digit) if digit.is_ascii_digit() => {
                let number = digit.to_digit(10).unwrap_or_default() as usize;
                self.show_number(number);
            }
            KeyCode::Down => self.step_room(1),
            KeyCode::Up => self.step_room(-1),
            _ => {}
        }
    }

    /// Shows the room with this number in the list, counted from 1.
    pub(super) fn show_number(&mut self, number: usize) -> bool {
        let room =
            number.checked_sub(1).and_then(|index| self.ordered().get(index).map(|room| room.room_id().to_owned()));
        room.inspect(|room_id| self.show(room_id)).is_some()
    }

    fn step_room(&mut self, step: isize) {
        let rooms: Vec<String> = self.ordered().iter().map(|room| room.room_id().to_owned()).collect();
        let at = rooms.iter().position(|id| Some(id) == self.current.as_ref());
        let next = match at {
            None => 0,
            Some(at) => (at + rooms.len()).saturating_add_signed(step) % rooms.len(),
        };
        if let Some(room_id) = rooms.get(next) {
            self.show(room_id);
        }
    }

    /// Where a page that covers the screen is after a key; any but the arrows and the page keys closes it.
    fn scroll_page(&self, page: Page, above: usize, key: KeyCode) -> Option<(Page, usize)> {
        let (lines, height) = pages::extent(self, page, self.size);
        let step = height.saturating_sub(1).max(1);
        let above = match key {
            KeyCode::Down => above + 1,
            KeyCode::PageDown | KeyCode::Char(' ') => above + step,
            KeyCode::Up => above.saturating_sub(1),
            KeyCode::PageUp => above.saturating_sub(step),
            _ => return None,
        };
        Some((page, above.min(lines.saturating_sub(height))))
    }

    fn page(&self) -> usize {
        usize::from(self.areas().timeline.height).saturating_sub(1).max(1)
    }

    /// Goes up a page. At the top older history is fetched.
    fn scroll_up(&mut self) -> Vec<Effect> {
        let height = usize::from(self.areas().timeline.height);
        let highest = self.timeline_height().saturating_sub(height);
        self.scroll = (self.scroll + self.page()).min(highest);
        let more = self.room().is_some_and(|room| room.timeline().prev_batch().is_some());
        if self.scroll < highest || !more { Vec::new() } else { self.run(&Command::History) }
    }
}
