use std::collections::HashSet;
use std::sync::Arc;

use axle_protocol::EventId;
use axle_room::outbound::{Cursor, Destination, Item, MAX_DELAY_MS, Output, Response, Source};
use proptest::prelude::*;

use crate::world::name;

fn item(stream: i64) -> Item {
    let id = EventId::parse(format!("$e{stream}")).unwrap();
    Item { source: Source::Event(stream), event_id: Some(id), json: Arc::from("{}") }
}

fn refused(status: u16, errcode: &str) -> Response {
    let error = "no".to_owned();
    Response::Refused { status, errcode: Some(errcode.into()), error, retry_after_ms: None }
}

fn ok() -> Response {
    Response::Ok { failed: vec![] }
}

/// A destination with its queue, its clock, and what it asked for.
struct Rig {
    destination: Destination,
    queue: Vec<Item>,
    now: u64,
    timer: Option<u64>,
    sent: Option<(Arc<str>, Vec<i64>)>,
    acknowledged: i64,
    parked: Vec<i64>,
    failed: Vec<(i64, String)>,
}

impl Rig {
    fn new(count: i64) -> Self {
        let mut rig = Self {
            destination: Destination::new(name("one.example"), "boot", 1),
            queue: (1..=count).map(item).collect(),
            now: 0,
            timer: None,
            sent: None,
            acknowledged: 0,
            parked: vec![],
            failed: vec![],
        };
        rig.destination.handle_wake();
        rig.poll();
        rig
    }

    fn poll(&mut self) {
        while let Some(output) = self.destination.poll_output() {
            match output {
                Output::Load { after, limit } => {
                    let items = self.queue.iter().filter(|item| stream(item) > after.event).take(limit);
                    self.destination.handle_loaded(items.cloned().collect());
                }
                Output::Transmit { txn_id, items } => {
                    assert!(self.sent.is_none(), "two transactions in flight");
                    self.sent = Some((txn_id, items.iter().map(stream).collect()));
                }
                Output::Acknowledge(Cursor { event, .. }) => {
                    assert!(event > self.acknowledged);
                    self.acknowledged = event;
                }
                Output::Failed { item, reason } => self.failed.push((stream(&item), reason)),
                Output::Park { item, .. } => self.parked.push(stream(&item)),
                Output::SetTimer(at) => self.timer = Some(at),
                Output::Attempted(_) => {}
            }
        }
    }

    fn respond(&mut self, response: Response) -> (Arc<str>, Vec<i64>) {
        let sent = self.sent.take().expect("nothing was sent");
        self.destination.handle_response(response, self.now);
        self.poll();
        sent
    }

    /// Lets time pass until the timer. Returns how long it was.
    fn elapse(&mut self) -> u64 {
        let at = self.timer.take().expect("no timer is set");
        let waited = at.saturating_sub(self.now);
        self.now = self.now.max(at);
        self.destination.handle_timeout(self.now);
        self.poll();
        waited
    }

    /// Answers by a rule, letting time pass where needed, until nothing more is sent or nothing more gets through.
    fn run(&mut self, mut answer: impl FnMut(&[i64]) -> Response) -> Vec<i64> {
        let mut delivered = Vec::new();
        let mut in_vain = 0;
        while in_vain < 1_000 {
            match &self.sent {
                Some((_, items)) => {
                    let response = answer(items);
                    in_vain += 1;
                    if matches!(response, Response::Ok { .. }) {
                        in_vain = 0;
                        delivered.extend(items);
                    }
                    self.respond(response);
                }
                None if self.destination.is_idle() => return delivered,
                None => {
                    self.elapse();
                }
            }
        }
        delivered
    }
}

fn stream(item: &Item) -> i64 {
    match item.source {
        Source::Event(stream) => stream,
        Source::Lpdu(id) | Source::Edu(id) => id,
        Source::Fleeting => 0,
    }
}

