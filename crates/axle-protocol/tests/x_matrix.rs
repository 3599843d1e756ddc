//! The `Authorization` header: its syntax, and which requests pass.
#![allow(clippy::unwrap_used)]

mod common;

use axle_protocol::limits::{MAX_AUTHORIZATION_BYTES, MAX_AUTHORIZATION_HEADERS};
use axle_protocol::signing::KeyMap;
use axle_protocol::signing::x_matrix::{
    HeaderError, RequestAuth, RequestAuthError, SignedRequest, XMatrix, sign_request,
};
use axle_protocol::{KeyId, SigningKey};
use common::*;
use proptest::prelude::*;

fn signature() -> String {
    format!("{}/+", "A".repeat(84))
}

fn expected() -> XMatrix {
    XMatrix {
        origin: server("a.example:80"),
        destination: Some(server("b.example")),
        key: KeyId::parse("ed25519:1").unwrap(),
        signature: signature(),
    }
}

#[test]
fn forms_of_one_header() {
    let sig = signature();
    for header in [
        format!(r#"X-Matrix origin="a.example:80",destination="b.example",key="ed25519:1",sig="{sig}""#),
        format!(r#"X-Matrix sig="{sig}",key="ed25519:1",destination="b.example",origin="a.example:80""#),
        format!(r#"x-matrix ORIGIN="a.example:80",Destination="b.example",kEy="ed25519:1",SIG="{sig}""#),
        format!(r#"X-Matrix origin="a.example:80",destination="b.example",key="ed25519:1",signature="{sig}""#),
        format!(
            r#"X-Matrix origin="a.example:80",destination="b.example",key="ed25519:1",sig="{sig}",signature="{sig}""#
        ),
        format!(r#"X-Matrix   origin = "a.example:80" ,	destination= b.example, key="ed25519:1" , sig ="{sig}"  "#),
        format!(r#"X-Matrix ,, origin="a.example:80",,destination=b.example,key="ed25519:1",sig="{sig}","#),
        format!(r#"X-Matrix origin=a.example:80,destination=b.example,key=ed25519:1,sig={sig}"#),
        format!(r#"X-Matrix origin="\a.example\:80",destination="b.\example",key="ed25519:1",sig="{sig}""#),
        format!(
            r#"X-Matrix origin="a.example:80",destination="b.example",key="ed25519:1",sig="{sig}",new="x, y=\"z\"",new=1"#
        ),
    ] {
        assert_eq!(XMatrix::parse(&header).as_ref(), Ok(&expected()), "{header}");
    }
    let padded = format!(r#"X-Matrix origin=a,key="ed25519:1",sig="{}==""#, "A".repeat(86));
    assert_eq!(XMatrix::parse(&padded).unwrap().destination, None);
}

#[test]
fn malformed_headers() {
    let sig = signature();
    let good = format!(r#"origin="a.example",key="ed25519:1",sig="{sig}""#);
    XMatrix::parse(&format!("X-Matrix {good}")).unwrap();
    for header in [
        String::new(),
        "X-Matrix".into(),
        format!("Bearer {good}"),
        format!("X-Matrix\t{good}"),
        format!("X-Matrix2 {good}"),
    ] {
        assert_eq!(XMatrix::parse(&header), Err(HeaderError::Scheme), "{header}");
    }
    for (parameters, error) in [
        (",".into(), HeaderError::Missing("sig")),
        (good.replace("origin", "other"), HeaderError::Missing("origin")),
        (good.replace("key", "kay"), HeaderError::Missing("key")),
        (good.replace("sig", "sign"), HeaderError::Missing("sig")),
        (format!("{good},origin=b"), HeaderError::Twice("origin")),
        (format!("{good},key=\"ed25519:1\""), HeaderError::Twice("key")),
        (format!("{good},signature=\"{}\"", "B".repeat(86)), HeaderError::Twice("sig")),
        (format!("{good},destination=\"\",destination=b"), HeaderError::Twice("destination")),
    ] {
        assert_eq!(XMatrix::parse(&format!("X-Matrix {parameters}")), Err(error), "{parameters}");
    }
    for rest in [
        "origin",
        "origin=",
        "=a",
        "origin=\"a",
        "origin=\"a\\",
        "origin=a b=c",
        "origin=\"a\"key=\"b\"",
        "origin=a;key=b",
        "origin=é",
        "origin=\"a\u{7f}\"",
        "origin=\"a\nb\"",
        "origin=\"\0\"",
        "(origin)=a",
    ] {
        let header = format!("X-Matrix {rest}");
        assert!(matches!(XMatrix::parse(&header), Err(HeaderError::Syntax(_))), "{header}");
    }
    for (was, is) in
        [("a.example", "1.2.3.4"), ("a.example", ""), ("a.example", "é"), ("ed25519:1", "rsa:1"), ("ed25519:1", "")]
    {
        let header = format!("X-Matrix {}", good.replace(was, is));
        assert!(matches!(XMatrix::parse(&header), Err(HeaderError::Id(_))), "{header}");
    }
    for sig in ["", "AAAA", "*", &"A".repeat(100)] {
        let header = format!("X-Matrix origin=a,key=ed25519:1,sig=\"{sig}\"");
        assert!(XMatrix::parse(&header).is_err(), "{header}");
    }
    let long = |length: usize| format!("X-Matrix {good},x={}", "x".repeat(length - good.len() - "X-Matrix ,x=".len()));
    XMatrix::parse(&long(MAX_AUTHORIZATION_BYTES)).unwrap();
    assert_eq!(XMatrix::parse(&long(MAX_AUTHORIZATION_BYTES + 1)), Err(HeaderError::TooLong));
}

struct Peers {
    keys: KeyMap,
    first: SigningKey,
    second: SigningKey,
}

fn peers() -> Peers {
    let key = |id: &str, seed| SigningKey::from_seed(KeyId::parse(id).unwrap(), &[seed; 32]);
    let (first, second) = (key("ed25519:1", 1), key("ed25519:2", 2));
    let mut keys = KeyMap::default();
    for key in [&first, &second] {
        keys.insert(server("a.example"), key.id().clone(), key.verify_key());
    }
    Peers { keys, first, second }
}

fn header(key: &SigningKey, content: Option<&str>) -> String {
    let (origin, destination) = (server("a.example"), server("b.example"));
    let request = SignedRequest { method: "PUT", uri: "/a?b=c", origin: &origin, destination: &destination, content };
    sign_request(&request, key).to_header()
}

fn verify(peers: &Peers, headers: &[&str], content: Option<&str>) -> Result<(), RequestAuthError> {
    let auth = RequestAuth::parse(headers.iter().copied())?;
    auth.verify("PUT", "/a?b=c", content, &server("b.example"), &peers.keys, 0)
}

#[test]
fn every_header_must_be_right() {
    let peers = peers();
    let body = Some("{\"a\":1}");
    let (first, second) = (header(&peers.first, body), header(&peers.second, body));
    verify(&peers, &[&first], body).unwrap();
    verify(&peers, &[&first, &second], body).unwrap();
    assert_eq!(verify(&peers, &[], body), Err(RequestAuthError::Missing));
    let forged = first.replace("ed25519:1", "ed25519:2");
    assert_eq!(verify(&peers, &[&first, &forged], body), Err(RequestAuthError::BadSignature(server("a.example"))));
    let unknown = first.replace("ed25519:1", "ed25519:3");
    let error = RequestAuthError::UnknownKey(server("a.example"), KeyId::parse("ed25519:3").unwrap());
    assert_eq!(verify(&peers, &[&first, &unknown], body), Err(error));
    let other = first.replace("a.example", "c.example");
    assert_eq!(verify(&peers, &[&first, &other], body), Err(RequestAuthError::SeveralOrigins));
    assert!(matches!(verify(&peers, &[&first, "Bearer x"], body), Err(RequestAuthError::Header(HeaderError::Scheme))));
    let many = vec![&*first; MAX_AUTHORIZATION_HEADERS + 1];
    verify(&peers, &many[1..], body).unwrap();
    assert_eq!(verify(&peers, &many, body), Err(RequestAuthError::TooMany));
}

#[test]
fn the_destination_is_this_server() {
    let peers = peers();
    let good = header(&peers.first, None);
    let other = good.replace("b.example", "c.example");
    assert_eq!(verify(&peers, &[&other], None), Err(RequestAuthError::WrongDestination(server("c.example"))));
    // Left out of the header, it is still signed.
    let silent = good.replace("destination=\"b.example\",", "");
    verify(&peers, &[&silent], None).unwrap();
    let auth = RequestAuth::parse([&*silent]).unwrap();
    auth.verify("PUT", "/a?b=c", None, &server("c.example"), &peers.keys, 0).unwrap_err();
    assert_eq!(auth.key_ids().collect::<Vec<_>>(), [peers.first.id()]);
}

#[test]
fn only_a_request_without_a_body_may_leave_the_content_out() {
    let peers = peers();
    let (none, empty, some) =
        (header(&peers.first, None), header(&peers.first, Some("{}")), header(&peers.first, Some("{\"a\":1}")));
    for (header, content, passes) in [
        (&none, None, true),
        (&empty, None, true),
        (&some, None, false),
        (&none, Some("{}"), false),
        (&empty, Some("{}"), true),
        (&empty, Some("{\"a\":1}"), false),
        (&none, Some("{\"a\":1}"), false),
    ] {
        assert_eq!(verify(&peers, &[header], content).is_ok(), passes, "{header} {content:?}");
    }
}

#[test]
fn a_path_with_quotes_cannot_pose_as_other_fields() {
    let (origin, destination) = (server("a.example"), server("b.example"));
    let request = SignedRequest {
        method: "GET",
        uri: "/\",\"x\":\"\\",
        origin: &origin,
        destination: &destination,
        content: None,
    };
    let bytes = request.signed_bytes();
    let value = axle_protocol::canonical_json::parse(bytes.as_bytes()).unwrap();
    assert_eq!(value["uri"], request.uri);
    assert_eq!(axle_protocol::canonical_json::to_string(&value), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>(), list in "[a-z=\",\\\\ é:]{0,60}") {
        let _ = XMatrix::parse(&text);
        if let Ok(header) = XMatrix::parse(&format!("X-Matrix {list}")) {
            prop_assert_eq!(XMatrix::parse(&header.to_header()), Ok(header));
        }
    }

    #[test]
    fn values_return_from_quotes(value in "[ -~é]{0,40}") {
        let quoted: String = value.chars().flat_map(|char| ['\\', char]).collect();
        let header = format!("X-Matrix unknown=\"{quoted}\",origin=\"a\",key=\"ed25519:1\",sig=\"{}\"", signature());
        prop_assert_eq!(XMatrix::parse(&header).unwrap().signature, signature());
    }
}
