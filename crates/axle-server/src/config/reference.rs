//! The reference of all options, in Markdown.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Config, OPTIONS};

const HEAD: &str = "\
# Configuration

`axle serve` needs no configuration file. What it is told comes from, the strongest first:

1. command line flags (`axle serve --help`),
2. environment variables: `AXLE_` and the option's key in capitals, `__` for the dot; lists are separated by commas,
   tables written `name=value,name=value`,
3. a TOML file, named with `--config FILE` or `AXLE_CONFIG`.

An unknown key in the file is an error, as is a value that an option cannot have: the message names the file, the line
and what to write instead.

A server that others reach, behind nothing:

```toml
server_name = \"example.org\"
data = \"/var/lib/axle\"

[client]
listen = [\"0.0.0.0:443\"]
tls_certificate = \"/etc/axle/fullchain.pem\"
tls_key = \"/etc/axle/key.pem\"
public_url = \"https://example.org\"

[federation]
listen = [\"0.0.0.0:8448\"]
tls_certificate = \"/etc/axle/fullchain.pem\"
tls_key = \"/etc/axle/key.pem\"

[registration]
mode = \"token\"
```

## Options

";

/// The longest lines of text, in characters.
const WIDTH: usize = 120;

/// What `docs/configuration.md` holds.
pub fn reference() -> String {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut text = String::from(HEAD);
    let mut section = None;
    for option in OPTIONS {
        let (own, name) = option.split();
        if own != section {
            section = own;
            let _ = writeln!(text, "### `[{}]`\n", own.unwrap_or_default());
        }
        let default = match option.key.split('.').fold(&defaults, |value, part| &value[part]) {
            Value::Null => "not set".to_owned(),
            value => format!("`{}`", in_toml(value)),
        };
        let _ = writeln!(
            text,
            "**`{name}`** ({}; default {default}; variable `{}`)\n",
            option.kind.describe(),
            option.variable()
        );
        let _ = writeln!(text, "{}\n", wrapped(option.text));
        let _ = writeln!(text, "```toml\n{name} = {}\n```\n", option.example);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A paragraph in lines of [`WIDTH`] characters at most, as far as its words allow.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::with_capacity(paragraph.len());
    let mut width = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if width > 0 {
            let fits = width + 1 + length <= WIDTH;
            text.push(if fits { ' ' } else { '\n' });
            width = if fits { width + 1 } else { 0 };
        }
        text.push_str(word);
        width += length;
    }
    text
}

/// The few kinds of values that options have look the same in TOML and JSON, except tables; the only one is empty.
fn in_toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
