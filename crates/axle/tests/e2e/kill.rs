//! Servers that are killed at random moments under load. `AXLE_CRASH_ROUNDS=1000` makes more of it:
//!
//! `AXLE_CRASH_ROUNDS=1000 cargo test -p axle --test e2e acknowledged -- --nocapture`

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Network, User, until};

/// Rounds, unless the environment says otherwise.
const ROUNDS: usize = 10;
const HUB_SENDERS: usize = 6;
const PARTICIPANT_SENDERS: usize = 2;
/// A server is killed at most so long after the load begins.
const MAX_LOAD: Duration = Duration::from_millis(400);
/// A sender says so much at most: a round that lasts long for some other reason must not fill the disk.
const MAX_SAID: usize = 2000;

/// Something said: the text, which is the transaction id too, and the event's id if the server answered.
struct Said {
    text: String,
    event_id: Option<String>,
}

/// Whatever a client was told is sent is there, once, in the place where it was, after a kill at any moment; and what
/// it was not told about is there once after it asks again.
#[test]
fn what_was_acknowledged_survives_kills_at_random_moments() {
    let rounds = std::env::var("AXLE_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut random = Random::new();
    eprintln!("{rounds} rounds, AXLE_CRASH_SEED={}", random.0);
    let mut network = Network::start(["hub.test", "one.test"]);
    let at_hub: Vec<User> = (0..HUB_SENDERS).map(|n| network.servers[0].register(&format!("hub{n}"))).collect();
    let elsewhere: Vec<User> =
        (0..PARTICIPANT_SENDERS).map(|n| network.servers[1].register(&format!("one{n}"))).collect();
    let users: Vec<&User> = at_hub.iter().chain(&elsewhere).collect();

    let mut told = 0;
    for round in 0..rounds {
        let room = at_hub[0].create_room(&json!({ "preset": "public_chat" }));
        users[1..].iter().for_each(|user| drop(user.join(&room, "hub.test").ok()));
        let killed: &[usize] = [&[0][..], &[0], &[1], &[0, 1]][random.below(4)];
        let load = MAX_LOAD * u32::try_from(random.below(1000)).unwrap() / 1000;
        let said = under_load(&mut network, &users, &room, killed, load);
        told += said.iter().filter(|said| said.event_id.is_some()).count();
        compare(&users, &room, &said, &format!("round {round}, servers {killed:?} killed after {load:?}"));
    }
    assert!(told > rounds, "only {told} messages in {rounds} rounds");
    for server in &network.servers {
        assert_eq!(server.admin_ok(&["verify"], "")["problem_count"], 0);
    }
    eprintln!("{told} acknowledged messages, none lost");
}

/// Everyone talks, servers are killed and started again; what was said.
fn under_load(network: &mut Network, users: &[&User], room: &str, killed: &[usize], load: Duration) -> Vec<Said> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let talk = |user: &User| {
            let mut said = Vec::new();
            while said.len() < MAX_SAID && !stop.load(Ordering::Relaxed) {
                let text = format!("{}-{}", user.id.trim_start_matches('@').replace(':', "-"), said.len());
                let answer = user.try_send_as(room, &text, &text);
                if let Some(answer) = answer.as_ref().filter(|answer| answer.status != 200) {
                    assert!(matches!(answer.status, 502..=504), "{answer:?}");
                }
                let id = |answer: crate::support::Answer| answer.body["event_id"].as_str().map(str::to_owned);
                let event_id = answer.and_then(id);
                let went_away = event_id.is_none();
                said.push(Said { text, event_id });
                if went_away {
                    break;
                }
            }
            said
        };
        let talks: Vec<_> = users.iter().map(|user| scope.spawn(move || talk(user))).collect();
        // Not to wait for something: this is the random moment.
        std::thread::sleep(load);
        killed.iter().for_each(|index| network.servers[*index].kill());
        killed.iter().for_each(|index| network.servers[*index].start());
        stop.store(true, Ordering::Relaxed);
        talks.into_iter().flat_map(|talk| talk.join().unwrap()).collect()
    })
}

/// Asks again for what was not answered, then looks for everything in both servers' logs.
fn compare(users: &[&User], room: &str, said: &[Said], what: &str) {
    let mut expected: HashMap<&str, String> = HashMap::new();
    for said in said {
        let id = match &said.event_id {
            Some(id) => id.clone(),
            None => ask_again(users, room, &said.text),
        };
        expected.insert(&said.text, id);
    }
    let hub = users[0].log(room);
    let mut found: HashMap<&str, Vec<&str>> = HashMap::new();
    for event in hub.iter().filter(|event| event["type"] == "m.room.message") {
        let (body, id) = (event["content"]["body"].as_str().unwrap(), event["event_id"].as_str().unwrap());
        found.entry(body).or_default().push(id);
    }
    for (text, id) in &expected {
        assert_eq!(found.get(text).map(Vec::as_slice), Some(&[&**id][..]), "{what}: {text}");
    }
    assert_eq!(found.len(), expected.len(), "{what}: there is something that nobody said");
    let ids = |log: &[Value]| log.iter().map(|event| event["event_id"].clone()).collect::<Vec<_>>();
    until(&format!("{what}: both servers have the same log"), || {
        (ids(&users[users.len() - 1].log(room)) == ids(&hub)).then_some(())
    });
}

/// Sends under the same transaction id what was not answered.
fn ask_again(users: &[&User], room: &str, text: &str) -> String {
    let speaker = users.iter().find(|user| text.starts_with(&user.id[1..].replace(':', "-"))).unwrap();
    until(&format!("{text} is sent"), || {
        let answer = speaker.try_send_as(room, text, text)?;
        answer.body["event_id"].as_str().map(str::to_owned)
    })
}

/// Xorshift, from the clock or `AXLE_CRASH_SEED`.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        Self(std::env::var("AXLE_CRASH_SEED").map_or_else(|_| clock(), |seed| seed.parse().unwrap()))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }
}
