//! MLS as its users meet it: through the public interface.
#![allow(clippy::unwrap_used)]

mod common;
mod credentials;
mod devices;
mod groups;
mod key_packages;
