//! What is particular to a database in a file: reopening, refusing, backups, damage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::suite::fixtures::*;
use axle_protocol::auth::Membership;
use axle_protocol::{EventId, RoomId, RoomVersion};
use axle_store::sqlite::{Options, SqliteStore};
use axle_store::{
    AccountData, Append, ClientTxnKey, ClientTxnState, Direction, EventStatus, Expected, InboundResponse,
    MAX_ACCOUNT_DATA_PER_USER, NewEvent, Operator as _, OutOfRoom, PendingLpdu, PutAccountData, Receipt, ReceiptType,
    RelationQuery, Store, StoreError, ThreadPlace,
};
use rusqlite::Connection;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("axle.db")
    }

    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.file(), Options::default()).unwrap())
    }

    fn refusal(&self) -> StoreError {
        SqliteStore::open(self.file(), Options::default()).err().expect("refused")
    }

    /// Undoes what migrations after this one made.
    fn back_to(&self, version: usize) {
        let mut undo = format!("PRAGMA user_version = {version};");
        let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sqlite/migrations");
        for number in version + 1.. {
            let Ok(sql) = std::fs::read_to_string(format!("{migrations}/{number:03}.sql")) else { break };
            for line in sql.lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                let step = match words[..] {
                    ["CREATE", "TABLE", table, ..] | ["CREATE", "VIRTUAL", "TABLE", table, ..] => {
                        format!("TABLE {table}")
                    }
                    ["CREATE", "INDEX", index, ..] | ["CREATE", "UNIQUE", "INDEX", index, ..] => {
                        format!("INDEX {index}")
                    }
                    ["ALTER", "TABLE", table, "ADD", "COLUMN", column, ..] => {
                        undo = format!("ALTER TABLE {table} DROP COLUMN {column};{undo}");
                        continue;
                    }
                    _ => continue,
                };
                undo = format!("DROP {step};{undo}");
            }
        }
        self.tamper(&undo);
    }

    /// Changes the file behind the store's back.
    fn tamper(&self, sql: &str) {
        Connection::open(self.file()).unwrap().execute_batch(sql).unwrap();
    }
}

async fn fill(store: &Arc<dyn Store>) -> RoomId {
    let room_id = make_room(store, "one").await;
    let events = vec![message("join", 2), message("a", 3), state("topic", 4, "m.room.topic", "")];
    let deliveries = vec![start("b.example", 2), start("c.example", 2)];
    store.append(Append { deliveries, ..append(&room_id, Some(1), events) }).await.unwrap();
    put(store, &room_id, vec![message("b", 5), member("bob", 6, &user("bob"), Membership::Join)]).await;
    put(store, &room_id, vec![unplaced(message("w", 0), EventStatus::Waiting)]).await;
    room_id
}

async fn pending(store: &Arc<dyn Store>, name: &str) -> Vec<String> {
    let events = store.pending_events(&server(name), 0, 100).await.unwrap();
    names(events.iter().map(|event| &event.event_id))
}

fn txn_key() -> ClientTxnKey {
    ClientTxnKey { user_id: user("alice"), device_id: "D".into(), scope: "s".into(), txn_id: "1".into() }
}

/// What happened before a start is not in memory: it is looked up.
#[tokio::test]
async fn what_changed_before_a_start_is_found_after_it() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = fill(&store).await;
    let (alice, before) = (user("alice"), store.max_stream().await.unwrap());
    let receipt = Receipt {
        user_id: alice.clone(),
        receipt_type: ReceiptType::Read,
        thread: None,
        event_id: id("a"),
        position: 3,
        ts: 7,
        stream: 0,
    };
    store.put_receipt(&room_id, receipt).await.unwrap();
    let entry = AccountData { room_id: None, event_type: "a".into(), content: "{}".into(), stream: 0 };
    store.put_account_data(&alice, entry, Expected::Anything).await.unwrap();
    put(&store, &room_id, vec![state("name", 7, "m.room.name", "")]).await;
    let last = store.max_stream().await.unwrap();
    store.close().await;
    let store = folder.open();
    for (after, some) in [(before, true), (last, false)] {
        assert_eq!(store.has_receipts(&room_id, after).await.unwrap(), some);
        assert_eq!(store.has_state_changes(&room_id, after).await.unwrap(), some);
        assert_eq!(store.state_changes(&room_id, after, i64::MAX).await.unwrap().len(), usize::from(some));
        assert_eq!(store.has_account_data_changes(&alice, after).await.unwrap(), some);
        assert_eq!(store.account_data_changes(&alice, after, i64::MAX).await.unwrap().len(), usize::from(some));
    }
}

