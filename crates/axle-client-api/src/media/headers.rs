//! What is told of media in the header of a response, so that it cannot harm whoever opens it.

use axle_store::MediaContent;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ruma::http_headers::{ContentDisposition, ContentDispositionType};

/// Whatever a document tries, as the specification says ("Content repository", "Security considerations").
const POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
                      style-src 'unsafe-inline'; object-src 'self';";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What is served when the uploader named no type.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// Types that a browser may show: those of the specification ("Serving inline content"). Everything else is to be saved.
const INLINE_TYPES: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// The type, name and restrictions of a piece of media. `name` is how the client wants it to be called.
pub(super) fn describe(headers: &mut HeaderMap, content: &MediaContent, name: Option<&str>) {
    headers.insert(header::CONTENT_TYPE, value(content_type(content), UNKNOWN_TYPE));
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition_of(content, name), "attachment"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
}

/// The type of a piece of media.
pub(crate) fn content_type(content: &MediaContent) -> &str {
    content.content_type.as_deref().unwrap_or(UNKNOWN_TYPE)
}

/// Whether it may be shown, and its name. `name` is how the client wants it to be called.
pub(crate) fn disposition_of(content: &MediaContent, name: Option<&str>) -> String {
    disposition(content_type(content), name.or(content.file_name.as_deref()))
}

fn disposition(content_type: &str, name: Option<&str>) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_inline = INLINE_TYPES.iter().any(|inline| inline.eq_ignore_ascii_case(essence));
    let kind = if is_inline { ContentDispositionType::Inline } else { ContentDispositionType::Attachment };
    ContentDisposition::new(kind).with_filename(name.map(str::to_owned)).to_string()
}

fn value(text: &str, otherwise: &'static str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(otherwise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_types_are_shown() {
        assert_eq!(disposition("image/png", None), "inline");
        assert_eq!(disposition("Text/Plain ; charset=utf-8", Some("a.txt")), "inline; filename=a.txt");
        for harmful in ["text/html", "image/svg+xml", "application/pdf", "text/plainx", "", "; text/plain"] {
            assert_eq!(disposition(harmful, None), "attachment", "{harmful}");
        }
    }

    #[test]
    fn names_are_quoted_or_encoded() {
        let named = |name| disposition("x/y", Some(name));
        assert_eq!(named("two words.bin"), "attachment; filename=\"two words.bin\"");
        assert_eq!(named("a\"b;c"), "attachment; filename=\"a\\\"b;c\"");
        assert_eq!(named("кот.png"), "attachment; filename*=utf-8''%D0%BA%D0%BE%D1%82.png");
        assert!(!named("a\r\nSet-Cookie: b").contains(['\r', '\n']));
        assert_eq!(named("\u{0}"), "attachment; filename=\"\"");
    }

    #[test]
    fn no_name_spoils_the_header() {
        for odd in ('\0'..='\u{2ff}').chain(['\u{202e}', '\u{ffff}', '😀']) {
            let content = MediaContent {
                hash: [0; 32],
                size: 0,
                content_type: Some("image/png".into()),
                file_name: Some(format!("a{odd}\";b=\\{odd}")),
            };
            let mut headers = HeaderMap::new();
            describe(&mut headers, &content, None);
            let disposition = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
            assert!(disposition.starts_with("inline; filename"), "{odd:?}: {disposition}");
            let name = disposition.parse::<ContentDisposition>().unwrap().filename.unwrap();
            let expected = content.file_name.unwrap();
            assert!(name == expected || odd.is_ascii_control(), "{odd:?}: {name:?}");
        }
    }
}
