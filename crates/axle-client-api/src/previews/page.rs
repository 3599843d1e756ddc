//! What an HTML page says of itself.
//!
//! The page comes from anybody. It is read token by token, in time that grows with its size and no faster, and nothing is
//! kept of it but the fields, each of a bounded length. There is no tree, so that no nesting costs anything.

use axle_protocol::MatrixError;
use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, StartTag, Token, Tokenizer};
use serde_json::{Map, Value};

/// So many bytes of a page are read: what it says of itself comes at its beginning.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Fields that are told.
const MAX_FIELDS: usize = 50;
/// The longest name of a field.
const MAX_NAME_BYTES: usize = 64;
/// Characters of a field that are told.
const MAX_VALUE_CHARS: usize = 1000;
/// Characters of the page's text that stand in for a description.
const MAX_EXCERPT_CHARS: usize = 300;
/// In so many bytes a page says how it is encoded (HTML, "prescan a byte stream").
const PRESCAN_BYTES: usize = 1024;

/// What a page says of itself.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    /// As OpenGraph has it, without the picture.
    pub(super) fields: Map<String, Value>,
    /// The address of its picture, as it is written there.
    pub(super) picture: Option<String>,
}

/// Reads a page, apart from what answers requests.
pub(super) async fn read_apart(body: Bytes, content_type: Option<String>) -> Result<Page, MatrixError> {
    let read = tokio::task::spawn_blocking(move || read(&body, content_type.as_deref())).await;
    read.map_err(|error| MatrixError::unknown(format!("the page cannot be read: {error}")))
}

fn read(body: &[u8], content_type: Option<&str>) -> Page {
    let (text, _, _) = encoding(body, content_type).decode(body);
    let mut emitter = DefaultEmitter::default();
    // What is in scripts and styles is no markup.
    emitter.naively_switch_states(true);
    let mut reader = Reader::default();
    for token in Tokenizer::new_with_emitter(&*text, emitter) {
        let Ok(token) = token;
        reader.take(token);
    }
    reader.into_page()
}

/// How a page is encoded: as the header says, as it says itself, or in UTF-8. A byte order mark outweighs both.
fn encoding(body: &[u8], content_type: Option<&str>) -> &'static Encoding {
    let beginning = String::from_utf8_lossy(body.get(..PRESCAN_BYTES).unwrap_or(body));
    let told = content_type.and_then(charset).or_else(|| {
        // Where this can be read, it is not in UTF-16.
        charset(&beginning).map(Encoding::output_encoding)
    });
    told.unwrap_or(UTF_8)
}

/// What comes after the first `charset=`.
fn charset(text: &str) -> Option<&'static Encoding> {
    let lower = text.to_ascii_lowercase();
    let (_, after) = lower.split_once("charset=")?;
    let after = after.trim_start_matches(['"', '\'', ' ']);
    let label = after.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '>' | '/')).next()?;
    Encoding::for_label(label.as_bytes())
}

/// Where text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Title,
    Heading,
    Paragraph,
}

/// What was found so far.
#[derive(Default)]
struct Reader {
    place: Option<Place>,
    /// The element whose text is not for people, until its end.
    hidden: Option<HtmlString>,
    /// `og:`.
    fields: Map<String, Value>,
    /// Further metadata, by what it stands in for.
    title: Option<String>,
    description: Option<String>,
    picture: Option<String>,
    second_picture: Option<String>,
    /// Texts of elements.
    title_text: String,
    heading_text: String,
    excerpt: String,
}