#[tokio::test]
async fn a_closed_file_is_free_whoever_holds_the_store() {
    let folder = Folder::new();
    for _ in 0..5 {
        let store = folder.open();
        store.block_room(&room("one"), true).await.unwrap();
        for _ in 0..5 {
            // Nobody waits for the end of it.
            let _ = tokio::time::timeout(std::time::Duration::ZERO, store.blocked_rooms()).await;
        }
        store.close().await;
        assert!(!folder.0.path().join("axle.db-wal").exists());
        assert!(matches!(store.blocked_rooms().await, Err(StoreError::Io(_))));
        assert_eq!(folder.open().blocked_rooms().await.unwrap(), [room("one")]);
    }
}

/// Who writes alone does not move the log into the database, since that takes long. The store's thread does now and then.
#[tokio::test]
async fn the_log_of_one_writer_does_not_grow_for_ever() {
    const APPENDS: i64 = 4_000;
    let folder = Folder::new();
    let store = folder.open();
    let room_id = make_room(&store, "r").await;
    let json = "x".repeat(6_000);
    for position in 2..APPENDS {
        let event = NewEvent { json: json.as_str().into(), ..message(&format!("m{position}"), position) };
        store.append(append(&room_id, Some(position - 1), vec![event])).await.unwrap();
    }
    let written = APPENDS * 6_000;
    let log = std::fs::metadata(folder.0.path().join("axle.db-wal")).unwrap().len();
    assert!(log < 24 << 20, "{log} bytes of log for {written} bytes of events");
    store.close().await;
    let newest = folder.open().timeline(&room_id, None, Direction::Backward, 1).await.unwrap();
    assert_eq!(newest[0].position, Some(APPENDS - 1));
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = fill(&store).await;
    let lpdu = PendingLpdu {
        id: 0,
        room_id: room_id.clone(),
        lpdu_hash: [9; 32],
        json: "{}".into(),
        client_txn: Some(txn_key()),
    };
    let lpdu_id = store.queue_lpdu(lpdu).await.unwrap();
    let redaction = NewEvent { redacts: Some(id("later")), ..message("r", 7) };
    put(&store, &room_id, vec![redaction]).await;
    let acknowledged = store.event(&id("a")).await.unwrap().unwrap().stream;
    store.acknowledge(&server("b.example"), acknowledged);
    store.record_attempt(&server("c.example"), 77, Some("down".into()));
    store.record_inbound(&server("b.example"), "send", "t", InboundResponse { status: 200, body: "{}".into() });
    let max = store.max_stream().await.unwrap();
    drop(store);

    let store = folder.open();
    assert_eq!(store.max_stream().await.unwrap(), max);
    let loaded = store.load_room(&room_id).await.unwrap().unwrap();
    assert_eq!((loaded.head.unwrap().position, loaded.state.len(), loaded.waiting.len()), (7, 4, 1));
    assert_eq!(pending(&store, "b.example").await, ["topic", "b", "bob", "r"], "acknowledgements are written");
    assert_eq!(pending(&store, "c.example").await, ["a", "topic", "b", "bob", "r"]);
    let status = store.destinations().await.unwrap();
    assert_eq!((status[0].pending, status[1].pending), (4, 5));
    assert_eq!((status[1].failing_since, status[1].last_error.as_deref()), (Some(77), Some("down")));
    let response = store.inbound_response(&server("b.example"), "send", "t").await.unwrap();
    assert_eq!(response.unwrap().status, 200);
    assert_eq!(store.pending_lpdus(None).await.unwrap()[0].id, lpdu_id);
    let txn = store.client_txn(&txn_key()).await.unwrap();
    assert!(matches!(txn, Some(ClientTxnState::Pending { .. })), "{txn:?}");
    let later = put(&store, &room_id, vec![message("later", 8)]).await;
    assert_eq!(later.streams, [max + 1]);
    assert_eq!(store.event(&id("later")).await.unwrap().unwrap().redacted_by, Some(id("r")));
    // Old and new together, once what is old has been looked up.
    assert_eq!(pending(&store, "b.example").await, ["topic", "b", "bob", "r", "later"]);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn stream_positions_are_never_given_twice() {
    let folder = Folder::new();
    let store = folder.open();
    let entry = OutOfRoom {
        user_id: user("alice"),
        room_id: room("far"),
        room_version: RoomVersion::I1,
        membership: Membership::Invite,
        event_id: id("invite"),
        json: "{}".into(),
        stripped_state: "[]".into(),
        via: Vec::new(),
        stream: 0,
    };
    let stream = store.put_out_of_room(entry).await.unwrap();
    store.remove_out_of_room(&user("alice"), &room("far")).await.unwrap();
    drop(store);
    assert_eq!(folder.open().max_stream().await.unwrap(), stream);
}

#[tokio::test]
async fn account_data_is_kept_and_limited() {
    let folder = Folder::new();
    let entry = |event_type: &str| AccountData {
        room_id: Some(room("one")),
        event_type: event_type.into(),
        content: r#"{"a":1}"#.into(),
        stream: 0,
    };
    let alice = user("alice");
    let store = folder.open();
    let put = store.put_account_data(&alice, entry("first"), Expected::Nothing).await.unwrap();
    let PutAccountData::Stored(stream) = put else { panic!("{put:?}") };
    drop(store);
    folder.tamper(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < {MAX_ACCOUNT_DATA_PER_USER})
         INSERT INTO account_data SELECT '{alice}', '', 'type' || n, '{{}}', 0 FROM n"
    ));
    let store = folder.open();
    assert_eq!(store.max_stream().await.unwrap(), stream);
    let kept = store.account_data(&alice, Some(&room("one")), "first").await.unwrap();
    assert_eq!(kept, Some(AccountData { stream, ..entry("first") }));
    let put = async |who, event_type| store.put_account_data(who, entry(event_type), Expected::Anything).await.unwrap();
    assert_eq!(put(&alice, "new").await, PutAccountData::Full);
    assert_eq!(put(&alice, "first").await, PutAccountData::Stored(stream + 1), "it replaces another");
    assert_eq!(put(&user("bob"), "new").await, PutAccountData::Stored(stream + 2));
}

