//! Reading a password: from a terminal without showing it, else the first line of standard input.

use std::io::{BufRead as _, Error, ErrorKind, IsTerminal as _, Write as _};

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read as next_event};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

/// The longest line that is read.
const MAX_LINE_BYTES: u64 = 4096;

pub(super) fn read() -> std::io::Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::Read::take(std::io::stdin().lock(), MAX_LINE_BYTES).read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = ask("Password: ")?;
    if first != ask("Again: ")? {
        return Err(Error::new(ErrorKind::InvalidInput, "the two passwords are not the same"));
    }
    Ok(first)
}

fn ask(prompt: &str) -> std::io::Result<String> {
    let mut err = std::io::stderr();
    write!(err, "{prompt}")?;
    err.flush()?;
    enable_raw_mode()?;
    let line = hidden_line();
    disable_raw_mode()?;
    writeln!(err)?;
    line
}

fn hidden_line() -> std::io::Result<String> {
    let mut line = String::new();
    loop {
        let Event::Key(key) = next_event()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => return Ok(line),
            KeyCode::Backspace => drop(line.pop()),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Err(ErrorKind::Interrupted.into());
            }
            KeyCode::Char(char) => line.push(char),
            _ => {}
        }
    }
}