#[test]
fn everything_goes_out_in_order_fifty_at_a_time() {
    let mut rig = Rig::new(170);
    let mut sizes = Vec::new();
    let delivered = rig.run(|items| {
        sizes.push(items.len());
        ok()
    });
    assert_eq!(delivered, (1..=170).collect::<Vec<_>>());
    assert_eq!(sizes, [50, 50, 50, 20]);
    assert_eq!(rig.acknowledged, 170);
}

#[test]
fn a_repeat_is_the_same_transaction() {
    let mut rig = Rig::new(3);
    let first = rig.respond(Response::Unreachable("no route".into()));
    rig.queue.push(item(4));
    rig.destination.handle_wake();
    rig.poll();
    assert!(rig.sent.is_none(), "a wake does not cut the wait short");
    rig.elapse();
    let second = rig.respond(ok());
    assert_eq!(first, second);
    let third = rig.respond(ok());
    assert_ne!(third.0, second.0);
    assert_eq!(third.1, [4]);
}

#[test]
fn waits_grow_with_jitter_and_are_capped() {
    let mut rig = Rig::new(1);
    let mut waits = Vec::new();
    for _ in 0..30 {
        rig.respond(Response::Unreachable("no route".into()));
        waits.push(rig.elapse());
    }
    assert!((375..=500).contains(&waits[0]), "{waits:?}");
    assert!((750..=1_000).contains(&waits[1]), "{waits:?}");
    assert!(waits[20..].iter().all(|wait| (MAX_DELAY_MS * 3 / 4..=MAX_DELAY_MS).contains(wait)), "{waits:?}");
    assert!(waits[20..].iter().collect::<HashSet<_>>().len() > 5, "there is jitter");
    rig.respond(ok());
    assert!(rig.destination.is_idle());
}

#[test]
fn retry_after_is_honoured() {
    let mut rig = Rig::new(1);
    let limited = Response::Refused {
        status: 429,
        errcode: Some("M_LIMIT_EXCEEDED".into()),
        error: "slow".into(),
        retry_after_ms: Some(60_000),
    };
    rig.respond(limited);
    rig.destination.handle_alive();
    rig.poll();
    assert!(rig.sent.is_none(), "it was reached; it asked us to wait");
    assert_eq!(rig.elapse(), 60_000);
}

#[test]
fn bad_state_repeats_the_same_and_is_no_failure() {
    let mut rig = Rig::new(2);
    let mut ids = HashSet::new();
    for _ in 0..20 {
        ids.insert(rig.respond(refused(400, "M_BAD_STATE")).0);
        assert!(rig.elapse() <= 2_000);
    }
    ids.insert(rig.respond(ok()).0);
    assert_eq!(ids.len(), 1);
    assert_eq!(rig.parked, [] as [i64; 0]);
}

#[test]
fn who_is_heard_of_is_tried_at_once() {
    let mut rig = Rig::new(1);
    for _ in 0..12 {
        rig.respond(Response::Unreachable("down".into()));
        rig.elapse();
    }
    rig.respond(Response::Unreachable("down".into()));
    rig.destination.handle_alive();
    rig.poll();
    rig.respond(ok());
    assert!(rig.destination.is_idle());
}

#[test]
fn one_refused_event_is_found_and_set_aside() {
    for (status, bad) in [(400, 17), (413, 1), (500, 60), (500, 17), (500, 120), (422, 120), (403, 17), (404, 1)] {
        let mut rig = Rig::new(120);
        let answer = |items: &[i64]| if items.contains(&bad) { refused(status, "M_UNKNOWN") } else { ok() };
        let delivered = rig.run(answer);
        assert_eq!(rig.parked, [bad], "{status}");
        assert_eq!(delivered, (1..=120).filter(|i| *i != bad).collect::<Vec<_>>());
        assert_eq!(rig.acknowledged, 120);
    }
}

#[test]
fn a_server_that_fails_at_everything_gets_everything_later() {
    let mut rig = Rig::new(120);
    let mut tries = 0;
    let delivered = rig.run(|_| {
        tries += 1;
        if tries < 500 { refused(500, "M_UNKNOWN") } else { ok() }
    });
    assert_eq!(rig.parked, [] as [i64; 0]);
    assert_eq!(delivered, (1..=120).collect::<Vec<_>>());
}

