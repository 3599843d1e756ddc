//! Every size limit of the wire formats, by name.

/// An event, LPDU or PDU, in canonical JSON with all its signatures ("Events").
pub const MAX_EVENT_BYTES: usize = 65_536;
/// The same in other JSON than canonical: escapes may make text three times longer, spaces and digits a bit more.
pub const MAX_EVENT_JSON_BYTES: usize = 4 * MAX_EVENT_BYTES;
/// `type` and `state_key`, and room and user ids ("Events", "Rooms", "Users"). Bytes for ids and for what this server
/// makes, characters for the other two as received.
pub const MAX_ID_BYTES: usize = 255;
/// A server name ("Server Names"): 255 characters of host and `:65535`.
pub const MAX_SERVER_NAME_BYTES: usize = 261;
/// `pdus` of one transaction (`PUT /send/:txnId`).
pub const MAX_PDUS_PER_TRANSACTION: usize = 50;
/// `edus` of one transaction (`PUT /send/:txnId`).
pub const MAX_EDUS_PER_TRANSACTION: usize = 100;
/// Signatures of one server on one thing that are tried; one good one is enough.
pub const MAX_SIGNATURES_TRIED: usize = 16;
/// How deep JSON may nest before it is refused.
pub const MAX_JSON_DEPTH: usize = 100;
/// `auth_events` of one event: five are the most that the selection algorithm can name.
pub const MAX_AUTH_EVENTS: usize = 10;
/// `prev_events` of one event: the number Matrix allows.
pub const MAX_PREV_EVENTS: usize = 20;
/// Largest integer that both Matrix and RFC 8785 represent exactly.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;
/// One `Authorization` header ("Request Authentication").
pub const MAX_AUTHORIZATION_BYTES: usize = 4096;
/// `Authorization` headers of one request: one for each key that a server signs with.
pub const MAX_AUTHORIZATION_HEADERS: usize = 8;
/// Keys, current or old, that one server may publish.
pub const MAX_KEYS_PER_SERVER: usize = 100;
/// How long published keys are believed, at most, in milliseconds: 7 days ("Validity").
pub const MAX_KEY_VALIDITY_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Servers that one notary query may ask about.
pub const MAX_SERVERS_PER_KEY_QUERY: usize = 100;