#[tokio::test]
async fn destinations_that_have_everything_stay_so_after_reopening() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = fill(&store).await;
    store.acknowledge(&server("b.example"), store.max_stream().await.unwrap());
    drop(store);
    let store = folder.open();
    assert_eq!(store.pending_destinations().await.unwrap(), [server("c.example")]);
    assert!(pending(&store, "b.example").await.is_empty());
    put(&store, &room_id, vec![message("new", 7)]).await;
    assert_eq!(pending(&store, "b.example").await, ["new"]);
    assert_eq!(pending(&store, "c.example").await, ["a", "topic", "b", "bob", "new"]);
}

#[tokio::test]
async fn a_second_process_is_kept_away() {
    let folder = Folder::new();
    let store = folder.open();
    let refusal = folder.refusal().to_string();
    assert!(refusal.contains("in use by another process"), "{refusal}");
    drop(store);
    folder.open();
}

#[tokio::test]
async fn reading_beside_a_running_server() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = fill(&store).await;
    let options = Options { read_only: true, ..Options::default() };
    let reader = SqliteStore::open(folder.file(), options).unwrap();
    put(&store, &room_id, vec![message("new", 7)]).await;
    let reader: Arc<dyn Store> = Arc::new(reader);
    assert_eq!(head(&reader, &room_id).await, Some(7));
    assert_eq!(reader.max_stream().await.unwrap(), store.max_stream().await.unwrap());
    assert!(reader.check().await.unwrap().is_empty());
    let refused = try_put(&reader, &room_id, vec![message("x", 8)]).await;
    assert!(refused.unwrap_err().to_string().contains("reading only"));
    let missing = SqliteStore::open(folder.0.path().join("none.db"), Options { read_only: true, ..Options::default() });
    assert!(missing.is_err());
    assert!(!folder.0.path().join("none.db").exists());
}

