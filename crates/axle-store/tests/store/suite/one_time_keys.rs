use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axle_store::{KeyEnd, KeyName, KeyUpload, KeyWithdrawal, NewKey, Store, StoreError, WantedKey};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::fixtures::*;

/// A time, in milliseconds.
const NOW: i64 = 1_000;

pub(crate) fn upload(who: &str, device_id: &str) -> KeyUpload {
    KeyUpload {
        user_id: user(who),
        device_id: device_id.into(),
        device_keys: None,
        one_time_keys: Vec::new(),
        fallback_keys: Vec::new(),
        forget: None,
    }
}

pub(crate) fn key(id: &str, json: &str) -> NewKey {
    NewKey { algorithm: "curve".into(), key_id: id.into(), json: json.into(), end: None }
}

/// A key that ends, told by its value.
fn ending(id: &str, expires: i64) -> NewKey {
    NewKey { end: Some(KeyEnd { expires, fingerprint: id.into() }), ..key(id, id) }
}

fn is_good(key: &NewKey, now: i64) -> bool {
    key.end.as_ref().is_none_or(|end| end.expires > now)
}

fn name(key: &NewKey) -> KeyName {
    KeyName { algorithm: key.algorithm.clone(), key_id: key.key_id.clone() }
}

async fn claim_at(store: &Arc<dyn Store>, device_id: &str, algorithm: &str, now: i64) -> Option<String> {
    let wanted = WantedKey { user_id: user("a"), device_id: device_id.into(), algorithm: algorithm.into() };
    let claimed = store.claim_keys(vec![wanted.clone()], now).await.unwrap().pop()?;
    assert_eq!(claimed.wanted, wanted);
    Some(claimed.key_id)
}

pub(crate) async fn claim(store: &Arc<dyn Store>, device_id: &str, algorithm: &str) -> Option<String> {
    claim_at(store, device_id, algorithm, NOW).await
}

/// How many one-time keys there are, and the kinds of which a fallback key is unused.
async fn left(store: &Arc<dyn Store>, now: i64) -> (u64, Vec<String>) {
    let counts = store.key_counts(&user("a"), "ONE", now).await.unwrap();
    (counts.one_time.values().sum(), counts.unused_fallback)
}

pub(crate) async fn claimed_once_and_in_order(store: Arc<dyn Store>) {
    let keys = vec![key("z", "1"), key("b", "2"), key("c", "3")];
    let new = KeyUpload { one_time_keys: keys, fallback_keys: vec![key("f", "4")], ..upload("a", "ONE") };
    assert!(!store.upload_keys(new.clone()).await.unwrap(), "no news to others");
    store.upload_keys(new).await.unwrap();
    let counts = store.key_counts(&user("a"), "ONE", NOW).await.unwrap();
    assert_eq!((counts.one_time["curve"], counts.unused_fallback), (3, vec!["curve".to_owned()]));
    let other = KeyUpload { one_time_keys: vec![key("n", "9"), key("c", "other")], ..upload("a", "ONE") };
    let refused = store.upload_keys(other).await;
    assert!(matches!(&refused, Err(StoreError::Exists(id)) if id == "curve:c"), "{refused:?}");
    assert_eq!(
        store.key_counts(&user("a"), "ONE", NOW).await.unwrap().one_time["curve"],
        3,
        "nothing of it was stored"
    );
    for expected in ["z", "b", "c", "f", "f"] {
        assert_eq!(claim(&store, "ONE", "curve").await.as_deref(), Some(expected));
    }
    assert_eq!(store.key_counts(&user("a"), "ONE", NOW).await.unwrap(), Default::default());
    assert_eq!(claim(&store, "ONE", "other").await, None);
    assert_eq!(claim(&store, "TWO", "curve").await, None);
    let again = KeyUpload { fallback_keys: vec![key("f", "4")], ..upload("a", "ONE") };
    store.upload_keys(again).await.unwrap();
    assert!(store.key_counts(&user("a"), "ONE", NOW).await.unwrap().unused_fallback.is_empty(), "still used");
    let fresh = KeyUpload { fallback_keys: vec![key("g", "5")], ..upload("a", "ONE") };
    store.upload_keys(fresh).await.unwrap();
    assert_eq!(store.key_counts(&user("a"), "ONE", NOW).await.unwrap().unused_fallback, ["curve"]);
}

