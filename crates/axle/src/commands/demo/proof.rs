//! The proof: every server's log of every room, event by event.

use std::collections::HashMap;
use std::time::Duration;

use axle_sdk::{Client, Event, PageFrom, Unsigned};
use tokio::time::Instant;

use super::outage::Acknowledged;
use super::screen::Screen;
use super::story::Rooms;
use crate::commands::stage::{Cast, Failure, NAMES, Network};

/// Events a request.
const PAGE: usize = 100;
/// More pages than any room of the demo has.
const MAX_PAGES: usize = 50;
/// How long logs may differ because something is still on its way.
const SETTLING: Duration = Duration::from_secs(15);
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// Fetches all logs from all servers, compares them, and has every data folder verified.
pub(super) async fn prove(
    network: &Network,
    cast: &mut Cast,
    rooms: &Rooms,
    acknowledged: &[Acknowledged],
    screen: &mut Screen,
) -> Result<(), Failure> {
    screen.step("The proof: every server's log of every room, read through its own client API");
    let clients: Vec<Client> = cast.regulars().map(|person| person.client().clone()).into();
    screen.row(&format!("{:8} {:>6}  {:20} {:20} {:20} same", "room", "events", NAMES[0], NAMES[1], NAMES[2]));
    let mut total = 0;
    for (room, room_id) in rooms.all() {
        let logs = agreed(&clients, room, room_id).await?;
        let Some(log) = logs.first() else { return Err("there are no logs".into()) };
        let heads: Vec<String> = logs.iter().map(|log| format!("{:20}", head(log))).collect();
        screen.row(&format!("{room:8} {:>6}  {} yes", log.len(), heads.join(" ")));
        if room_id == rooms.square {
            nothing_lost(log, acknowledged)?;
        }
        total += log.len();
    }
    screen.shown("the same events, in the same order, at the same places, with the same content");
    screen.shown(&format!("each of the {} messages around the kill stands there exactly once", acknowledged.len()));
    for server in &network.servers {
        let report = server.verify().await?;
        if report.problem_count > 0 || report.gaps > 0 {
            let first = report.problems.first().map(|problem| problem.problem.clone()).unwrap_or_default();
            let name = server.name();
            return Err(format!("{name}: {} problems, {} gaps; {first}", report.problem_count, report.gaps).into());
        }
        let checked = format!("{} events in {} rooms", report.events, report.rooms);
        screen.say(
            server.name(),
            &format!("axle admin verify: {checked}, order, hashes, signatures and rules are right"),
        );
    }
    let took = screen.elapsed().as_secs_f32();
    screen.proved(&format!(
        "{} servers hold the same {} rooms: {total} events, the same in id, order and content on each ({took:.1} s)",
        clients.len(),
        rooms.all().len(),
    ));
    Ok(())
}

/// The text of an event as a client is shown it; `None`: there is none left.
pub(super) async fn body_of(client: &Client, room_id: &str, event_id: &str) -> Result<Option<String>, Failure> {
    let log = log(client, room_id).await?;
    let event = log.iter().find(|event| event.event_id == event_id).ok_or("the event is not in the log")?;
    Ok(event.text("body").map(str::to_owned))
}

