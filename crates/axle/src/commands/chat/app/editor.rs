//! The input line.

/// How many lines are remembered.
const MAX_REMEMBERED: usize = 100;

/// A line being written, and those written before.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    text: String,
    /// Byte index, always at a character's boundary.
    cursor: usize,
    remembered: Vec<String>,
    /// Which remembered line is shown, counted from the newest; 0: a new one.
    recalled: usize,
}

impl Editor {
    /// What is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What is written before the cursor.
    pub(crate) fn before_cursor(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    pub(crate) fn insert(&mut self, c: char) {
        self.text.insert(self.cursor, c);
        self.cursor += c.len_utf8();
    }

    /// Inserts pasted text as one line.
    pub(crate) fn insert_text(&mut self, text: &str) {
        for c in text.trim_end_matches(['\r', '\n']).chars() {
            self.insert(if c.is_control() { ' ' } else { c });
        }
    }

    pub(crate) fn backspace(&mut self) {
        let start = self.previous();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    pub(crate) fn delete(&mut self) {
        let end = self.next();
        self.text.replace_range(self.cursor..end, "");
    }

    pub(crate) fn delete_word(&mut self) {
        let kept = self.before_cursor().trim_end();
        let start = kept.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
        self.recalled = 0;
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.previous();
    }

    pub(crate) fn right(&mut self) {
        self.cursor = self.next();
    }

    pub(crate) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Shows the line before.
    pub(crate) fn older(&mut self) {
        self.recall(self.recalled + 1);
    }

    /// Shows the line after.
    pub(crate) fn newer(&mut self) {
        match self.recalled {
            0 => {}
            1 => self.clear(),
            back => self.recall(back - 1),
        }
    }

    /// Takes the line and begins a new one.
    pub(crate) fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.text);
        self.clear();
        if !line.trim().is_empty() && self.remembered.last() != Some(&line) {
            self.remembered.push(line.clone());
            if self.remembered.len() > MAX_REMEMBERED {
                self.remembered.remove(0);
            }
        }
        line
    }

    fn recall(&mut self, back: usize) {
        let line = self.remembered.len().checked_sub(back).and_then(|index| self.remembered.get(index));
        if let Some(line) = line.cloned() {
            self.text = line;
            self.recalled = back;
            self.end();
        }
    }

    fn previous(&self) -> usize {
        self.before_cursor().char_indices().next_back().map_or(0, |(index, _)| index)
    }

    fn next(&self) -> usize {
        let after = self.text.get(self.cursor..).unwrap_or_default();
        self.cursor + after.chars().next().map_or(0, char::len_utf8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Editor {
        let mut editor = Editor::default();
        text.chars().for_each(|c| editor.insert(c));
        editor
    }

    #[test]
    fn edits_between_characters_of_any_width() {
        let mut editor = typed("aé漢b");
        editor.left();
        editor.backspace();
        editor.insert('x');
        editor.left();
        editor.left();
        editor.delete();
        assert_eq!((editor.text(), editor.before_cursor()), ("axb", "a"));
        editor.home();
        editor.backspace();
        editor.end();
        editor.delete();
        assert_eq!(editor.text(), "axb");
    }

    #[test]
    fn words_go_at_once() {
        let mut editor = typed("one two  ");
        editor.delete_word();
        assert_eq!(editor.text(), "one ");
        editor.delete_word();
        editor.delete_word();
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn lines_come_back() {
        let mut editor = typed("one");
        assert_eq!(editor.take(), "one");
        typed("two").text().chars().for_each(|c| editor.insert(c));
        editor.take();
        editor.older();
        editor.older();
        editor.older();
        assert_eq!(editor.text(), "one");
        editor.newer();
        assert_eq!(editor.text(), "two");
        editor.newer();
        editor.newer();
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn what_is_pasted_is_one_line() {
        let mut editor = Editor::default();
        editor.insert_text("a\nb\u{1b}c\r\n");
        assert_eq!(editor.text(), "a b c");
    }
}
