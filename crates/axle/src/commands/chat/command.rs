//! What a person types: commands, and anything else to be said.

use axle_sdk::{JoinRule, Membership};

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// A message to the current room.
    Say(String),
    /// Make a room.
    Create { name: String, join_rule: JoinRule, encrypted: bool },
    /// Send a file to the current room.
    Send { path: String },
    /// Keep a file that was sent to the current room.
    Save { which: WhichFile, path: Option<String> },
    /// Invite a user to the current room.
    Invite { user: String },
    /// Join a room.
    Join { room: String, via: Vec<String> },
    /// Ask to be invited to a room.
    Knock { room: String, via: Vec<String> },
    /// Leave the current room.
    Leave,
    /// Put a user out of the current room.
    Kick { user: String, reason: Option<String> },
    /// The same, for good.
    Ban { user: String, reason: Option<String> },
    /// End a ban.
    Unban { user: String },
    /// Set the topic of the current room.
    Topic(String),
    /// Redact an event of the current room; the own last message if none is named.
    Redact { event: Option<String>, reason: Option<String> },
    /// Accept the invite to the current room.
    Accept,
    /// Decline it.
    Reject,
    /// Make another room the current one, by id, name or number.
    Room(String),
    /// Say which rooms there are.
    Rooms,
    /// Say who is in the current room.
    Members,
    /// Say what the hub of the current room did that it should not have.
    Faults,
    /// Say which devices can read the current room, with the codes to compare.
    Devices,
    /// Note that a device's code was compared and is right.
    Verify { user: String, device: String },
    /// Send to the current room again, after a warning that it is not the same for everybody.
    Proceed,
    /// Say the code of the current room's group.
    Epoch,
    /// Fetch older messages.
    History,
    /// Send the failed messages of the current room again.
    Retry,
    /// Forget them.
    Discard,
    /// Say what can be typed.
    Help,
    /// The end.
    Quit,
    /// Only in scripts: everything that happened up to now has been printed.
    Sync,
    /// Only in scripts: wait for something.
    Wait { seconds: Option<u64>, what: Awaited },
    /// Only in scripts: the command must fail, with this errcode if one is named.
    Fails { errcode: Option<String>, command: Box<Command> },
}

/// A file in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WhichFile {
    /// Counted from the newest, which is 1.
    Number(usize),
    /// That of this message.
    Event(String),
}

/// What a script can wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// A message with this text in the current room.
    Message(String),
    /// A user's membership of the current room.
    Membership { user: String, membership: Membership },
    /// An invite, to any room or to the one of this name or id.
    Invite(Option<String>),
    /// An event of this type in the current room.
    Event(String),
    /// So many devices in the group of the current room, this one among them.
    Devices(usize),
}

/// Every command, how it is written and what it does.
pub(crate) const HELP: [(&str, &str); 30] = [
    ("/create NAME [public|private|knock]", "make a room; private and encrypted if nothing is said"),
    ("/create ... --plain", "make one that is not encrypted"),
    ("/invite USER", "invite a user to this room"),
    ("/join ROOM [SERVER...]", "join a room, through one of these servers"),
    ("/knock ROOM [SERVER...]", "ask to be invited"),
    ("/accept, /reject", "answer the invite to this room"),
    ("/leave", "leave this room, or take back a knock"),
    ("/kick USER [REASON]", "put a user out"),
    ("/ban USER [REASON]", "put a user out for good"),
    ("/unban USER", "end a ban"),
    ("/topic TEXT", "say what this room is about"),
    ("/redact [EVENT] [REASON]", "take back a message; your last one if none is named"),
    ("/room NAME, ID or NUMBER", "go to a room"),
    ("/rooms", "list the rooms"),
    ("/members", "list the members of this room"),
    ("/faults", "what this room's hub did wrong, if anything"),
    ("/devices", "which devices can read this room, and codes to compare"),
    ("/verify USER DEVICE", "the code of this device was compared and is right"),
    ("/epoch", "a code that is the same for all who can read this room"),
    ("/proceed", "send again where people are shown different rooms"),
    ("/send PATH", "send a file"),
    ("/save [NUMBER or EVENT] [PATH]", "keep a file that was sent; the newest if none is named"),
    ("/history", "fetch older messages"),
    ("/retry, /discard", "send failed messages again, or forget them"),
    ("/say TEXT", "say what begins with a slash"),
    ("/help", "this page"),
    ("/quit", "the end"),
    ("/sync", "scripts: print all that happened up to now"),
    (
        "/wait [SECONDS] message TEXT | membership USER WHAT | invite [ROOM] | event TYPE | devices NUMBER",
        "scripts: wait for it",
    ),
    ("/fails [ERRCODE] COMMAND", "scripts: the command must fail"),
];