pub(crate) async fn none_after_its_end(store: Arc<dyn Store>) {
    let keys = vec![ending("a", NOW), ending("b", NOW + 1), ending("c", NOW + 2), key("d", "d")];
    let new = KeyUpload { one_time_keys: keys, fallback_keys: vec![ending("f", NOW + 3)], ..upload("a", "ONE") };
    store.upload_keys(new).await.unwrap();
    assert_eq!(left(&store, NOW).await, (3, vec!["curve".to_owned()]));
    assert_eq!(claim_at(&store, "ONE", "curve", NOW).await.as_deref(), Some("b"));
    let names = store.key_names(&user("a"), "ONE", NOW + 1).await.unwrap();
    assert_eq!(names.one_time, [name(&ending("c", 0)), name(&key("d", ""))]);
    assert_eq!(names.fallback, [name(&key("f", ""))]);
    for (now, expected) in [(NOW + 2, Some("d")), (NOW + 2, Some("f")), (NOW + 3, None)] {
        assert_eq!(claim_at(&store, "ONE", "curve", now).await.as_deref(), expected, "{now}");
    }
    assert_eq!(left(&store, NOW + 3).await, (0, vec![]));
    // What has ended goes in pieces, and nothing else does: a, f, and that b was used.
    let keys = vec![key("e", "e"), ending("g", NOW + 4)];
    store.upload_keys(KeyUpload { one_time_keys: keys, ..upload("a", "ONE") }).await.unwrap();
    for expected in [2, 2, 0] {
        assert_eq!(store.remove_expired_keys(NOW + 3, 2).await.unwrap(), expected);
    }
    for (now, expected) in [(NOW + 3, Some("e")), (NOW + 3, Some("g")), (NOW + 3, None)] {
        assert_eq!(claim_at(&store, "ONE", "curve", now).await.as_deref(), expected);
    }
}

/// A client that repeats an upload does not bring back what was given out meanwhile, under whatever name.
pub(crate) async fn a_repeated_upload_brings_none_back(store: Arc<dyn Store>) {
    let again = |device_id: &str, id: &str, of: &str| {
        let keys = vec![NewKey { key_id: id.into(), ..ending(of, NOW + 9) }, ending("b", NOW + 9)];
        KeyUpload { one_time_keys: keys, ..upload("a", device_id) }
    };
    store.upload_keys(again("ONE", "a", "a")).await.unwrap();
    assert_eq!(claim(&store, "ONE", "curve").await.as_deref(), Some("a"));
    for id in ["a", "other"] {
        store.upload_keys(again("ONE", id, "a")).await.unwrap();
        assert_eq!(left(&store, NOW).await.0, 1);
    }
    // One that is there still is there once.
    store.upload_keys(again("ONE", "c", "b")).await.unwrap();
    assert_eq!(left(&store, NOW).await.0, 1);
    // Nor does it when it comes back with everything.
    let all = KeyWithdrawal {
        user_id: user("a"),
        device_id: "ONE".into(),
        identity: true,
        one_time: vec![],
        fallback: vec![],
    };
    store.withdraw_keys(all).await.unwrap();
    assert_eq!(left(&store, NOW).await.0, 0);
    store.upload_keys(again("ONE", "a", "a")).await.unwrap();
    assert_eq!(left(&store, NOW).await.0, 1, "only b was not given out");
    store.upload_keys(again("TWO", "a", "a")).await.unwrap();
    assert_eq!(claim(&store, "TWO", "curve").await.as_deref(), Some("a"), "the key of another device");
    let keys = vec![key("plain", "1")];
    let plain = KeyUpload { one_time_keys: keys, ..upload("a", "TWO") };
    for expected in ["b", "plain", "plain"] {
        store.upload_keys(plain.clone()).await.unwrap();
        assert_eq!(claim(&store, "TWO", "curve").await.as_deref(), Some(expected), "nothing tells it");
    }
}

