//! Reads `multipart/mixed` (RFC 2046, section 5.1) piece by piece. No I/O: bytes are pushed in, what they mean comes out.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest boundary that RFC 2046 allows, in characters.
const MAX_BOUNDARY: usize = 70;
/// The headers of one part, in bytes; likewise what comes before the first part.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// What is being read.
enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: another part follows, or nothing.
    Boundary,
    /// The headers of a part.
    Headers,
    /// The content of a part.
    Content,
    /// Nothing that matters.
    End,
}

/// What was found.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// A part begins.
    Part(HeaderMap),
    /// A piece of its content.
    Content(Bytes),
    /// That was the last part.
    End,
}

/// A reader.
pub(super) struct Multipart {
    /// A line break and the boundary.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    state: State,
}

impl Multipart {
    /// For a body of this content type; `None`: it is no `multipart/mixed`.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let (essence, parameters) = content_type.split_once(';')?;
        if !essence.trim().eq_ignore_ascii_case("multipart/mixed") {
            return None;
        }
        let boundary = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
        })?;
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
            return None;
        }
        // The first boundary begins the body: as if a line break came before it.
        let (delimiter, buffer) = (format!("\r\n--{boundary}").into_bytes(), BytesMut::from(&b"\r\n"[..]));
        Some(Self { delimiter, buffer, state: State::Preamble })
    }

    /// Takes further bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What comes next; `None`: further bytes are needed to tell.
    pub(super) fn next(&mut self) -> Result<Option<Found>, &'static str> {
        loop {
            match self.state {
                State::Preamble => match self.find_delimiter() {
                    Some(at) => self.pass_delimiter(at),
                    None if self.buffer.len() > MAX_HEADER_BYTES => return Err("a body without its boundary"),
                    None => return Ok(None),
                },
                State::Boundary => {
                    if self.buffer.starts_with(b"--") {
                        self.state = State::End;
                        continue;
                    }
                    // Spaces may stand behind a boundary.
                    let Some(end) = find(&self.buffer, b"\r\n") else { return self.wait("a boundary without an end") };
                    let _ = self.buffer.split_to(end + 2);
                    self.state = State::Headers;
                }
                State::Headers => {
                    // The blank line may be all there is.
                    let end = match self.buffer.starts_with(b"\r\n") {
                        true => Some(0),
                        false => find(&self.buffer, b"\r\n\r\n").map(|end| end + 2),
                    };
                    let Some(end) = end else { return self.wait("headers without an end") };
                    let lines = self.buffer.split_to(end + 2);
                    self.state = State::Content;
                    return Ok(Some(Found::Part(headers(&lines))));
                }
                State::Content => match self.find_delimiter() {
                    Some(0) => self.pass_delimiter(0),
                    Some(at) => return Ok(Some(Found::Content(self.buffer.split_to(at).freeze()))),
                    // What may be the beginning of the delimiter waits for the rest of it.
                    None => {
                        let certain = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
                        return Ok((certain > 0).then(|| Found::Content(self.buffer.split_to(certain).freeze())));
                    }
                },
                State::End => return Ok(Some(Found::End)),
            }
        }
    }

    /// Where the delimiter begins.
    fn find_delimiter(&self) -> Option<usize> {
        find(&self.buffer, &self.delimiter)
    }

    fn pass_delimiter(&mut self, at: usize) {
        let _ = self.buffer.split_to(at + self.delimiter.len());
        self.state = State::Boundary;
    }

    fn wait(&self, otherwise: &'static str) -> Result<Option<Found>, &'static str> {
        if self.buffer.len() > MAX_HEADER_BYTES { Err(otherwise) } else { Ok(None) }
    }
}

/// Where a text that begins with a carriage return is.
fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == b'\r') {
        if bytes.get(from + at..)?.starts_with(text) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// Headers; what is none is left out.
fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.trim_ascii()), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/mixed; boundary=\"b\"";

    /// The parts of a body that arrives in pieces of this size.
    fn read(body: &[u8], size: usize) -> Result<Vec<(HeaderMap, Vec<u8>)>, &'static str> {
        let mut reader = Multipart::of(TYPE).unwrap();
        let mut pieces = body.chunks(size);
        let mut parts: Vec<(HeaderMap, Vec<u8>)> = Vec::new();
        loop {
            match reader.next()? {
                Some(Found::Part(headers)) => parts.push((headers, Vec::new())),
                Some(Found::Content(piece)) => parts.last_mut().unwrap().1.extend_from_slice(&piece),
                Some(Found::End) => return Ok(parts),
                None => reader.push(pieces.next().ok_or("cut off")?),
            }
        }
    }

    #[test]
    fn parts_come_out_however_they_arrive() {
        let body =
            b"before\r\n--b \r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\ncontent-type:image/png\r\nX\r\n\r\n\
                     a\r\n--\r\r\n\r\n--a\r\n--b--\r\nafter";
        for size in 1..body.len() {
            let parts = read(body, size).unwrap();
            assert_eq!(parts.len(), 2, "{size}");
            assert_eq!((parts[0].0["content-type"].as_bytes(), &*parts[0].1), (&b"application/json"[..], &b"{}"[..]));
            let expected = b"a\r\n--\r\r\n\r\n--a";
            assert_eq!((parts[1].0["content-type"].as_bytes(), &*parts[1].1), (&b"image/png"[..], &expected[..]));
        }
    }

    #[test]
    fn empty_parts_and_no_headers() {
        let parts = read(b"--b\r\n\r\n\r\n--b\r\n\r\nx\r\n--b--", 3).unwrap();
        assert_eq!(parts, [(HeaderMap::new(), Vec::new()), (HeaderMap::new(), b"x".to_vec())]);
        assert_eq!(read(b"--b--", 1).unwrap(), []);
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let long = vec![b'x'; 2 * MAX_HEADER_BYTES];
        let with = |head: &[u8]| [head, &long].concat();
        for body in [with(b""), with(b"--b"), with(b"--b\r\n"), b"--b\r\n\r\nx\r\n--".to_vec(), b"--b".to_vec()] {
            assert!(read(&body, 1000).is_err());
        }
    }

    #[test]
    fn types_of_bodies() {
        for good in [TYPE, "Multipart/Mixed;boundary=b", "multipart/mixed; charset=x; Boundary=b"] {
            assert_eq!(Multipart::of(good).unwrap().delimiter, b"\r\n--b");
        }
        let long = format!("multipart/mixed; boundary={}", "b".repeat(71));
        for bad in ["multipart/mixed", "image/png; boundary=b", "multipart/mixed; boundary=", "", &long] {
            assert!(Multipart::of(bad).is_none(), "{bad}");
        }
    }
}
