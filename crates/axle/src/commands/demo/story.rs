//! What happens in the demo, step by step.

use axle_sdk::{CreateRoom, JoinRule, Membership, new_transaction_id};

use super::screen::Screen;
use super::{outage, proof, vault};
use crate::commands::stage::{Cast, Failure, NAMES, Network, refused};

/// The rooms of the demo, all made on the hub.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    pub(super) square: String,
    pub(super) office: String,
    pub(super) club: String,
    /// The encrypted one.
    pub(super) vault: String,
}

impl Rooms {
    pub(super) fn all(&self) -> [(&'static str, &str); 4] {
        [("Square", &self.square), ("Office", &self.office), ("Club", &self.club), ("Vault", &self.vault)]
    }

    /// Those in which everything can be read.
    pub(super) fn plain(&self) -> [(&'static str, &str); 3] {
        [("Square", &self.square), ("Office", &self.office), ("Club", &self.club)]
    }
}

/// Tells the whole story. Returns who took part, if everything was as it should be.
pub(super) async fn tell(network: &mut Network, screen: &mut Screen) -> Result<Cast, Failure> {
    start(network, screen).await?;
    let mut cast = people(network, screen).await?;
    let mut rooms = make_rooms(&cast, screen).await?;
    fill_square(&mut cast, &rooms, screen).await?;
    fill_office(&mut cast, &rooms, screen).await?;
    fill_club(&mut cast, &rooms, screen).await?;
    converse(&mut cast, &rooms, screen).await?;
    take_back(&mut cast, &rooms, screen).await?;
    kick(&mut cast, &rooms, screen).await?;
    ban(&mut cast, &rooms, screen).await?;
    rooms.vault = vault::keep_secrets(network, &mut cast, screen).await?;
    let acknowledged = outage::survive(network, &mut cast, &rooms, screen).await?;
    proof::prove(network, &mut cast, &rooms, &acknowledged, screen).await?;
    Ok(cast)
}

async fn start(network: &mut Network, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("Three servers start: a certificate authority, names, keys and data folders of their own");
    screen.say("folder", &network.folder().display().to_string());
    network.start().await?;
    for server in &network.servers {
        let pid = server.pid().unwrap_or_default();
        screen.say(server.name(), &format!("process {pid}, for clients at {}", server.url()));
    }
    Ok(())
}

async fn people(network: &Network, screen: &mut Screen) -> Result<Cast, Failure> {
    screen.step("People register, each with their own provider");
    let cast = Cast::register(network).await?;
    for person in cast.everyone() {
        screen.say(person.name(), person.user_id());
    }
    Ok(cast)
}

async fn make_rooms(cast: &Cast, screen: &mut Screen) -> Result<Rooms, Failure> {
    screen.step("Alice makes three rooms: her server is their hub");
    let mut ids = Vec::new();
    for (name, rule, what) in [
        ("Square", JoinRule::Public, "public"),
        ("Office", JoinRule::Invite, "by invite only"),
        ("Club", JoinRule::Knock, "who wants in, knocks"),
    ] {
        let room_id = cast.alice.client().create_room(&CreateRoom::named(name, rule)).await?;
        screen.say("alice", &format!("makes {name} ({what}): {room_id}"));
        ids.push(room_id);
    }
    let [square, office, club] = <[String; 3]>::try_from(ids).map_err(|_| "three rooms were made")?;
    Ok(Rooms { square, office, club, vault: String::new() })
}

async fn fill_square(cast: &mut Cast, rooms: &Rooms, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("Square, the public room: everyone joins through the hub");
    let via = [NAMES[0].to_owned()];
    for person in [&mut cast.bob, &mut cast.carol, &mut cast.mallory] {
        person.client().join(&rooms.square, &via).await?;
        person.becomes(&rooms.square, Membership::Join).await?;
        screen.say(person.name(), "joins Square");
        let hub = person.hub_of(&rooms.square).ok_or("the hub is not known")?;
        if hub != NAMES[0] {
            return Err(format!("{} takes {hub} for the hub", person.name()).into());
        }
    }
    screen.shown(&format!("amber and birch both say that the hub is {}", NAMES[0]));
    Ok(())
}

async fn fill_office(cast: &mut Cast, rooms: &Rooms, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("Office, the invite-only room");
    let via = [NAMES[0].to_owned()];
    let reason = refused(cast.mallory.client().join(&rooms.office, &via).await, "Mallory's join without an invite")?;
    screen.say("mallory", &format!("tries to join uninvited and is refused: {reason}"));

    cast.alice.client().invite(&rooms.office, cast.bob.user_id()).await?;
    screen.say("alice", "invites bob, on amber");
    cast.bob.becomes(&rooms.office, Membership::Invite).await?;
    cast.bob.client().join(&rooms.office, &[]).await?;
    cast.bob.becomes(&rooms.office, Membership::Join).await?;
    screen.say("bob", "accepts");

    cast.bob.client().invite(&rooms.office, cast.carol.user_id()).await?;
    screen.say("bob", "invites carol, on birch: from participant to participant by way of the hub");
    cast.carol.becomes(&rooms.office, Membership::Invite).await?;
    cast.carol.client().join(&rooms.office, &[]).await?;
    cast.carol.becomes(&rooms.office, Membership::Join).await?;
    screen.say("carol", "accepts");

    cast.alice.client().invite(&rooms.office, cast.mallory.user_id()).await?;
    cast.mallory.becomes(&rooms.office, Membership::Invite).await?;
    cast.mallory.client().leave(&rooms.office).await?;
    cast.alice.sees_member(&rooms.office, cast.mallory.user_id(), Membership::Leave).await?;
    screen.say("mallory", "is invited by alice and declines");
    Ok(())
}

async fn fill_club(cast: &mut Cast, rooms: &Rooms, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("Club, the knock room");
    let via = [NAMES[0].to_owned()];
    for person in [&mut cast.bob, &mut cast.carol, &mut cast.mallory] {
        person.client().knock(&rooms.club, &via, Some("let me in")).await?;
        screen.say(person.name(), "knocks");
        cast.alice.sees_member(&rooms.club, person.user_id(), Membership::Knock).await?;
    }
    for person in [&mut cast.bob, &mut cast.carol] {
        cast.alice.client().invite(&rooms.club, person.user_id()).await?;
        person.becomes(&rooms.club, Membership::Invite).await?;
        person.client().join(&rooms.club, &via).await?;
        person.becomes(&rooms.club, Membership::Join).await?;
        screen.say("alice", &format!("lets {} in", person.name()));
    }
    cast.alice.client().kick(&rooms.club, cast.mallory.user_id(), Some("members only")).await?;
    cast.bob.sees_member(&rooms.club, cast.mallory.user_id(), Membership::Leave).await?;
    screen.say("alice", "turns mallory away");
    Ok(())
}

async fn converse(cast: &mut Cast, rooms: &Rooms, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("Messages in all directions: from every server to both others, in every room");
    for (room, room_id) in rooms.plain() {
        for sender in 0..NAMES.len() {
            let mut people = cast.regulars();
            let person = &people[sender];
            let text = format!("{} greets {room}", person.name());
            let event_id = person.say(room_id, &text).await?;
            screen.say(person.name(), &format!("in {room}: {text}"));
            for other in &mut people {
                other.sees(room_id, &event_id).await?;
            }
        }
    }
    screen.shown("every message was seen on all three servers, under the same event id");
    Ok(())
}

async fn take_back(cast: &mut Cast, rooms: &Rooms, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("A message is taken back");
    let event_id = cast.bob.say(&rooms.office, "the password is sesame").await?;
    screen.say("bob", "in Office: the password is sesame");
    cast.carol.sees(&rooms.office, &event_id).await?;
    let reason = Some("not for everyone");
    let redaction = cast.bob.client().redact(&rooms.office, &event_id, reason, &new_transaction_id()).await?;
    screen.say("bob", "takes it back");
    for person in cast.regulars() {
        person.sees(&rooms.office, &redaction).await?;
        let body = proof::body_of(person.client(), &rooms.office, &event_id).await?;
        if let Some(body) = body {
            return Err(format!("{} still sees {body:?}", person.name()).into());
        }
    }
    screen.shown("no server shows its text any more");
    Ok(())
}

async fn kick(cast: &mut Cast, rooms: &Rooms, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("A kick that holds");
    let nonsense = cast.mallory.say(&rooms.square, "buy my tokens").await?;
    screen.say("mallory", "in Square: buy my tokens");
    cast.alice.sees(&rooms.square, &nonsense).await?;
    let mallory = cast.mallory.user_id().to_owned();
    cast.alice.client().kick(&rooms.square, &mallory, Some("no advertising")).await?;
    screen.say("alice", "kicks mallory");
    cast.mallory.becomes(&rooms.square, Membership::Leave).await?;
    let said = cast.mallory.client().send_text(&rooms.square, "still here", &new_transaction_id()).await;
    let reason = refused(said, "the message of the kicked")?;
    screen.shown(&format!("mallory cannot send: {reason}"));
    cast.bob.sees_member(&rooms.square, &mallory, Membership::Leave).await
}

async fn ban(cast: &mut Cast, rooms: &Rooms, screen: &mut Screen) -> Result<(), Failure> {
    screen.step("A ban that holds");
    let via = [NAMES[0].to_owned()];
    cast.mallory.client().join(&rooms.square, &via).await?;
    cast.mallory.becomes(&rooms.square, Membership::Join).await?;
    screen.say("mallory", "joins again: the room is public");
    let mallory = cast.mallory.user_id().to_owned();
    cast.alice.client().ban(&rooms.square, &mallory, Some("no advertising")).await?;
    screen.say("alice", "bans mallory");
    cast.mallory.becomes(&rooms.square, Membership::Ban).await?;
    let reason = refused(cast.mallory.client().join(&rooms.square, &via).await, "the join of the banned")?;
    screen.shown(&format!("mallory cannot rejoin: {reason}"));
    let said = cast.mallory.client().send_text(&rooms.square, "hey", &new_transaction_id()).await;
    let reason = refused(said, "the message of the banned")?;
    screen.shown(&format!("mallory cannot send: {reason}"));
    for person in cast.regulars() {
        person.sees_member(&rooms.square, &mallory, Membership::Ban).await?;
    }
    Ok(())
}
