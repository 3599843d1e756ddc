//! What a sync tells beside rooms' events, one subject a file.

pub(crate) mod account_data;