#[test]
fn refusals_that_are_not_about_events_park_nothing() {
    for (status, errcode) in [(401, "M_FORBIDDEN"), (403, "M_FORBIDDEN"), (404, "M_UNRECOGNIZED"), (502, "")] {
        let mut rig = Rig::new(60);
        let mut tries = 0;
        let delivered = rig.run(|_| {
            tries += 1;
            if tries < 100 { refused(status, errcode) } else { ok() }
        });
        assert_eq!(rig.parked, [] as [i64; 0], "{status}");
        assert_eq!(delivered, (1..=60).collect::<Vec<_>>());
    }
}

#[test]
fn failed_events_of_a_taken_transaction_are_reported() {
    let mut rig = Rig::new(2);
    rig.respond(Response::Ok { failed: vec![("$e2".into(), "no".into())] });
    assert_eq!(rig.failed, [(2, "no".to_owned())]);
    assert_eq!(rig.acknowledged, 2);
    rig.queue.push(item(3));
    rig.destination.handle_wake();
    rig.poll();
    rig.respond(Response::Ok { failed: vec![("$by_another_id".into(), "no".into())] });
    assert_eq!(rig.failed[1], (3, "no".to_owned()), "a lone event is known by any id");
}

#[test]
fn lpdus_and_events_share_the_queue() {
    let mut destination = Destination::new(name("one.example"), "boot", 1);
    destination.handle_wake();
    let Some(Output::Load { after, .. }) = destination.poll_output() else { panic!() };
    assert_eq!(after, Cursor::default());
    let lpdu = Item { source: Source::Lpdu(7), ..item(7) };
    destination.handle_loaded(vec![item(3), lpdu]);
    assert!(matches!(destination.poll_output(), Some(Output::Transmit { items, .. }) if items.len() == 2));
    destination.handle_response(ok(), 0);
    let outputs: Vec<_> = std::iter::from_fn(|| destination.poll_output()).collect();
    assert!(outputs.contains(&Output::Acknowledge(Cursor { event: 3, lpdu: 7, edu: 0 })));
}

fn edu(source: Source) -> Item {
    Item { source, event_id: None, json: Arc::from("{}") }
}

/// What the destination sends next, and what it wants to be written down.
fn sent(destination: &mut Destination) -> (Vec<Source>, Option<Cursor>) {
    let (mut sent, mut done) = (Vec::new(), None);
    while let Some(output) = destination.poll_output() {
        match output {
            Output::Transmit { items, .. } => sent.extend(items.iter().map(|item| item.source)),
            Output::Acknowledge(cursor) => done = Some(cursor),
            _ => {}
        }
    }
    (sent, done)
}

#[test]
fn kept_edus_are_sent_again_and_fleeting_ones_are_not() {
    let mut destination = Destination::new(name("one.example"), "boot", 1);
    destination.handle_wake();
    destination.handle_loaded(vec![edu(Source::Edu(4)), edu(Source::Fleeting), item(3)]);
    assert_eq!(sent(&mut destination).0, [Source::Edu(4), Source::Fleeting, Source::Event(3)]);
    destination.handle_response(Response::Unreachable("down".into()), 0);
    assert!(sent(&mut destination).0.is_empty() && destination.is_unreachable());
    destination.handle_timeout(MAX_DELAY_MS * 2);
    assert_eq!(sent(&mut destination).0, [Source::Edu(4), Source::Event(3)]);
    destination.handle_response(ok(), 0);
    assert_eq!(sent(&mut destination).1, Some(Cursor { event: 3, lpdu: 0, edu: 4 }));
}

#[test]
fn a_transaction_of_what_is_fleeting_is_tried_once_and_the_next_waits() {
    let mut destination = Destination::new(name("one.example"), "boot", 1);
    destination.handle_wake();
    destination.handle_loaded(vec![edu(Source::Fleeting)]);
    assert_eq!(sent(&mut destination).0, [Source::Fleeting]);
    destination.handle_response(Response::Unreachable("down".into()), 0);
    assert!(sent(&mut destination).0.is_empty() && destination.is_idle());
    destination.handle_wake();
    destination.handle_loaded(vec![item(3)]);
    assert!(sent(&mut destination).0.is_empty(), "the server was down a moment ago");
    destination.handle_timeout(MAX_DELAY_MS * 2);
    assert_eq!(sent(&mut destination).0, [Source::Event(3)]);
}

