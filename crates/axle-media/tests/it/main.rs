//! Files and pictures.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod files;
mod thumbnails;