impl Command {
    /// Reads a line. The error says what to write.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let Some(rest) = line.strip_prefix('/') else {
            return if line.is_empty() { Err("nothing to say".to_owned()) } else { Ok(Self::Say(line.to_owned())) };
        };
        let (name, rest) = split_word(rest);
        let usage = |text: &str| Err(format!("write {text}"));
        Ok(match name {
            "say" if !rest.is_empty() => Self::Say(rest.to_owned()),
            "say" => return usage("/say TEXT"),
            "send" if !rest.is_empty() => Self::Send { path: rest.to_owned() },
            "send" => return usage("/send PATH"),
            "save" => parse_save(rest),
            "create" => return parse_create(rest),
            "invite" if !rest.is_empty() => Self::Invite { user: user_id(split_word(rest).0)? },
            "invite" => return usage("/invite USER"),
            "join" | "knock" if rest.is_empty() => return usage(&format!("/{name} ROOM [SERVER...]")),
            "join" => parse_room(rest, |room, via| Self::Join { room, via })?,
            "knock" => parse_room(rest, |room, via| Self::Knock { room, via })?,
            "leave" => Self::Leave,
            "kick" | "ban" | "unban" if rest.is_empty() => return usage(&format!("/{name} USER [REASON]")),
            "kick" => parse_user(rest, |user, reason| Self::Kick { user, reason })?,
            "ban" => parse_user(rest, |user, reason| Self::Ban { user, reason })?,
            "unban" => parse_user(rest, |user, _| Self::Unban { user })?,
            "topic" => Self::Topic(rest.to_owned()),
            "redact" => parse_redact(rest),
            "accept" => Self::Accept,
            "reject" => Self::Reject,
            "room" if !rest.is_empty() => Self::Room(rest.to_owned()),
            "room" => return usage("/room NAME, ID or NUMBER"),
            "rooms" => Self::Rooms,
            "members" => Self::Members,
            "faults" => Self::Faults,
            "devices" => Self::Devices,
            "verify" => return parse_verify(rest),
            "epoch" => Self::Epoch,
            "proceed" => Self::Proceed,
            "history" => Self::History,
            "retry" => Self::Retry,
            "discard" => Self::Discard,
            "help" => Self::Help,
            "quit" => Self::Quit,
            "sync" => Self::Sync,
            "wait" => return parse_wait(rest),
            "fails" => return parse_fails(rest),
            _ => return Err(format!("there is no /{name}; /help lists what there is")),
        })
    }
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn user_id(text: &str) -> Result<String, String> {
    if text.starts_with('@') && text.contains(':') {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no user id; write it like @alice:example.org"))
}

fn parse_create(rest: &str) -> Result<Command, String> {
    let (rest, encrypted) = match rest.strip_suffix("--plain") {
        Some(rest) if rest.is_empty() || rest.ends_with(char::is_whitespace) => (rest.trim(), false),
        _ => (rest, true),
    };
    let (name, last) = rest.rsplit_once(char::is_whitespace).unwrap_or((rest, ""));
    let rule = match last {
        "public" => Some(JoinRule::Public),
        "private" => Some(JoinRule::Invite),
        "knock" => Some(JoinRule::Knock),
        _ => None,
    };
    // A last word that is no rule is part of the name.
    let (name, join_rule) = rule.map_or((rest, JoinRule::Invite), |rule| (name.trim(), rule));
    if name.is_empty() {
        return Err("write /create NAME [public|private|knock] [--plain]".to_owned());
    }
    Ok(Command::Create { name: name.to_owned(), join_rule, encrypted })
}

fn parse_verify(rest: &str) -> Result<Command, String> {
    match split_word(rest) {
        (user, device) if !device.is_empty() => Ok(Command::Verify { user: user_id(user)?, device: device.to_owned() }),
        _ => Err("write /verify USER DEVICE; /devices says which there are".to_owned()),
    }
}

fn parse_room(rest: &str, make: impl FnOnce(String, Vec<String>) -> Command) -> Result<Command, String> {
    let (room, via) = split_word(rest);
    if !room.starts_with(['!', '#']) {
        return Err(format!("{room:?} is no room id; write it like !room:example.org"));
    }
    let mut via: Vec<String> = via.split_whitespace().filter(|word| *word != "via").map(str::to_owned).collect();
    if via.is_empty() {
        // The server that made the id is the likeliest to know the room.
        via.extend(room.split_once(':').map(|(_, server)| server.to_owned()));
    }
    Ok(make(room.to_owned(), via))
}

fn parse_user(rest: &str, make: impl FnOnce(String, Option<String>) -> Command) -> Result<Command, String> {
    let (user, reason) = split_word(rest);
    Ok(make(user_id(user)?, non_empty(reason)))
}

fn parse_redact(rest: &str) -> Command {
    let (first, reason) = split_word(rest);
    if first.starts_with('$') {
        return Command::Redact { event: Some(first.to_owned()), reason: non_empty(reason) };
    }
    Command::Redact { event: None, reason: non_empty(rest) }
}

fn parse_save(rest: &str) -> Command {
    let (first, path) = split_word(rest);
    if first.starts_with('$') {
        return Command::Save { which: WhichFile::Event(first.to_owned()), path: non_empty(path) };
    }
    match first.parse() {
        Ok(number) => Command::Save { which: WhichFile::Number(number), path: non_empty(path) },
        Err(_) => Command::Save { which: WhichFile::Number(1), path: non_empty(rest) },
    }
}

fn parse_wait(rest: &str) -> Result<Command, String> {
    let (first, after) = split_word(rest);
    let (seconds, rest) = first.parse().map_or((None, rest), |seconds| (Some(seconds), after));
    let (kind, rest) = split_word(rest);
    let usage = "write /wait [SECONDS] message TEXT, membership USER WHAT, invite [ROOM], event TYPE or devices NUMBER";
    let what = match kind {
        "message" if !rest.is_empty() => Awaited::Message(rest.to_owned()),
        "event" if !rest.is_empty() => Awaited::Event(rest.to_owned()),
        "devices" => Awaited::Devices(rest.parse().map_err(|_| usage.to_owned())?),
        "invite" => Awaited::Invite(non_empty(rest)),
        "membership" => {
            let (user, membership) = split_word(rest);
            let membership = Membership::parse(membership).ok_or("WHAT is join, invite, knock, leave or ban")?;
            Awaited::Membership { user: user_id(user)?, membership }
        }
        _ => return Err(usage.to_owned()),
    };
    Ok(Command::Wait { seconds, what })
}

fn parse_fails(rest: &str) -> Result<Command, String> {
    let (first, after) = split_word(rest);
    let (errcode, rest) = if first.starts_with("M_") || first.starts_with("IM.") {
        (Some(first.to_owned()), after)
    } else {
        (None, rest)
    };
    let command = Box::new(Command::parse(rest)?);
    Ok(Command::Fails { errcode, command })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        Command::parse(line).unwrap()
    }

    #[test]
    fn what_is_no_command_is_said() {
        assert_eq!(parsed("  hello /there "), Command::Say("hello /there".into()));
        assert_eq!(parsed("/say /etc/hosts"), Command::Say("/etc/hosts".into()));
        assert!(Command::parse("  ").is_err());
    }

    #[test]
    fn create() {
        let create = |name: &str, join_rule| Command::Create { name: name.into(), join_rule, encrypted: true };
        assert_eq!(parsed("/create Tea time public"), create("Tea time", JoinRule::Public));
        assert_eq!(parsed("/create Tea time"), create("Tea time", JoinRule::Invite));
        assert_eq!(parsed("/create public"), create("public", JoinRule::Invite));
        assert_eq!(parsed("/create a knock"), create("a", JoinRule::Knock));
        let plain = |name: &str, join_rule| Command::Create { name: name.into(), join_rule, encrypted: false };
        assert_eq!(parsed("/create Tea time public --plain"), plain("Tea time", JoinRule::Public));
        assert_eq!(parsed("/create Tea --plain"), plain("Tea", JoinRule::Invite));
        assert_eq!(parsed("/create my--plain"), create("my--plain", JoinRule::Invite));
        assert!(Command::parse("/create --plain").is_err());
        assert!(Command::parse("/create").is_err());
    }

    #[test]
    fn join_asks_the_server_in_the_id_unless_told_otherwise() {
        let join = |via: &[&str]| Command::Join {
            room: "!r:a.test".into(),
            via: via.iter().map(|s| (*s).to_owned()).collect(),
        };
        assert_eq!(parsed("/join !r:a.test"), join(&["a.test"]));
        assert_eq!(parsed("/join !r:a.test b.test c.test:8448"), join(&["b.test", "c.test:8448"]));
        assert_eq!(parsed("/join !r:a.test via b.test"), join(&["b.test"]));
        assert!(Command::parse("/join tea").unwrap_err().contains("no room id"));
    }

    #[test]
    fn users_and_reasons() {
        let user = || "@b:x.test".to_owned();
        assert_eq!(parsed("/kick @b:x.test"), Command::Kick { user: user(), reason: None });
        assert_eq!(parsed("/ban @b:x.test was rude"), Command::Ban { user: user(), reason: Some("was rude".into()) });
        assert!(Command::parse("/kick bob").unwrap_err().contains("@alice"));
        assert!(Command::parse("/unban").is_err());
    }

    #[test]
    fn redact_names_an_event_or_means_the_last() {
        let redact = |event: Option<&str>, reason: Option<&str>| Command::Redact {
            event: event.map(str::to_owned),
            reason: reason.map(str::to_owned),
        };
        assert_eq!(parsed("/redact"), redact(None, None));
        assert_eq!(parsed("/redact $e a typo"), redact(Some("$e"), Some("a typo")));
        assert_eq!(parsed("/redact a typo"), redact(None, Some("a typo")));
    }

    #[test]
    fn files() {
        assert_eq!(parsed("/send my report.pdf"), Command::Send { path: "my report.pdf".into() });
        assert!(Command::parse("/send").unwrap_err().contains("PATH"));
        let save = |which, path: Option<&str>| Command::Save { which, path: path.map(str::to_owned) };
        assert_eq!(parsed("/save"), save(WhichFile::Number(1), None));
        assert_eq!(parsed("/save 3"), save(WhichFile::Number(3), None));
        assert_eq!(parsed("/save 3 my files"), save(WhichFile::Number(3), Some("my files")));
        assert_eq!(parsed("/save $e"), save(WhichFile::Event("$e".into()), None));
        assert_eq!(parsed("/save $e a.txt"), save(WhichFile::Event("$e".into()), Some("a.txt")));
        assert_eq!(parsed("/save my files"), save(WhichFile::Number(1), Some("my files")));
    }

    #[test]
    fn devices() {
        let verify = Command::Verify { user: "@b:x.test".into(), device: "ABC".into() };
        assert_eq!(parsed("/verify @b:x.test ABC"), verify);
        assert!(Command::parse("/verify @b:x.test").unwrap_err().contains("USER DEVICE"));
        assert!(Command::parse("/verify bob ABC").unwrap_err().contains("@alice"));
        assert_eq!(parsed("/wait devices 3"), Command::Wait { seconds: None, what: Awaited::Devices(3) });
        assert!(Command::parse("/wait devices many").is_err());
    }

    #[test]
    fn waiting() {
        let wait = |seconds, what| Command::Wait { seconds, what };
        assert_eq!(parsed("/wait message two words"), wait(None, Awaited::Message("two words".into())));
        assert_eq!(parsed("/wait 5 invite"), wait(Some(5), Awaited::Invite(None)));
        let membership = Awaited::Membership { user: "@b:x.test".into(), membership: Membership::Ban };
        assert_eq!(parsed("/wait 5 membership @b:x.test ban"), wait(Some(5), membership));
        assert!(Command::parse("/wait membership @b:x.test gone").is_err());
        assert!(Command::parse("/wait for it").is_err());
    }

    #[test]
    fn expected_failures() {
        let kick = Box::new(Command::Leave);
        assert_eq!(
            parsed("/fails M_FORBIDDEN /leave"),
            Command::Fails { errcode: Some("M_FORBIDDEN".into()), command: kick.clone() }
        );
        assert_eq!(parsed("/fails /leave"), Command::Fails { errcode: None, command: kick });
    }

    #[test]
    fn unknown_commands_are_named() {
        assert_eq!(Command::parse("/dance").unwrap_err(), "there is no /dance; /help lists what there is");
    }
}