/// The logs of a room from all servers, once they are equal.
async fn agreed(clients: &[Client], room: &str, room_id: &str) -> Result<Vec<Vec<Event>>, Failure> {
    let deadline = Instant::now() + SETTLING;
    loop {
        let mut logs = Vec::new();
        for client in clients {
            logs.push(log(client, room_id).await?);
        }
        let Some(difference) = difference(&logs) else { return Ok(logs) };
        if Instant::now() > deadline {
            return Err(format!("the logs of {room} differ: {difference}").into());
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

/// The whole log of a room, oldest first.
async fn log(client: &Client, room_id: &str) -> Result<Vec<Event>, Failure> {
    let mut log = Vec::new();
    let mut from = PageFrom::Newest;
    for _ in 0..MAX_PAGES {
        let page = client.messages(room_id, &from, PAGE).await?;
        log.extend(page.chunk);
        let Some(end) = page.end else {
            log.reverse();
            return whole(log);
        };
        from = PageFrom::Before(end);
    }
    Err("the log has no end".into())
}

/// A log begins with the room.
fn whole(log: Vec<Event>) -> Result<Vec<Event>, Failure> {
    match log.first() {
        Some(first) if first.event_type == "m.room.create" => Ok(log),
        _ => Err("the log does not begin with the room's creation".into()),
    }
}

/// The first place where logs differ, in words.
fn difference(logs: &[Vec<Event>]) -> Option<String> {
    let (first, others) = logs.split_first()?;
    for (other, name) in others.iter().zip(NAMES.iter().skip(1)) {
        let place = (0..first.len().max(other.len())).find(|place| !same(first.get(*place), other.get(*place)));
        if let Some(place) = place {
            let show = |log: &[Event]| log.get(place).map_or_else(|| "nothing".to_owned(), summary);
            return Some(format!("at {place}, {} has {}, {name} has {}", NAMES[0], show(first), show(other)));
        }
    }
    None
}

/// Equal in everything that is not added for a client.
fn same(one: Option<&Event>, other: Option<&Event>) -> bool {
    let bare = |event: &Event| Event { unsigned: Unsigned::default(), ..event.clone() };
    one.map(bare) == other.map(bare)
}

fn summary(event: &Event) -> String {
    format!("{} of {} ({})", event.event_type, event.sender, event.event_id)
}

fn head(log: &[Event]) -> String {
    let id = log.last().map(|event| event.event_id.as_str()).unwrap_or_default();
    let short: String = id.chars().take(12).collect();
    format!("…{} {short}", log.len())
}

/// Every acknowledged message stands in the log once, under the id that was acknowledged.
fn nothing_lost(log: &[Event], acknowledged: &[Acknowledged]) -> Result<(), Failure> {
    let mut found: HashMap<&str, Vec<&str>> = HashMap::new();
    for event in log {
        if let Some(body) = event.text("body") {
            found.entry(body).or_default().push(&event.event_id);
        }
    }
    for message in acknowledged {
        let ids = found.get(message.text.as_str()).map(Vec::as_slice).unwrap_or_default();
        if ids != [message.event_id.as_str()] {
            let (text, id) = (&message.text, &message.event_id);
            return Err(format!("{text:?} was acknowledged as {id} and stands there as {ids:?}").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, body: &str) -> Event {
        let mut event = Event { event_id: id.into(), event_type: "m.room.message".into(), ..Event::default() };
        event.content.insert("body".into(), body.into());
        event
    }

    #[test]
    fn differences_are_found_wherever_they_are() {
        let log = vec![event("$1", "a"), event("$2", "b")];
        let changed = vec![event("$1", "a"), event("$2", "c")];
        let swapped = vec![event("$2", "b"), event("$1", "a")];
        let shorter = vec![event("$1", "a")];
        let with = |other: &Vec<Event>| difference(&[log.clone(), log.clone(), other.clone()]);
        assert_eq!(with(&log), None);
        assert!(with(&changed).unwrap().starts_with("at 1, hub.example.test"));
        assert!(with(&swapped).unwrap().starts_with("at 0"));
        assert!(with(&shorter).unwrap().ends_with("birch.example.test has nothing"));
    }

    #[test]
    fn what_is_added_for_a_client_does_not_count() {
        let mut own = event("$1", "a");
        own.unsigned.transaction_id = Some("t".into());
        assert_eq!(difference(&[vec![own], vec![event("$1", "a")]]), None);
    }

    #[test]
    fn lost_doubled_and_renamed_messages_are_noticed() {
        let acknowledged = [Acknowledged { text: "a".into(), event_id: "$1".into() }];
        nothing_lost(&[event("$1", "a"), event("$2", "b")], &acknowledged).unwrap();
        nothing_lost(&[event("$2", "b")], &acknowledged).unwrap_err();
        nothing_lost(&[event("$1", "a"), event("$2", "a")], &acknowledged).unwrap_err();
        nothing_lost(&[event("$2", "a")], &acknowledged).unwrap_err();
    }

    #[test]
    fn a_log_without_its_beginning_is_none() {
        whole(vec![event("$1", "a")]).unwrap_err();
        whole(Vec::new()).unwrap_err();
    }
}
