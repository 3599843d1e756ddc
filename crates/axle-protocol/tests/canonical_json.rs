//! Canonical JSON: what is refused, and what must hold of what is not.
#![allow(clippy::unwrap_used)]

use axle_protocol::canonical_json::{self, as_integer, compare_keys, has_only_safe_integers};
use axle_protocol::limits::{MAX_JSON_DEPTH, MAX_SAFE_INTEGER};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

fn canonical(text: &str) -> String {
    canonical_json::to_string(&canonical_json::parse(text.as_bytes()).unwrap())
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>) {
    let result = canonical_json::parse(bytes.as_ref());
    assert!(result.is_err(), "{:?} gave {result:?}", String::from_utf8_lossy(bytes.as_ref()));
}

#[test]
fn refuses_what_is_not_json() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "nul",
        "NaN",
        "Infinity",
        "-",
        "01",
        "1.",
        ".5",
        "+1",
        "0x1",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "\"\t\"",
        "\"\u{0}\"",
        "/* */{}",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
    ] {
        refused(text);
    }
}

#[test]
fn refuses_what_is_not_utf_8() {
    for bytes in
        [&b"\"\xff\""[..], b"\"\xc0\x80\"", b"\"\xed\xa0\x80\"", b"{\"\xf4\x90\x80\x80\":1}", b"\xff\xfe{\0}\0"]
    {
        refused(bytes);
    }
}

#[test]
fn refuses_lone_surrogates() {
    for text in
        [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\udc00\ud800""#, r#"{"\ud83d":1}"#, r#""\ud83dx""#]
    {
        refused(text);
    }
    assert_eq!(canonical(r#""\ud83d\ude00""#), "\"😀\"");
}

#[test]
fn refuses_duplicate_keys_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"x":{"a":1,"b":2,"a":3}}]"#,
        r#"{"":1,"":2}"#,
        r#"{"signatures":{},"a":1,"signatures":{}}"#,
    ] {
        refused(text);
    }
}

#[test]
fn refuses_numbers_beyond_double_precision() {
    for text in ["1e400", "-1e400", "[1e309]", &"9".repeat(400)] {
        refused(text);
    }
    assert_eq!(canonical("1e308"), "1e+308");
    assert_eq!(canonical("1e-400"), "0");
    assert_eq!(canonical("5e-324"), "5e-324");
    assert_eq!(canonical("-0.0"), "0");
    assert_eq!(canonical("18446744073709551615"), "18446744073709552000");
    assert_eq!(canonical("-9223372036854775808"), "-9223372036854776000");
}

#[test]
fn nesting_is_bounded() {
    let arrays = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    // A leaf stands one level deeper than what holds it.
    assert_eq!(canonical(&arrays(MAX_JSON_DEPTH + 1)), arrays(MAX_JSON_DEPTH + 1));
    assert_eq!(canonical(&objects(MAX_JSON_DEPTH)), objects(MAX_JSON_DEPTH));
    refused(arrays(MAX_JSON_DEPTH + 2));
    refused(objects(MAX_JSON_DEPTH + 1));
    refused(arrays(1_000_000));
    refused("[".repeat(1_000_000));
    refused("{\"a\":".repeat(1_000_000));
}

#[test]
fn strings_escape_what_they_must_and_nothing_else() {
    assert_eq!(
        canonical(r#""\u0000\u0001\b\t\n\u000b\f\r\u001f \"\\\/\u007f\u0080\u2028é""#),
        "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\u{7f}\u{80}\u{2028}é\""
    );
}

#[test]
fn keys_are_in_utf_16_order() {
    // U+1F600 is D83D DE00 in UTF-16 and so before U+FB33, in UTF-8 after it.
    assert_eq!(canonical("{\"\u{fb33}\":1,\"😀\":2,\"€\":3,\"\":4}"), "{\"\":4,\"€\":3,\"😀\":2,\"\u{fb33}\":1}");
    assert!(compare_keys("😀", "\u{fb33}").is_lt());
    assert!(compare_keys("a\u{e000}", "a😀").is_gt());
    assert!(compare_keys("a", "ab").is_lt() && compare_keys("é", "z").is_gt());
}

#[test]
fn only_integers_that_matrix_accepts_are_safe() {
    for safe in [json!(0), json!(-1), json!(MAX_SAFE_INTEGER), json!(-MAX_SAFE_INTEGER), json!({"a": [1, "x", null]})] {
        assert!(has_only_safe_integers(&safe), "{safe}");
    }
    for unsafe_ in [
        json!(1.5),
        json!(1.0),
        json!(1e300),
        json!(MAX_SAFE_INTEGER + 1),
        json!(-MAX_SAFE_INTEGER - 1),
        json!(u64::MAX),
        json!({"a": [{"b": 0.1}]}),
    ] {
        assert!(!has_only_safe_integers(&unsafe_), "{unsafe_}");
    }
}

#[test]
fn integers_by_their_canonical_form() {
    for (value, expected) in [
        (json!(7), Some(7)),
        (json!(7.0), Some(7)),
        (json!(-0.0), Some(0)),
        (json!(1e3), Some(1000)),
        (json!(7.5), None),
        (json!(1e16), None),
        (json!(-1e300), None),
        (json!(u64::MAX), None),
        (json!(i64::MIN), None),
        (json!(MAX_SAFE_INTEGER), Some(MAX_SAFE_INTEGER)),
        (json!(MAX_SAFE_INTEGER + 1), None),
        (json!("7"), None),
        (json!(null), None),
    ] {
        assert_eq!(as_integer(&value), expected, "{value}");
    }
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        (-1000..1000i64).prop_map(Number::from),
        any::<f64>().prop_filter_map("finite", Number::from_f64),
        (any::<i32>(), -30..30i32).prop_filter_map("finite", |(n, e)| Number::from_f64(f64::from(n) * 10f64.powi(e))),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,6}", "\\PC{0,8}", any::<String>(), "[\u{0}-\u{20}\"\\\\\u{d7ff}\u{e000}\u{ffff}😀]{0,6}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..6).prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

/// Equal as JSON that knows no numbers but doubles.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn says_the_same_again(value in value()) {
        let once = canonical_json::to_string(&value);
        let parsed = canonical_json::parse(once.as_bytes()).unwrap();
        prop_assert!(same(&parsed, &value), "{} became {}", value, parsed);
        prop_assert_eq!(canonical_json::to_string(&parsed), once);
    }

    #[test]
    fn agrees_with_another_implementation(value in value()) {
        // That one takes integers beyond 2^53 - 1 for exact or for an error, where RFC 8785 has doubles only.
        let text = serde_json::to_string(&doubles(&value)).unwrap();
        let other = serde_json_canonicalizer::pipe(&text);
        prop_assert_eq!(canonical_json::to_string(&value), other.unwrap());
    }

    #[test]
    fn spaces_and_escapes_do_not_matter(value in value()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let escaped: String = pretty.chars().flat_map(|char| match char.is_ascii() {
            true => vec![char.to_string()],
            false => char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        }).collect();
        for text in [pretty, escaped] {
            let parsed = canonical_json::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(canonical_json::to_string(&parsed), canonical_json::to_string(&value));
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = canonical_json::parse(&bytes) {
            let text = canonical_json::to_string(&value);
            prop_assert!(same(&canonical_json::parse(text.as_bytes()).unwrap(), &value));
        }
    }
}

/// With every number beyond the safe range a double.
fn doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) if as_integer(value).is_none() => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(doubles).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), doubles(value))).collect()),
        other => other.clone(),
    }
}