#[tokio::test]
async fn schemas_that_are_not_ours_are_refused() {
    let folder = Folder::new();
    drop(folder.open());
    folder.tamper("PRAGMA user_version = 99");
    let newer = folder.refusal();
    assert!(matches!(newer, StoreError::Schema(_)) && newer.to_string().contains("has schema 99"), "{newer}");

    let other = Folder::new();
    other.tamper("CREATE TABLE notes (text)");
    let before = std::fs::read(other.file()).unwrap();
    let refusal = other.refusal();
    assert!(refusal.to_string().contains("another program"), "{refusal}");
    assert_eq!(std::fs::read(other.file()).unwrap(), before, "nothing is changed in a database that is refused");

    let text = Folder::new();
    std::fs::write(text.file(), "not a database, but long enough to be looked at ".repeat(100)).unwrap();
    let refusal = text.refusal().to_string();
    assert!(refusal.contains("not a database"), "{refusal}");
}

#[tokio::test]
async fn a_damaged_file_is_told_in_plain_words() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = make_room(&store, "one").await;
    let large: Arc<str> = "x".repeat(2000).into();
    let event = |position| NewEvent { json: large.clone(), ..message(&format!("m{position}"), position) };
    put(&store, &room_id, (2..400).map(event).collect()).await;
    drop(store);
    // An index: reading by position goes through it.
    let whole = std::fs::read(folder.file()).unwrap();
    let index = "SELECT pageno FROM dbstat WHERE name = 'event_by_position' AND pagetype = 'leaf' LIMIT 1";
    let page: i64 = Connection::open(folder.file()).unwrap().query_row(index, [], |row| row.get(0)).unwrap();
    let start = usize::try_from(page - 1).unwrap() * 4096;
    let mut damaged = whole.clone();
    damaged[start..start + 4096].fill(0xa5);
    std::fs::write(folder.file(), damaged).unwrap();
    let store = folder.open();
    let found = store.check().await.unwrap_or_else(|error| vec![error.to_string()]);
    assert!(!found.is_empty());
    let told = store.timeline(&room_id, None, Direction::Forward, 1000).await.unwrap_err().to_string();
    assert!(told.contains("damaged") && told.contains("backup"), "{told}");
    drop(store);
    // The newest events: they are read when the store is opened.
    let mut damaged = whole;
    let holds_event = |page: &&mut [u8]| page.windows(1000).any(|part| part == &large.as_bytes()[..1000]);
    damaged.chunks_mut(4096).filter(holds_event).nth(100).unwrap().fill(0xa5);
    std::fs::write(folder.file(), damaged).unwrap();
    let refusal = folder.refusal().to_string();
    assert!(refusal.contains("damaged") && refusal.contains("backup"), "{refusal}");
    // Half of the file is gone: it does not even open.
    std::fs::File::options().write(true).open(folder.file()).unwrap().set_len(5000).unwrap();
    let refusal = folder.refusal().to_string();
    assert!(refusal.contains("damaged") && refusal.contains("backup"), "{refusal}");
}

