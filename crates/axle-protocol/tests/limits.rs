//! The numbers that the draft gives, as numbers: the other tests use the constants' names.

use axle_protocol::limits::*;

#[test]
fn limits_of_the_draft() {
    assert_eq!(MAX_EVENT_BYTES, 65_536, "Events");
    assert_eq!(MAX_ID_BYTES, 255, "Events, Rooms, Users");
    assert_eq!(MAX_SERVER_NAME_BYTES, 255 + ":65535".len(), "Server Names");
    assert_eq!((MAX_PDUS_PER_TRANSACTION, MAX_EDUS_PER_TRANSACTION), (50, 100), "PUT /send/:txnId");
    assert_eq!(MAX_KEY_VALIDITY_MS, 604_800_000, "Validity: 7 days");
    assert_eq!(MAX_SAFE_INTEGER, 9_007_199_254_740_991, "Canonical JSON: 2^53 - 1");
}
