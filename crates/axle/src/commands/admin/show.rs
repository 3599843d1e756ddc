//! Answers as people read them, or as JSON.

use std::io::Write as _;

use axle_server::admin::{Request, VerifyReport};
use serde_json::Value;

use crate::commands::clock::moment;

/// A list with nothing in it.
const NONE: &str = "none\n";

/// Prints an answer.
pub(super) fn answer(request: &Request, answer: &Value, json: bool) -> Result<(), Box<dyn std::error::Error>> {
    let text = if json { format!("{}\n", serde_json::to_string_pretty(answer)?) } else { words(request, answer)? };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn words(request: &Request, answer: &Value) -> Result<String, Box<dyn std::error::Error>> {
    Ok(match request {
        Request::CreateUser { .. } => format!("made {}\n", cell(answer)),
        Request::ResetPassword { user_id, .. } => format!("{user_id} has a new password; all devices are logged out\n"),
        Request::ListUsers => table(answer, &["user_id", "admin", "deactivated", "has_password"]),
        Request::ListRooms => table(answer, &["room_id", "joined_members", "events", "room_version", "name"]),
        Request::Backup { file } => format!("{} bytes in {}\n", cell(answer), file.display()),
        Request::Verify { .. } => report(&serde_json::from_value(answer.clone())?),
        Request::RotateKey | Request::ListKeys => table(answer, &["key_id", "key", "expired_ts"]),
        Request::BlockServer { server, blocked } => format!("{server} is {}\n", block_word(*blocked)),
        Request::BlockRoom { room_id, blocked } => format!("{room_id} is {}\n", block_word(*blocked)),
        Request::ListBlocks => match lines(&answer["servers"]) + &lines(&answer["rooms"]) {
            blocks if blocks.is_empty() => NONE.into(),
            blocks => blocks,
        },
        Request::ListDestinations => {
            let parked = table(&answer["parked"], &["destination", "event_id", "reason", "at"]);
            let queues = table(&answer["destinations"], &["destination", "pending", "failing_since", "last_error"]);
            if parked == NONE { queues } else { format!("{queues}\nrefused for good and set aside:\n{parked}") }
        }
        Request::ListFaults => table(answer, &["at", "room_id", "hub", "kind", "event_id", "detail"]),
        Request::ListReports => table(answer, &["at", "reporter", "room_id", "event_id", "user_id", "reason"]),
        Request::CreateToken { .. } => format!("{}\n", cell(&answer["token"])),
        Request::ListTokens => table(answer, &["token", "uses_left"]),
    })
}

fn block_word(blocked: bool) -> &'static str {
    if blocked { "blocked" } else { "not blocked" }
}

fn lines(items: &Value) -> String {
    items.as_array().into_iter().flatten().map(|item| format!("{}\n", cell(item))).collect()
}

/// Rows under a head, in columns.
fn table(rows: &Value, columns: &[&str]) -> String {
    let rows: Vec<Vec<String>> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| columns.iter().map(|column| named_cell(column, &row[column])).collect())
        .collect();
    if rows.is_empty() {
        return NONE.into();
    }
    let head = columns.iter().map(|column| column.replace('_', " ")).collect();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all.iter().map(line).collect()
}

/// Columns that are times, in milliseconds since the Unix epoch.
const TIMES: [&str; 3] = ["at", "expired_ts", "failing_since"];

fn named_cell(column: &str, value: &Value) -> String {
    match value.as_i64().filter(|_| TIMES.contains(&column)) {
        Some(time) => format!("{} UTC", moment(time)),
        None => cell(value),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        // What came from elsewhere must not move the cursor.
        Value::String(text) => text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect(),
        other => other.to_string(),
    }
}

fn report(report: &VerifyReport) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let room = problem.room_id.as_ref().map(|id| format!("{id} ")).unwrap_or_default();
        let event = problem.event_id.as_ref().map(|id| format!("{id} ")).unwrap_or_default();
        text += &format!("{room}{event}{}\n", problem.problem);
    }
    let gaps = match report.gaps {
        0 => String::new(),
        gaps => format!("; {gaps} places where history was never received"),
    };
    let verdict = match report.problem_count {
        0 => "no problems".into(),
        1 => "1 problem".into(),
        count => format!("{count} problems"),
    };
    text + &format!("{} events in {} rooms: {verdict}{gaps}\n", report.events, report.rooms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_for_people() {
        assert_eq!(table(&json!([]), &["at"]), "none\n");
        let rows =
            json!([{ "at": 1_700_000_000_000_i64, "pending": 3 }, { "at": null, "pending": 1_700_000_000_000_i64 }]);
        let expected = "at                    pending\n2023-11-14 22:13 UTC  3\n-                     1700000000000\n";
        assert_eq!(table(&rows, &["at", "pending"]), expected);
    }
}