fn many(position: i64) -> NewEvent {
    let mut hash = [0; 32];
    // Spread like a hash.
    hash[..8].copy_from_slice(&(position as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    with_lpdu(NewEvent { event_id: EventId::from_reference_hash(&hash), ..message("x", position) }, hash)
}

async fn assert_found(store: &Arc<dyn Store>, room_id: &RoomId, until: i64) {
    for position in (2..until).step_by(97) {
        let event = many(position);
        let found = store.event(&event.event_id).await.unwrap().map(|found| found.position);
        assert_eq!(found, Some(Some(position)));
        let known = store.known_lpdus(room_id, &[event.lpdu_hash.unwrap()]).await.unwrap();
        assert_eq!(known.len(), 1, "{position}");
    }
    let unknown = many(until + 1);
    assert!(store.event(&unknown.event_id).await.unwrap().is_none());
    assert!(store.known_lpdus(room_id, &[unknown.lpdu_hash.unwrap()]).await.unwrap().is_empty());
}

#[tokio::test]
async fn events_are_found_wherever_their_index_is() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = make_room(&store, "one").await;
    let reader: Arc<dyn Store> =
        Arc::new(SqliteStore::open(folder.file(), Options { read_only: true, ..Options::default() }).unwrap());
    let (mut position, end) = (2, 15_002);
    while position < end {
        put(&store, &room_id, (position..position + 250).map(many).collect()).await;
        position += 250;
        if position % 2500 == 2 {
            assert_found(&store, &room_id, position).await;
            assert_found(&reader, &room_id, position).await;
        }
    }
    // Stored once, wherever it is found.
    let again = put(&store, &room_id, (2..15_002).step_by(500).map(many).collect()).await;
    assert_eq!(again.streams.len(), 30);
    assert_eq!(head(&store, &room_id).await, Some(end - 1));
    assert!(store.check().await.unwrap().is_empty());
    drop((store, reader));
    let store = folder.open();
    assert_found(&store, &room_id, end).await;
    drop(store);
    let conn = Connection::open(folder.file()).unwrap();
    let indexed: i64 = conn.query_row("SELECT indexed_to FROM event_index", [], |row| row.get(0)).unwrap();
    assert!((4000..end).contains(&indexed), "{indexed}: some in the index, some not");
    folder.tamper("DELETE FROM event_key WHERE stream = 2000");
    let findings = folder.open().check().await.unwrap();
    assert!(findings.iter().any(|finding| finding.contains("not in the index")), "{findings:?}");
}

#[tokio::test]
async fn a_backup_is_whole_while_others_write() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = fill(&store).await;
    let writer = {
        let (store, room_id) = (store.clone(), room_id.clone());
        tokio::spawn(async move {
            for position in 7..300 {
                put(&store, &room_id, vec![message(&format!("m{position}"), position)]).await;
            }
        })
    };
    while head(&store, &room_id).await < Some(50) {
        tokio::task::yield_now().await;
    }
    let copy = folder.0.path().join("copy.db");
    store.put_id_token_key(vec![1, 2]).await.unwrap();
    store.backup(&copy).await.unwrap();
    writer.await.unwrap();
    let again = store.backup(&copy).await;
    assert!(matches!(again, Err(StoreError::Exists(_))), "{again:?}");
    let restored: Arc<dyn Store> = Arc::new(SqliteStore::open(&copy, Options::default()).unwrap());
    assert!(restored.check().await.unwrap().is_empty());
    let head_then = head(&restored, &room_id).await.unwrap();
    assert!((50..300).contains(&head_then), "{head_then}");
    let events = restored.timeline(&room_id, None, Direction::Forward, 1000).await.unwrap();
    assert_eq!(events.len() as i64, head_then + 1);
    assert_eq!(restored.id_token_key().await.unwrap(), Some(vec![1, 2]));
    put(&restored, &room_id, vec![message("here", head_then + 1)]).await;
    assert!(!partial(&copy).exists());
    let nowhere = store.backup(&folder.0.path().join("no/such/folder/copy.db")).await;
    assert!(matches!(nowhere, Err(StoreError::Io(_))), "{nowhere:?}");
}

fn partial(copy: &Path) -> PathBuf {
    copy.with_extension("db.partial")
}

/// Plants damage in a store's file and returns what the check says.
async fn findings_after(sql: &str) -> Vec<String> {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = fill(&store).await;
    let redaction = NewEvent { redacts: Some(id("a")), ..message("r", 7) };
    put(&store, &room_id, vec![redaction, message("gap", 10)]).await;
    assert!(store.check().await.unwrap().is_empty());
    drop(store);
    folder.tamper(sql);
    let store = SqliteStore::open(folder.file(), Options::default()).unwrap();
    store.check().await.unwrap()
}

