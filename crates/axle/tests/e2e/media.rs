//! Uploads, and a server that is killed in the middle of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use crate::support::{Answer, Server, Setup, User, http, until};

/// Larger than what is read or written at once, and than the bodies of other requests may be.
const BYTES: usize = 3 << 20;

fn upload(server: &Server, user: &User, content: Vec<u8>) -> Answer {
    let request = http().post(format!("{}/_matrix/media/v3/upload", server.url())).bearer_auth(user.token());
    Answer::of(request.body(content).send().unwrap())
}

fn download(server: &Server, user: &User, uri: &str) -> (u16, Vec<u8>) {
    let path = uri.strip_prefix("mxc://").unwrap();
    let request = http().get(format!("{}/_matrix/client/v1/media/download/{path}", server.url()));
    let answer = request.bearer_auth(user.token()).send().unwrap();
    (answer.status().as_u16(), answer.bytes().unwrap().to_vec())
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn an_upload_is_kept_when_it_is_acknowledged_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), "hub.test"));
    server.start();
    let alice = server.register("alice");
    let content: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
    let answer = upload(&server, &alice, content.clone()).ok();
    let uri = answer["content_uri"].as_str().unwrap();
    server.kill();
    server.start();
    let (status, got) = download(&server, &alice, uri);
    assert!(status == 200 && got == content, "{status}, {} bytes", got.len());

    let media = server.data().join("media");
    let incoming = media.join("incoming");
    let kept = files(&media);
    let mut half = TcpStream::connect(server.setup.client).unwrap();
    let head = format!(
        "POST /_matrix/media/v3/upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {BYTES}\r\n\r\n",
        alice.token()
    );
    half.write_all(head.as_bytes()).unwrap();
    half.write_all(&content[..BYTES / 2]).unwrap();
    until("the upload is being written", || (files(&incoming) == 1).then_some(()));
    server.kill();
    let mut answer = Vec::new();
    // The connection may be reset.
    let _ = half.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(files(&incoming), 1, "the process had no time to tidy up");
    server.start();
    assert_eq!((files(&incoming), files(&media)), (0, kept));
    assert_eq!(download(&server, &alice, uri).1, content);
    assert_eq!(server.admin_ok(&["verify"], "")["problem_count"], 0);
}
