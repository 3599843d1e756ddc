//! A bridge that people use, as its registry has it, between this server and an IRC server: an application service whole.
//!
//! The first run installs both below the target folder, the IRC server only if the machine has none.

mod irc;
mod process;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use irc::{IrcServer, IrcUser};
use process::Process;

use crate::clients::install;
use crate::support::{Server, Setup, User, free_address, until};

/// The bridge with a registration that it made itself.
struct Bridge {
    python: std::path::PathBuf,
    registration: std::path::PathBuf,
}

impl Bridge {
    fn install(folder: &Path, address: SocketAddr) -> Self {
        let python = install::python("heisenbridge", include_str!("requirements.txt"));
        let bridge = Self { python, registration: folder.join("heisenbridge.yaml") };
        let mut generate = bridge.command();
        generate.arg("--generate").args(["-l", &address.ip().to_string(), "-p", &address.port().to_string()]);
        install::succeed(&mut generate);
        bridge
    }

    fn start(&self, folder: &Path, server: &Server, owner: &User) -> Process {
        let mut run = self.command();
        run.args(["-v", "-v", "-o", &owner.id, &server.url()]).env("PYTHONUNBUFFERED", "1");
        Process::start(run, &folder.join("heisenbridge.log"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "heisenbridge", "-c"]).arg(&self.registration);
        command
    }
}

/// Waits until somebody is invited to another room than these; joins it.
fn join_next(user: &User, server: &Server, known: &mut Vec<String>) -> String {
    let room = until("the bridge invites to a further room", || {
        let invites = user.sync("")["rooms"]["invite"].as_object().cloned().unwrap_or_default();
        invites.keys().find(|room| !known.contains(room)).cloned()
    });
    user.join(&room, server.name()).ok();
    known.push(room.clone());
    room
}

/// Waits until the bridge says something with this in it.
fn told(user: &User, room: &str, part: &str) {
    until(&format!("the bridge says {part:?}"), || {
        user.heard(room).iter().any(|text| text.contains(part)).then_some(())
    });
}

#[test]
fn people_here_and_on_irc_talk() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::install(folder.path(), free_address());
    let mut setup = Setup::alone(folder.path(), "hub.test");
    write!(setup.config, "[appservices]\nregistration_files = [{:?}]\n", bridge.registration).unwrap();
    let mut server = Server::new(setup);
    server.start();
    let ircd = IrcServer::start(folder.path());
    let mut carol = IrcUser::connect(&ircd, "carol");
    carol.send("JOIN #tea");
    carol.reads("JOIN");

    let alice = server.register("alice");
    let running = bridge.start(folder.path(), &server, &alice);
    let mut rooms = Vec::new();
    let control = join_next(&alice, &server, &mut rooms);
    alice.say(&control, "ADDNETWORK tea");
    alice.say(&control, &format!("ADDSERVER tea {} {}", ircd.address.ip(), ircd.address.port()));
    alice.say(&control, "OPEN tea");
    let network = join_next(&alice, &server, &mut rooms);
    alice.say(&network, "NICK alice");
    alice.say(&network, "CONNECT");
    told(&alice, &network, "Welcome to the Internet Relay Network");
    alice.say(&network, "JOIN #tea");
    let channel = join_next(&alice, &server, &mut rooms);

    carol.reads(":alice!");
    alice.say(&channel, "hello from matrix");
    carol.reads("PRIVMSG #tea :hello from matrix");
    carol.send("PRIVMSG #tea :hello from irc");
    alice.hear(&channel, "hello from irc");
    let said = alice.log(&channel).into_iter().find(|event| event["content"]["body"] == "hello from irc").unwrap();
    assert_eq!(said["sender"], "@irc_tea_carol:hub.test");

    // Nothing is told to the bridge twice, and nothing is left out, when the server is killed.
    server.kill();
    server.start();
    alice.say(&channel, "still there");
    carol.reads("PRIVMSG #tea :still there");
    carol.send("PRIVMSG #tea :yes");
    alice.hear(&channel, "yes");
    let heard = carol.heard("PRIVMSG #tea :");
    assert_eq!(heard, ["hello from matrix", "still there"]);
    drop(running);
}
