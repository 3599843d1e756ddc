//! `GET /_matrix/federation/v1/version`.

use super::answer::Answer;

pub(super) async fn version() -> Answer {
    Answer::ok(concat!(r#"{"server":{"name":"Axle","version":""#, env!("CARGO_PKG_VERSION"), r#""}}"#))
}
