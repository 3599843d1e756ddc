//! How fuzz targets make inputs: bytes as they are, and edits of what is right.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

/// What edits insert: the places where parsers go wrong.
const TOKENS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "0",
    "-0",
    "1e400",
    "1.0",
    "9007199254740993",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\u{0}",
    "\u{feff}",
    "\u{e000}",
    "😀",
    "é",
    " ",
    "\n",
    "\"a\":1,",
    "\"type\":\"m.room.create\",",
    "\"event_id\":\"$x\",",
    "\"hub_server\":\"hub.example\",",
    "\"hashes\":{},",
    "\"signatures\":{},",
    "\"auth_events\":[],",
    "\"prev_events\":[],",
    "\"state_key\":\"\",",
    "\"unsigned\":{},",
    "m.room.member",
    "@bob:part.example",
    "sig=",
    "X-Matrix ",
];

/// The seed with edits that the input describes, four bytes an edit: what, where (two), with what.
fn edited(seed: &[u8], input: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for edit in input.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([edit[1], edit[2]])) % (bytes.len() + 1);
        let with = usize::from(edit[3]);
        match edit[0] % 6 {
            0 => bytes.insert(at, edit[3]),
            1 => drop(bytes.splice(at..at, TOKENS[with % TOKENS.len()].bytes())),
            2 => drop(bytes.drain(at..(at + with % 40).min(bytes.len()))),
            3 => {
                let copied = bytes[at..(at + with).min(bytes.len())].to_vec();
                bytes.splice(at..at, copied);
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << (with % 8),
            _ => bytes.truncate(bytes.len().saturating_sub(with % 3)),
        }
    }
    bytes
}

/// Bytes as they are, and as edits of one of the seeds.
pub(crate) fn candidates(seeds: &[Vec<u8>], input: &[u8]) -> [Vec<u8>; 2] {
    let (pick, edits) = input.split_first().map_or((0, input), |(pick, edits)| (*pick, edits));
    [input.to_vec(), edited(&seeds[usize::from(pick) % seeds.len()], edits)]
}
