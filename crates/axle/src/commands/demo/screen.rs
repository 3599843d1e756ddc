//! What the person in front of the demo sees.

use std::io::{IsTerminal, Stdout, Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use crossterm::style::Stylize;

/// Width of the column that says who does something.
const WHO_WIDTH: usize = 26;

/// Prints steps as they happen. Colours only on a terminal.
pub(super) struct Screen {
    out: Stdout,
    colours: bool,
    start: Instant,
    step: usize,
    title: String,
}

impl Screen {
    pub(super) fn new() -> Self {
        let out = stdout();
        let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { out, colours, start: Instant::now(), step: 0, title: String::new() }
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn title(&mut self, text: &str) {
        let line = if self.colours { text.bold().to_string() } else { text.to_owned() };
        self.line(&line);
    }

    /// A new step begins.
    pub(super) fn step(&mut self, title: &str) {
        self.step += 1;
        title.clone_into(&mut self.title);
        let text = format!("{:2}. {title}", self.step);
        let text = if self.colours { text.bold().cyan().to_string() } else { text };
        let time = format!("[{:5.1} s]", self.start.elapsed().as_secs_f32());
        let time = if self.colours { time.dark_grey().to_string() } else { time };
        self.line(&format!("\n{time} {text}"));
    }

    /// Someone does something.
    pub(super) fn say(&mut self, who: &str, what: &str) {
        let who = format!("{who:WHO_WIDTH$}");
        let who = if self.colours { who.yellow().to_string() } else { who };
        self.line(&format!("            {who} {what}"));
    }

    /// Something was shown to be so.
    pub(super) fn shown(&mut self, what: &str) {
        let mark = if self.colours { "✓".green().to_string() } else { "✓".to_owned() };
        self.line(&format!("          {mark} {what}"));
    }

    /// A line of a table.
    pub(super) fn row(&mut self, text: &str) {
        self.line(&format!("            {text}"));
    }

    /// What it all came to.
    pub(super) fn proved(&mut self, text: &str) {
        let text = format!("\nPROVED: {text}");
        let text = if self.colours { text.bold().green().to_string() } else { text };
        self.line(&text);
    }

    /// How to go on.
    pub(super) fn hint(&mut self, text: &str) {
        self.line(&format!("\n{text}"));
    }

    pub(super) fn failure(&mut self, error: &(dyn std::error::Error + 'static)) {
        let mut text = format!("\nFAILED at step {}, {}: {error}", self.step, self.title);
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n  because: {error}"));
            cause = error.source();
        }
        let text = if self.colours { text.bold().red().to_string() } else { text };
        self.line(&text);
    }

    /// The ends of logs, and where the rest is.
    pub(super) fn logs(&mut self, tails: &[(String, Vec<String>)], folder: &Path) {
        for (server, lines) in tails {
            self.line(&format!("\nThe last that {server} logged:"));
            for line in lines {
                self.line(&format!("  {line}"));
            }
        }
        self.line(&format!("\nData, logs and configuration are kept in {}", folder.display()));
    }

    fn line(&mut self, text: &str) {
        // Whoever closed our output does not want to know; the demo's end is told by its exit status.
        writeln!(self.out, "{text}").ok();
        self.out.flush().ok();
    }
}
