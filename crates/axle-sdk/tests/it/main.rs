//! Encryption: devices of people against a hub in memory, and the file that keys are kept in.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod encryption;