#[test]
fn an_edu_that_is_refused_alone_is_set_aside() {
    let mut destination = Destination::new(name("one.example"), "boot", 1);
    destination.handle_wake();
    destination.handle_loaded(vec![edu(Source::Edu(4)), item(3)]);
    let (mut now, mut parked, mut arrived) = (0, Vec::new(), Vec::new());
    while !destination.is_idle() {
        now += MAX_DELAY_MS * 2;
        destination.handle_timeout(now);
        while let Some(output) = destination.poll_output() {
            match output {
                Output::Transmit { items, .. } if items.iter().any(|item| item.source.is_edu()) => {
                    destination.handle_response(refused(400, "M_BAD_JSON"), now);
                }
                Output::Transmit { items, .. } => {
                    arrived.extend(items.iter().map(|item| item.source));
                    destination.handle_response(ok(), now);
                }
                Output::Park { item, .. } => parked.push(item.source),
                Output::Load { .. } => destination.handle_loaded(Vec::new()),
                _ => {}
            }
        }
    }
    assert_eq!((parked, arrived), (vec![Source::Edu(4)], vec![Source::Event(3)]));
}

/// What happens to one request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    AnswerLost,
    Lost,
    Busy,
    Limited,
    Broken,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    use Fate::{AnswerLost, Arrives, Broken, Busy, Limited, Lost};
    prop::collection::vec(prop::sample::select(vec![Arrives, AnswerLost, Lost, Busy, Limited, Broken]), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_or_reordered_whatever_happens(
        count in 1i64..150,
        fates in fates(),
        bad in prop::collection::hash_set(1i64..150, 0..4),
        status in prop::sample::select(vec![400u16, 500]),
    ) {
        let mut rig = Rig::new(count);
        let mut fates = fates.into_iter();
        // What the other server has taken, in order of arrival: whole transactions, and repeated ones.
        let mut arrived: Vec<Vec<i64>> = Vec::new();
        // Taken to be bad, since the other server failed at it just after it had taken a transaction without events.
        let mut suspected = HashSet::new();
        let mut probed = false;
        rig.run(|items| {
            let was_probed = std::mem::take(&mut probed);
            match fates.next().unwrap_or(Fate::Arrives) {
                Fate::Lost => return Response::Unreachable("lost".into()),
                Fate::Busy => return refused(400, "M_BAD_STATE"),
                Fate::Limited => return refused(429, "M_LIMIT_EXCEEDED"),
                Fate::Broken => {
                    suspected.extend(items.iter().filter(|_| was_probed));
                    return refused(500, "M_UNKNOWN");
                }
                Fate::AnswerLost if !items.iter().any(|i| bad.contains(i)) => {
                    arrived.push(items.to_vec());
                    return Response::Unreachable("timeout".into());
                }
                Fate::Arrives | Fate::AnswerLost => {}
            }
            if items.iter().any(|i| bad.contains(i)) {
                return refused(status, "M_UNKNOWN");
            }
            arrived.push(items.to_vec());
            probed = items.is_empty();
            ok()
        });
        let expected: HashSet<i64> = bad.iter().copied().filter(|i| *i <= count).chain(suspected).collect();
        let mut seen = expected.clone();
        let first: Vec<i64> = arrived.into_iter().flatten().filter(|i| seen.insert(*i)).collect();
        let good: Vec<i64> = (1..=count).filter(|i| !expected.contains(i)).collect();
        prop_assert_eq!(&first, &good, "each good event arrives, in order");
        let parked: HashSet<i64> = rig.parked.iter().copied().collect();
        prop_assert_eq!(parked, expected, "what is bad is set aside, and nothing else");
        prop_assert_eq!(rig.acknowledged, count);
    }
}
