//! The page that says what stops whom names a test for each claim. They exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_claim_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/mls-security.md")).unwrap();
    let is_name = |text: &&str| {
        text.matches('_').count() >= 2 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(named.len() > 20, "{named:?}");
    let mut code = String::new();
    read(&root.join("crates"), &mut code);
    let missing: Vec<_> = named.into_iter().filter(|name| !code.contains(&format!("fn {name}()"))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// The code of all tests.
fn read(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            read(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
