//! What a sync tells beside rooms' events, one subject a file.

pub(crate) mod account_data;
pub(crate) mod e2ee;
pub(crate) mod presence;
pub(crate) mod receipts;
pub(crate) mod to_device;
pub(crate) mod typing;
