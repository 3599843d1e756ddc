//! Vault, the encrypted room: who is in can read, nobody else, and no server.

use std::fs;
use std::path::Path;

use axle_sdk::{CreateRoom, Event, EventEncryption, JoinRule, Membership, PageFrom};

use super::screen::Screen;
use crate::commands::stage::{Cast, Failure, NAMES, Network, Person, let_in};

/// Events that are looked at for one that is wanted.
const PAGE: usize = 100;
/// What messages are until they are decrypted.
const ENCRYPTED: &str = "m.room.encrypted";
/// What is said there. Nothing of it may be found anywhere on a server.
const SAID: [&str; 4] =
    ["the heron lands at midnight", "the osprey keeps watch", "the lantern is behind the mill", "the magpie has gone"];

/// Makes the room and lets everything happen in it. Returns its id.
pub(super) async fn keep_secrets(network: &Network, cast: &mut Cast, screen: &mut Screen) -> Result<String, Failure> {
    let vault = gather(cast, screen).await?;
    let early = converse(cast, &vault, screen).await?;
    join_late(cast, &vault, &early, screen).await?;
    put_out(cast, &vault, screen).await?;
    what_servers_see(network, cast, &vault, screen).await?;
    Ok(vault)
}

async fn gather(cast: &mut Cast, screen: &mut Screen) -> Result<String, Failure> {
    screen.step("Vault, an encrypted room: MLS over the three servers");
    let vault = cast.alice.encryption().create_room(&CreateRoom::named("Vault", JoinRule::Invite)).await?;
    screen.say("alice", &format!("makes Vault, encrypted: {vault}"));
    let Cast { alice, bob, carol, .. } = cast;
    for (devices, person) in [(2, bob), (3, carol)] {
        let_in(alice, person, &vault, devices).await?;
        screen.say(person.name(), "is invited and joins; alice's device adds theirs to the group");
    }
    let mut codes = Vec::new();
    for person in cast.regulars() {
        person.is_in_group(&vault, 3).await?;
        codes.push(person.encryption().epoch_code(&vault)?);
    }
    let Some((first, others)) = codes.split_first() else { return Err("nobody is there".into()) };
    if others.iter().any(|code| code != first) {
        return Err(format!("the devices have different groups: {codes:?}").into());
    }
    screen.shown(&format!("the three devices agree on the code of epoch {}: {}", first.0, first.1));
    Ok(vault)
}

async fn converse(cast: &mut Cast, vault: &str, screen: &mut Screen) -> Result<String, Failure> {
    let mut early = String::new();
    for (sender, text) in SAID.iter().take(NAMES.len()).enumerate() {
        let mut people = cast.regulars();
        let event_id = people[sender].say_secretly(vault, text).await?;
        screen.say(people[sender].name(), &format!("in Vault: {text}"));
        for person in &mut people {
            person.reads(vault, &event_id, text).await?;
        }
        early = event_id;
    }
    screen.shown("everyone reads what everyone said, decrypted on their own device");
    Ok(early)
}

async fn join_late(cast: &mut Cast, vault: &str, early: &str, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("Who comes later cannot read what was said before");
    let Cast { alice, bob, mallory, .. } = cast;
    let_in(alice, mallory, vault, 4).await?;
    screen.say("mallory", "is invited to Vault, joins, and gets the encrypted history from the server");
    let event = raw_event(bob, vault, early).await?;
    let reason = unreadable(mallory, vault, event)?;
    screen.shown(&format!("mallory's device cannot decrypt it: {reason}"));
    let text = SAID[0];
    let event_id = alice.say_secretly(vault, text).await?;
    mallory.reads(vault, &event_id, text).await?;
    screen.shown("what is said from now on mallory can read");
    Ok(())
}

async fn put_out(cast: &mut Cast, vault: &str, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("Who was put out cannot read what is said after");
    let mallory = cast.mallory.user_id().to_owned();
    cast.alice.encryption().kick(vault, &mallory, Some("not to be trusted")).await?;
    screen.say("alice", "kicks mallory: the kick and the new keys of the others are appended as one");
    cast.mallory.becomes(vault, Membership::Leave).await?;
    for person in cast.regulars() {
        person.is_in_group(vault, 3).await?;
    }
    let text = SAID[3];
    let event_id = cast.bob.say_secretly(vault, text).await?;
    screen.say("bob", &format!("in Vault: {text}"));
    cast.carol.reads(vault, &event_id, text).await?;
    let event = raw_event(&cast.alice, vault, &event_id).await?;
    let reason = unreadable(&cast.mallory, vault, event)?;
    screen.shown(&format!("even given its ciphertext, mallory's device cannot decrypt it: {reason}"));
    Ok(())
}

async fn what_servers_see(network: &Network, cast: &mut Cast, vault: &str, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("What the servers could read");
    for (person, name) in cast.regulars().into_iter().zip(NAMES) {
        let page = person.client().messages(vault, &PageFrom::Newest, PAGE).await?;
        let count = |event_type: &str| page.chunk.iter().filter(|event| event.event_type == event_type).count();
        if count("m.room.message") > 0 {
            return Err(format!("{name} has messages of Vault in clear").into());
        }
        let (messages, commits) = (count(ENCRYPTED), count("m.mls.commit"));
        screen.say(name, &format!("who is in Vault, its name, {commits} commits, {messages} messages as ciphertext"));
    }
    let (mut files, mut bytes) = (0, 0);
    for name in NAMES {
        search(&network.folder().join(name), &mut files, &mut bytes)?;
    }
    let megabytes = bytes / (1024 * 1024);
    screen.shown(&format!("nothing that was said is in any of their {files} files ({megabytes} MiB)"));
    Ok(())
}

/// An event as the server of this person has it.
async fn raw_event(person: &Person, vault: &str, event_id: &str) -> Result<Event, Failure> {
    let page = person.client().messages(vault, &PageFrom::Newest, PAGE).await?;
    let event = page.chunk.into_iter().find(|event| event.event_id == event_id);
    event.ok_or_else(|| format!("{event_id} is not in the log").into())
}

/// Why a device cannot read an event; an error if it can.
fn unreadable(person: &Person, vault: &str, event: Event) -> Result<String, Failure> {
    let read = person.decrypts(vault, event)?;
    match read.encryption {
        Some(EventEncryption::Failed { reason }) => Ok(reason),
        None if read.event_type == ENCRYPTED => Ok("it has no keys of this room any more".into()),
        _ => Err(format!("{} can read what they should not", person.name()).into()),
    }
}

/// Looks for what was said in every file of a folder.
fn search(folder: &Path, files: &mut usize, bytes: &mut usize) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, files, bytes)?;
        } else if path.is_file() {
            let content = fs::read(&path)?;
            if let Some(text) = SAID.iter().find(|text| contains(&content, text.as_bytes())) {
                return Err(format!("{:?} is in {}", text, path.display()).into());
            }
            *files += 1;
            *bytes += content.len();
        }
    }
    Ok(())
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_found_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/a"), format!("..{}..", &SAID[1][..8])).unwrap();
        let (mut files, mut bytes) = (0, 0);
        search(folder.path(), &mut files, &mut bytes).unwrap();
        assert_eq!((files, bytes), (1, 12));
        fs::write(folder.path().join("deep/b"), format!("..{}..", SAID[1])).unwrap();
        search(folder.path(), &mut files, &mut bytes).unwrap_err();
    }
}
