//! Runs the MLS working group's test vectors against what this crate does.
//!
//! They have no licence to copy them, so they are not here: `FOLDER` is `test-vectors` of a clone of
//! github.com/mlswg/mls-implementations.
//!
//! ```text
//! cargo run -p axle-mls --example vectors -- FOLDER
//! ```
//!
//! The encodings are read by the crate's own reader, and the passive clients live in the crate's own storage, with a hub of
//! the crate's own beside them. Both are private, so the example has the very files among its own modules.
#![allow(clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../../src/crypto.rs"]
mod crypto;
mod encodings;
mod passive;
#[allow(dead_code)]
#[path = "../../src/wire.rs"]
mod wire;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs one vector.
type Run = fn(&Value) -> Result<Outcome>;

/// What came of a vector that has not failed.
enum Outcome {
    Good,
    /// It is of another ciphersuite, or too large to try.
    NotOurs,
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        println!("usage: vectors FOLDER");
        return ExitCode::FAILURE;
    };
    let runs: [(&str, Run); 7] = [
        ("messages", encodings::messages),
        ("deserialization", encodings::length),
        ("tree-validation", encodings::tree),
        ("tree-operations", encodings::changed_tree),
        ("passive-client-welcome", passive::follow),
        ("passive-client-handling-commit", passive::follow),
        ("passive-client-random", passive::follow),
    ];
    let good = runs.into_iter().filter(|(file, run)| all(Path::new(&folder), file, *run)).count();
    if good == runs.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every vector of a file, says what came of them, and whether none has failed.
fn all(folder: &Path, file: &str, run: Run) -> bool {
    let vectors = match read(&folder.join(format!("{file}.json"))) {
        Ok(vectors) => vectors,
        Err(error) => {
            println!("{file}: {error}");
            return false;
        }
    };
    let (mut good, mut not_ours, mut failed) = (0, 0, 0);
    for (number, vector) in vectors.iter().enumerate() {
        match run(vector) {
            Ok(Outcome::Good) => good += 1,
            Ok(Outcome::NotOurs) => not_ours += 1,
            Err(error) => {
                failed += 1;
                println!("{file}, vector {number}: {error}");
            }
        }
    }
    println!("{file}: {good} good, {failed} failed, {not_ours} not of our ciphersuite or size");
    failed == 0 && good > 0
}

fn read(file: &Path) -> Result<Vec<Value>> {
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

/// A field in hexadecimal.
fn bytes(vector: &Value, field: &str) -> Result<Vec<u8>> {
    let text = vector[field].as_str().ok_or_else(|| format!("{field} is missing"))?;
    let pair = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(pair).collect();
    bytes.ok_or_else(|| format!("{field} is not hexadecimal").into())
}

/// Whether a vector is of the one ciphersuite.
fn is_ours(vector: &Value) -> bool {
    vector["cipher_suite"] == 1
}

fn ensure(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(what.into()) }
}