pub(crate) async fn taken_back(store: Arc<dyn Store>) {
    let everything = |device_id: &str| KeyUpload {
        device_keys: Some("{}".into()),
        one_time_keys: vec![key("a", "1"), key("b", "2")],
        fallback_keys: vec![key("f", "3")],
        ..upload("a", device_id)
    };
    for (device_id, token) in [("ONE", 1), ("TWO", 2)] {
        store.put_device(device("a", device_id, token)).await.unwrap();
        store.upload_keys(everything(device_id)).await.unwrap();
    }
    let before = store.max_stream().await.unwrap();
    let withdrawal = KeyWithdrawal {
        user_id: user("a"),
        device_id: "ONE".into(),
        identity: false,
        one_time: vec![name(&key("a", "")), name(&key("f", "")), name(&key("none", ""))],
        fallback: vec![name(&key("b", ""))],
    };
    assert!(!store.withdraw_keys(withdrawal.clone()).await.unwrap());
    let names = store.key_names(&user("a"), "ONE", NOW).await.unwrap();
    assert_eq!((names.one_time, names.fallback), (vec![name(&key("b", ""))], vec![name(&key("f", ""))]));
    assert!(store.key_changes(&user("a"), before, i64::MAX).await.unwrap().is_empty(), "no news to others");
    let all = KeyWithdrawal { identity: true, one_time: vec![], fallback: vec![], ..withdrawal };
    assert!(store.withdraw_keys(all.clone()).await.unwrap());
    assert_eq!(store.key_changes(&user("a"), before, i64::MAX).await.unwrap(), [user("a")]);
    assert!(!store.withdraw_keys(all).await.unwrap(), "they are gone already");
    assert_eq!(store.key_names(&user("a"), "ONE", NOW).await.unwrap(), Default::default());
    let keys = store.user_keys(vec![user("a")], &user("a")).await.unwrap().remove(0);
    assert_eq!(keys.devices.iter().map(|device| &*device.device_id).collect::<Vec<_>>(), ["TWO"]);
    assert_eq!(store.devices(&user("a")).await.unwrap().len(), 2, "the device is there all the same");
    assert_eq!(claim(&store, "TWO", "curve").await.as_deref(), Some("a"));
}

pub(crate) async fn those_of_other_identity_keys_are_forgotten(store: Arc<dyn Store>) {
    let of_mls = |id: &str, json: &str| NewKey { algorithm: "mls.one".into(), ..key(id, json) };
    let first = KeyUpload {
        device_keys: Some("1".into()),
        one_time_keys: vec![key("a", "1"), of_mls("a", "1"), of_mls("b", "1")],
        fallback_keys: vec![key("f", "1"), of_mls("f", "1")],
        ..upload("a", "ONE")
    };
    store.upload_keys(first).await.unwrap();
    let second = |device_keys: &str, other: &str| KeyUpload {
        device_keys: Some(device_keys.into()),
        one_time_keys: vec![of_mls("a", "2"), key("a", other)],
        forget: Some("mls.".into()),
        ..upload("a", "ONE")
    };
    // All of it or nothing.
    assert!(matches!(store.upload_keys(second("2", "other")).await, Err(StoreError::Exists(_))));
    assert_eq!(left(&store, NOW).await, (3, vec!["curve".to_owned(), "mls.one".to_owned()]));
    assert!(store.upload_keys(second("2", "1")).await.unwrap());
    let names = store.key_names(&user("a"), "ONE", NOW).await.unwrap();
    assert_eq!(names.one_time, [name(&key("a", "")), name(&of_mls("a", ""))]);
    assert_eq!(names.fallback, [name(&key("f", ""))]);
}

/// Many who claim at once: each key goes to one of them.
pub(crate) async fn claimed_by_many_at_once(store: Arc<dyn Store>) {
    const KEYS: usize = 60;
    let keys: Vec<NewKey> = (0..KEYS).map(|n| key(&n.to_string(), "1")).collect();
    let new = KeyUpload { one_time_keys: keys, fallback_keys: vec![key("f", "2")], ..upload("a", "ONE") };
    store.upload_keys(new).await.unwrap();
    let tasks: Vec<_> = (0..KEYS + 20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { claim(&store, "ONE", "curve").await.unwrap() })
        })
        .collect();
    let mut times = BTreeMap::<String, usize>::new();
    for task in tasks {
        *times.entry(task.await.unwrap()).or_default() += 1;
    }
    assert_eq!(times.remove("f"), Some(20), "only when there was no other");
    assert_eq!((times.len(), times.values().sum::<usize>()), (KEYS, KEYS));
}

/// What may happen to a device's keys.
#[derive(Debug, Clone)]
enum Step {
    /// So many new one-time keys, that end after so many steps, if they do.
    Upload(usize, Option<i64>),
    /// The same keys once more, as a client does that got no answer.
    Repeat,
    /// Another fallback key, likewise.
    Fallback(Option<i64>),
    Claim,
    Withdraw,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let end = || prop::option::of(0..8_i64);
    prop_oneof![
        3 => (1..4_usize, end()).prop_map(|(count, end)| Step::Upload(count, end)),
        1 => Just(Step::Repeat),
        1 => end().prop_map(Step::Fallback),
        5 => Just(Step::Claim),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Sweep),
    ]
}