#[tokio::test]
async fn the_check_finds_planted_damage() {
    let cases = [
        ("DELETE FROM event WHERE event_id = '$b'", "lacks what was between positions 4 and 6"),
        ("DELETE FROM event WHERE event_id = '$b'", "8 events with a position, 9 were stored"),
        ("DELETE FROM event WHERE event_id = '$gap'", "is counted up to 10, it ends at 7"),
        ("DELETE FROM gap", "lacks what was between positions 7 and 10"),
        ("DELETE FROM event WHERE event_id = '$topic'", "m.room.topic"),
        ("DELETE FROM current_state WHERE event_type = 'm.room.topic'", "its changes say $topic"),
        (
            "UPDATE current_state SET event_id = '$a' WHERE event_type = 'm.room.topic'",
            "from the event $a, which is not in its log",
        ),
        ("DELETE FROM state_change WHERE state_key LIKE '@alice%'", "lacks its parent"),
        ("UPDATE current_state SET membership = 'ban' WHERE state_key LIKE '@bob%'", "as ban"),
        ("UPDATE event SET status = 3 WHERE event_id = '$b'", "was not accepted"),
        ("UPDATE event SET stream = 99 WHERE event_id = '$b'", "is newer than its room"),
        ("UPDATE event SET redacted_by = '$none' WHERE event_id = '$a'", "redacted by $none"),
        ("DELETE FROM destination", "is not there"),
        ("DELETE FROM room", "in a room that is not there"),
    ];
    for (sql, expected) in cases {
        let findings = findings_after(sql).await;
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{sql}: {findings:#?}");
    }
}

#[tokio::test]
async fn relations_of_an_older_database_are_found() {
    let folder = Folder::new();
    let store = folder.open();
    let room_id = make_room(&store, "one").await;
    let with_content = |name: &str, position, relation: serde_json::Value| NewEvent {
        json: serde_json::json!({
            "type": "m.room.message",
            "sender": user("alice"),
            "content": {"body": name, "m.relates_to": relation},
        })
        .to_string()
        .into(),
        ..message(name, position)
    };
    let relation = |rel_type: &str, target: &str| serde_json::json!({"rel_type": rel_type, "event_id": target});
    let reply = serde_json::json!({"m.in_reply_to": {"event_id": "$a"}});
    let redaction = NewEvent { redacts: Some(id("gone")), ..message("r", 9) };
    let events = vec![
        message("a", 2),
        with_content("edit", 3, relation("m.replace", "$a")),
        with_content("t1", 4, relation("m.thread", "$a")),
        with_content("t2", 5, relation("m.thread", "$a")),
        with_content("gone", 6, relation("m.thread", "$a")),
        with_content("reply", 7, reply),
        with_content("strange", 8, relation("m.thread", "not an id")),
        redaction,
        NewEvent { json: "no JSON".into(), ..message("odd", 10) },
    ];
    put(&store, &room_id, events).await;
    drop(store);
    // As it was before there were relations.
    folder.back_to(7);
    let store = folder.open();
    let query = RelationQuery {
        target: id("a"),
        rel_type: None,
        event_type: Some("m.room.message".into()),
        recurse: false,
        direction: Direction::Forward,
        from: None,
        limit: 100,
    };
    let found = store.relations(&room_id, &query).await.unwrap();
    assert_eq!(names(found.iter().map(|event| &event.event_id)), ["edit", "t1", "t2"]);
    let threads = store.threads(&room_id, &user("alice"), i64::MAX, 10).await.unwrap();
    assert_eq!(threads, [ThreadPlace { root: id("a"), latest: 5, participated: true }]);
    assert!(store.check().await.unwrap().is_empty());
    drop(store);
    folder.tamper("UPDATE thread SET latest = 4; UPDATE relation SET position = 99 WHERE event_id = '$edit'");
    let findings = folder.open().check().await.unwrap();
    for expected in ["the thread of $a ends at 5, not at 4", "$edit is kept as related to $a"] {
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:?}");
    }
}
