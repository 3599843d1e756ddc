//! Parts of the binary.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod thumbnail;