impl Reader {
    fn take(&mut self, token: Token) {
        match token {
            Token::StartTag(tag) if self.hidden.is_none() => self.start(&tag),
            Token::EndTag(tag) => match &self.hidden {
                Some(hidden) if *hidden == tag.name => self.hidden = None,
                Some(_) => {}
                None => self.end(&tag.name),
            },
            Token::String(text) if self.hidden.is_none() => self.text(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        match &**tag.name {
            b"meta" => self.meta(tag),
            b"link" if attribute(tag, "rel").is_some_and(|rel| rel.eq_ignore_ascii_case("image_src")) => {
                self.second_picture = self.second_picture.take().or_else(|| attribute(tag, "href"));
            }
            b"script" | b"style" | b"noscript" | b"template" | b"svg" | b"textarea" | b"select" | b"iframe" => {
                self.hidden = (!tag.self_closing).then(|| tag.name.clone());
            }
            b"title" => self.place = self.title_text.is_empty().then_some(Place::Title),
            b"h1" => self.place = self.heading_text.is_empty().then_some(Place::Heading),
            b"p" => self.paragraph(),
            // Where text goes on.
            b"a" | b"b" | b"i" | b"em" | b"strong" | b"span" | b"code" | b"abbr" | b"q" | b"cite" | b"small" => {}
            b"br" | b"wbr" | b"img" => self.text(" "),
            _ => self.place = None,
        }
    }

    fn end(&mut self, name: &[u8]) {
        if matches!(name, b"title" | b"h1" | b"p" | b"div" | b"body" | b"head") {
            self.place = None;
        }
    }

    fn paragraph(&mut self) {
        self.place = Some(Place::Paragraph);
        self.text(" ");
    }

    fn text(&mut self, text: &str) {
        let (into, most) = match self.place {
            Some(Place::Title) => (&mut self.title_text, MAX_VALUE_CHARS),
            Some(Place::Heading) => (&mut self.heading_text, MAX_VALUE_CHARS),
            Some(Place::Paragraph) => (&mut self.excerpt, MAX_EXCERPT_CHARS),
            None => return,
        };
        // Bytes are no fewer than characters.
        if into.len() < 4 * most {
            into.push_str(&cut(text, most));
        }
    }

    fn meta(&mut self, tag: &StartTag<()>) {
        let name = attribute(tag, "property").or_else(|| attribute(tag, "name")).unwrap_or_default();
        let name = name.trim().to_ascii_lowercase();
        let Some(value) = attribute(tag, "content").map(|value| tidy(&value, MAX_VALUE_CHARS)) else { return };
        if value.is_empty() {
            return;
        }
        let stands_in = match &*name {
            "og:image" | "og:image:url" | "og:image:secure_url" => &mut self.picture,
            "twitter:image" | "twitter:image:src" => &mut self.second_picture,
            "twitter:title" => &mut self.title,
            "twitter:description" | "description" => &mut self.description,
            _ => return self.field(name, value),
        };
        stands_in.get_or_insert(value);
    }

    fn field(&mut self, name: String, value: String) {
        // What there is to know of the picture is found out.
        let is_told = name.starts_with("og:") && !name.starts_with("og:image") && name.len() <= MAX_NAME_BYTES;
        if is_told && self.fields.len() < MAX_FIELDS {
            self.fields.entry(name).or_insert_with(|| value.into());
        }
    }

    fn into_page(self) -> Page {
        let mut fields = self.fields;
        let of_text = |text: String, most| Some(tidy(&text, most)).filter(|text| !text.is_empty());
        let title = self.title.or_else(|| of_text(self.title_text, MAX_VALUE_CHARS));
        let title = title.or_else(|| of_text(self.heading_text, MAX_VALUE_CHARS));
        let description = self.description.or_else(|| of_text(self.excerpt, MAX_EXCERPT_CHARS));
        for (name, value) in [("og:title", title), ("og:description", description)] {
            if let Some(value) = value {
                fields.entry(name).or_insert_with(|| value.into());
            }
        }
        Page { fields, picture: self.picture.or(self.second_picture) }
    }
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let (_, value) = tag.attributes.iter().find(|(of, _)| ***of == *name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// In one line, without what cannot be seen, and no longer than so many characters.
fn tidy(text: &str, most: usize) -> String {
    let mut tidy = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if tidy.len() >= 4 * most {
            break;
        }
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
    }
    cut(&tidy, most)
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(html: &str) -> (Value, Option<String>) {
        let page = read(html.as_bytes(), Some("text/html"));
        (Value::Object(page.fields), page.picture)
    }

    #[test]
    fn what_it_says_in_its_head() {
        let (fields, picture) = page(
            "<!DOCTYPE html><html><head><title>Second</title>
             <META Property='og:title' CONTENT='Tea &amp; \n biscuits'><meta property=og:title content=again>
             <meta name=\"og:site_name\" content=Kitchen><meta property=og:image content=/tea.png>
             <meta property=og:image:width content=9999><meta property=og:video content=https://video.example/>
             <meta name=description content='All of it'></head><body><p>No.</p></body>",
        );
        let expected = json!({
            "og:title": "Tea & biscuits",
            "og:site_name": "Kitchen",
            "og:video": "https://video.example/",
            "og:description": "All of it",
        });
        assert_eq!((fields, picture.as_deref()), (expected, Some("/tea.png")));
    }

    #[test]
    fn what_stands_in_for_that() {
        let (fields, picture) = page(
            "<title> A\ntitle </title><link rel=image_src href=a.png><script>'<p>code</p><title>x</title>'</script>
             <h1>Heading</h1><style>p{}</style><nav>Menu</nav><p>One <b>two</b><br>three<p>Four</p><div>Five</div>",
        );
        assert_eq!(fields, json!({"og:title": "A title", "og:description": "One two three Four"}));
        assert_eq!(picture.as_deref(), Some("a.png"));
        assert_eq!(page("<h1>Only <i>this</i></h1>").0, json!({"og:title": "Only this"}));
        assert_eq!(page("no markup at all"), (json!({}), None));
    }

    #[test]
    fn how_it_is_encoded() {
        let title = |body: &[u8], content_type| read(body, content_type).fields.get("og:title").cloned();
        let latin = b"<title>caf\xe9</title>";
        assert_eq!(title(latin, Some("text/html; charset=ISO-8859-1")), Some("café".into()));
        let said = b"<meta charset='windows-1251'><title>\xea\xee\xf2</title>";
        assert_eq!(title(said, Some("text/html")), Some("кот".into()));
        assert_eq!(
            title("\u{feff}<title>кот</title>".as_bytes(), Some("text/html; charset=latin1")),
            Some("кот".into())
        );
        assert_eq!(title(latin, None), Some("caf\u{fffd}".into()));
        assert_eq!(title(b"<meta charset=utf-16><title>x</title>", None), Some("x".into()));
    }

    #[test]
    fn nothing_hostile_gets_far() {
        let long = "x".repeat(100_000);
        let many: String = (0..10_000).map(|n| format!("<meta property=og:a{n} content={n}>")).collect();
        let (fields, picture) = page(&format!("<title>{long}</title><meta property=og:image content='{long}'>{many}"));
        assert_eq!(fields["og:title"].as_str().unwrap().len(), MAX_VALUE_CHARS);
        assert_eq!(picture.unwrap().len(), MAX_VALUE_CHARS);
        assert!(fields.as_object().unwrap().len() <= MAX_FIELDS + 2);
        for html in [
            "<div>".repeat(200_000),
            "<p>a".repeat(200_000),
            "<".repeat(1_000_000),
            "&".repeat(1_000_000),
            "<!--".repeat(250_000),
            format!("<meta {}>", "a=b ".repeat(250_000)),
            format!("<title>{}", "</titl".repeat(150_000)),
            "<script>".repeat(125_000),
            "<![CDATA[".repeat(100_000),
            "<meta property=og:title content=\"".into(),
            "\0\u{1}\u{fffe}<\0title>".repeat(50_000),
        ] {
            let (fields, _) = page(&html);
            assert!(fields.to_string().len() < 10 * MAX_VALUE_CHARS, "{}", &html[..20]);
        }
    }
}
