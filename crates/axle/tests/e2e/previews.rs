//! Previews of URLs: a real server of the web on this machine, and a server that may, or may not, ask it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};

use crate::support::{Answer, Server, Setup, User, escape, http};

/// A server of the web. Its thread ends with the process.
struct Website {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Website {
    /// On this address. What it answers depends on the path; `elsewhere` is where `/away` leads.
    fn start(address: &str, elsewhere: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let website = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = website.asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), elsewhere, &asked);
            }
        });
        website
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The paths that were asked for since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, elsewhere: Option<SocketAddr>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let headers: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    assert!(headers.iter().any(|header| header.eq_ignore_ascii_case("accept-encoding: identity")), "{headers:?}");
    let path = first.split(' ').nth(1).unwrap();
    asked.lock().unwrap().push(path.to_owned());
    let html =
        |picture: &str| format!("<title>A page</title><meta property=og:image content='{picture}'>").into_bytes();
    let (status, headers, body) = match (path, elsewhere) {
        ("/page", _) => ("200 OK", "Content-Type: text/html".to_owned(), html("/picture")),
        ("/picture", _) => ("200 OK", "Content-Type: image/png".to_owned(), picture()),
        ("/here", _) => ("301 Moved", "Location: /page".to_owned(), Vec::new()),
        ("/away", Some(to)) => ("302 Found", format!("Location: http://{to}/page"), Vec::new()),
        ("/picture-away", Some(to)) => {
            ("200 OK", "Content-Type: text/html".to_owned(), html(&format!("http://{to}/picture")))
        }
        ("/endless", _) => ("200 OK", "Content-Type: text/html".to_owned(), vec![b' '; 8 << 20]),
        _ => ("404 Not Found", "Content-Type: text/html".to_owned(), Vec::new()),
    };
    let mut head = format!("HTTP/1.1 {status}\r\n{headers}\r\nConnection: close\r\n");
    write!(head, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
    // Who has read enough goes away.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(300, 200).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn preview(server: &Server, user: &User, url: &str) -> Answer {
    let path = format!("{}/_matrix/client/v1/media/preview_url?url={}", server.url(), escape(url));
    Answer::of(http().get(path).bearer_auth(user.token()).send().unwrap())
}

/// A server whose configuration ends so.
fn start(folder: &std::path::Path, name: &str, config: &str) -> (Server, User) {
    let mut setup = Setup::alone(folder, name);
    write!(setup.config, "[url_previews]\n{config}\n").unwrap();
    let mut server = Server::new(setup);
    server.start();
    let user = server.register("alice");
    (server, user)
}

#[test]
fn pages_are_asked_for_only_where_the_operator_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let other = Website::start("127.0.0.2:0", None);
    let website = Website::start("127.0.0.1:0", Some(other.address));

    let (server, user) = start(folder.path(), "closed.test", "enabled = true");
    for url in [website.url("/page"), format!("http://localhost:{}/page", website.address.port())] {
        assert_eq!(preview(&server, &user, &url).error(), (502, "M_UNKNOWN"));
    }
    assert!(website.asked().is_empty());
    drop(server);

    let config = "enabled = true\nallowed_networks = [\"127.0.0.1\"]\ndenied = [\"127.0.0.1/denied\"]";
    let (server, user) = start(folder.path(), "open.test", config);
    let page = preview(&server, &user, &website.url("/here")).ok();
    let expected = json!({
        "og:title": "A page",
        "og:image": page["og:image"],
        "og:image:type": "image/png",
        "og:image:width": 300,
        "og:image:height": 200,
        "matrix:image:size": picture().len(),
    });
    assert_eq!(page, expected);
    assert_eq!(website.asked(), ["/here", "/page", "/picture"]);
    let media = page["og:image"].as_str().unwrap().strip_prefix("mxc://").unwrap();
    let got = http().get(format!("{}/_matrix/client/v1/media/download/{media}", server.url()));
    assert!(got.bearer_auth(user.token()).send().unwrap().bytes().unwrap() == picture());

    // What is larger than what is read, is read in part.
    assert_eq!(preview(&server, &user, &website.url("/endless")).ok(), json!({}));
    assert_eq!(preview(&server, &user, &website.url("/denied/x")).error(), (403, "M_FORBIDDEN"));
    website.asked();

    // Neither a redirect nor a picture leads to the other address, which is not allowed.
    assert_eq!(preview(&server, &user, &website.url("/away")).error(), (502, "M_UNKNOWN"));
    let without: Value = preview(&server, &user, &website.url("/picture-away")).ok();
    assert_eq!(without, json!({"og:title": "A page"}));
    assert_eq!((website.asked(), other.asked()), (vec!["/away".into(), "/picture-away".into()], Vec::<String>::new()));
    assert_eq!(server.admin_ok(&["verify"], "")["problem_count"], 0);
}
