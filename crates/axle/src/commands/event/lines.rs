//! Events from standard input, one a line.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use axle_protocol::limits::MAX_EVENT_JSON_BYTES;
use axle_protocol::{Event, RoomVersion, canonical_json};
use serde::Serialize;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line of the output about an event that cannot be read.
#[derive(Serialize)]
struct Unreadable {
    error: String,
    valid: bool,
}

/// An event, and the id that stood beside its fields: some servers' answers have one, and it is not part of the event.
pub(super) struct Line {
    pub(super) event: Event,
    pub(super) claimed_id: Option<String>,
}

/// Answers every line of standard input with a line of JSON, so that the two can be read side by side; empty lines at
/// the end are none. `answer` says whether a line's event is as it should be; the exit status is 0 only if all are.
pub(super) fn answer_each<T: Serialize>(answer: impl Fn(&Line) -> (T, bool)) -> io::Result<ExitCode> {
    let (mut input, mut output) = (io::stdin().lock(), io::BufWriter::new(io::stdout().lock()));
    let (mut all_good, mut empty) = (true, 0);
    while let Some(line) = next_line(&mut input)? {
        if line.trim_ascii().is_empty() {
            empty += 1;
            continue;
        }
        all_good &= empty == 0;
        for _ in 0..std::mem::take(&mut empty) {
            write(&mut output, &Unreadable { error: "the line is empty".to_owned(), valid: false })?;
        }
        match parse(&line) {
            Ok(line) => {
                let (answer, good) = answer(&line);
                all_good &= good;
                write(&mut output, &answer)?;
            }
            Err(error) => {
                all_good = false;
                write(&mut output, &Unreadable { error, valid: false })?;
            }
        }
        // Whoever pipes events in one by one sees each answer at once.
        output.flush()?;
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(output: &mut impl Write, answer: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, answer)?;
    output.write_all(b"\n")
}

/// The next line; of a longer one than an event can have, only as much as shows that.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = MAX_EVENT_JSON_BYTES as u64 + 2;
    if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        skip_line(input)?;
    }
    Ok(Some(line))
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let skipped = end.map_or(buffer.len(), |end| end + 1);
        input.consume(skipped);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn parse(line: &[u8]) -> Result<Line, String> {
    // Some programs begin a text with this mark.
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii();
    // Both room versions of Linearized Matrix have the same formats.
    let version = RoomVersion::I1;
    let mut object = match line.len() > MAX_EVENT_JSON_BYTES {
        true => None,
        false => Some(canonical_json::parse_object(line).map_err(|error| format!("not valid JSON: {error}"))?),
    };
    let claimed_id = object.as_mut().and_then(|object| object.remove("event_id"));
    let event = match (&claimed_id, &object) {
        (Some(_), Some(object)) => Event::parse(canonical_json::object_to_string(object).as_bytes(), version),
        _ => Event::parse(line, version),
    };
    let claimed_id = claimed_id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    Ok(Line { event: event.map_err(|error| error.to_string())?, claimed_id })
}