/// A device's keys as they have to be.
#[derive(Default)]
struct Model {
    made: usize,
    last: Vec<NewKey>,
    /// The oldest first.
    there: Vec<NewKey>,
    fallback: Option<NewKey>,
    claimed: BTreeSet<String>,
    withdrawn: BTreeSet<String>,
}

impl Model {
    fn make(&mut self, now: i64, end: Option<i64>) -> NewKey {
        self.made += 1;
        let id = format!("k{}", self.made);
        match end {
            Some(end) => ending(&id, now + end),
            None => key(&id, &id),
        }
    }

    /// Takes the key that is to be given out.
    fn claim(&mut self, now: i64) -> Option<String> {
        match self.there.iter().position(|key| is_good(key, now)) {
            Some(index) => Some(self.there.remove(index).key_id),
            None => self.fallback.clone().filter(|key| is_good(key, now)).map(|key| key.key_id),
        }
    }
}

/// Whatever happens in whatever order, no one-time key is given out twice, and none after its end.
pub(crate) async fn never_given_out_twice(store: Arc<dyn Store>) {
    let (mut runner, steps) = (TestRunner::default(), prop::collection::vec(step(), 1..40));
    for number in 0..40 {
        let steps = steps.new_tree(&mut runner).unwrap().current();
        let device_id = format!("D{number}");
        let mut model = Model::default();
        for (now, step) in (NOW..).zip(steps.clone()) {
            take(&store, &device_id, now, step, &mut model).await.unwrap_or_else(|wrong| panic!("{wrong}: {steps:?}"));
        }
    }
}

async fn take(store: &Arc<dyn Store>, device_id: &str, now: i64, step: Step, model: &mut Model) -> Result<(), String> {
    match step {
        Step::Upload(count, end) => {
            let keys: Vec<NewKey> = (0..count).map(|_| model.make(now, end)).collect();
            model.there.extend(keys.clone());
            model.last = keys.clone();
            store.upload_keys(KeyUpload { one_time_keys: keys, ..upload("a", device_id) }).await.unwrap();
        }
        // Of those that were given out, or taken back, only those stay away that can be told.
        Step::Repeat => {
            let comes_back = |key: &&NewKey| key.end.is_some() && !model.withdrawn.contains(&key.key_id);
            let keys: Vec<NewKey> =
                model.last.iter().filter(|key| comes_back(key) || model.there.contains(key)).cloned().collect();
            store.upload_keys(KeyUpload { one_time_keys: keys, ..upload("a", device_id) }).await.unwrap();
        }
        Step::Fallback(end) => {
            let key = model.make(now, end);
            model.fallback = Some(key.clone());
            store.upload_keys(KeyUpload { fallback_keys: vec![key], ..upload("a", device_id) }).await.unwrap();
        }
        Step::Claim => {
            let (expected, found) = (model.claim(now), claim_at(store, device_id, "curve", now).await);
            if found != expected {
                return Err(format!("{found:?} was given out, not {expected:?}"));
            }
            let is_fallback = found == model.fallback.as_ref().map(|key| key.key_id.clone());
            if let Some(found) = found.filter(|_| !is_fallback)
                && !model.claimed.insert(found.clone())
            {
                return Err(format!("{found} was given out twice"));
            }
        }
        Step::Withdraw => {
            let gone: Vec<KeyName> = model.there.drain(..model.there.len() / 2).map(|key| name(&key)).collect();
            model.withdrawn.extend(gone.iter().map(|name| name.key_id.clone()));
            let (user_id, device_id) = (user("a"), device_id.to_owned());
            let gone = KeyWithdrawal { user_id, device_id, identity: false, one_time: gone, fallback: vec![] };
            store.withdraw_keys(gone).await.unwrap();
        }
        Step::Sweep => {
            while store.remove_expired_keys(now, 3).await.unwrap() > 0 {}
            model.there.retain(|key| is_good(key, now));
        }
    }
    let counts = store.key_counts(&user("a"), device_id, now).await.unwrap();
    let expected = model.there.iter().filter(|key| is_good(key, now)).count();
    let found = counts.one_time.values().sum::<u64>();
    if found == expected as u64 { Ok(()) } else { Err(format!("{found} keys are counted, not {expected}")) }
}
