use axle_room::inbound::{Begin, MAX_ANSWERS, MAX_PEERS, Transactions};

use crate::world::name;

const SEND: &str = "send";

#[test]
fn a_repeated_transaction_gets_the_same_answer() {
    let mut transactions = Transactions::default();
    let origin = name("one.example");
    assert_eq!(transactions.begin(&origin, SEND, "a"), Begin::Process);
    assert_eq!(transactions.begin(&origin, SEND, "a"), Begin::Wait);
    assert_eq!(transactions.begin(&origin, SEND, "b"), Begin::BadState);
    transactions.finish(&origin, SEND, "b", 2);
    assert_eq!(transactions.begin(&origin, SEND, "a"), Begin::Wait, "only what is in work can finish");
    transactions.finish(&origin, SEND, "a", 1);
    assert_eq!(transactions.begin(&origin, SEND, "a"), Begin::Answered(1));
    assert_eq!(transactions.begin(&origin, SEND, "b"), Begin::Process);
}

#[test]
fn origins_and_endpoints_are_apart() {
    let mut transactions = Transactions::<()>::default();
    assert_eq!(transactions.begin(&name("one.example"), SEND, "a"), Begin::Process);
    assert_eq!(transactions.begin(&name("two.example"), SEND, "a"), Begin::Process);
    assert_eq!(transactions.begin(&name("one.example"), "invite", "b"), Begin::Process);
}

#[test]
fn an_aborted_transaction_starts_anew() {
    let mut transactions = Transactions::<()>::default();
    let origin = name("one.example");
    transactions.begin(&origin, SEND, "a");
    transactions.abort(&origin, SEND, "a");
    assert_eq!(transactions.begin(&origin, SEND, "a"), Begin::Process);
}

#[test]
fn memory_is_bounded_and_what_is_in_work_stays() {
    let mut transactions = Transactions::default();
    let origin = name("one.example");
    for i in 0..=MAX_ANSWERS {
        let id = i.to_string();
        transactions.begin(&origin, SEND, &id);
        transactions.finish(&origin, SEND, &id, i);
    }
    assert_eq!(transactions.begin(&origin, SEND, "1"), Begin::Answered(1));
    assert_eq!(transactions.begin(&origin, SEND, "0"), Begin::Process, "the oldest answer is forgotten");

    let other = name("two.example");
    transactions.restore(&other, SEND, "x", 7);
    assert_eq!(transactions.begin(&other, SEND, "x"), Begin::Answered(7));
    for i in 0..MAX_PEERS {
        let stranger = name(&format!("s{i}.example"));
        transactions.restore(&stranger, SEND, "x", i);
    }
    assert_eq!(transactions.begin(&origin, SEND, "0"), Begin::Wait);
    assert_eq!(transactions.begin(&other, SEND, "x"), Begin::Process, "the peer not heard from is forgotten");
}
