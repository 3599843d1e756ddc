//! The forms that messages travel in.

use axle_mls::event::{CommitContent, ContentError, EncryptedContent, ProposalContent, RoomBinding, WelcomeContent};
use axle_mls::limits::{MAX_BOUND_EVENTS, MAX_MESSAGE_BYTES, MAX_QUEUED_PROPOSALS};
use axle_mls::{Layering, RoomEncryption};
use axle_protocol::EventId;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn event_id(n: u8) -> EventId {
    EventId::from_reference_hash(&[n; 32])
}

fn commit() -> CommitContent {
    CommitContent {
        message: vec![1, 2, 3],
        public_group_state: vec![4, 5],
        prev_commit_event_id: Some(event_id(1)),
        proposals: vec![vec![6], vec![7, 8]],
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn what_is_sent() {
    let encrypted = EncryptedContent { ciphertext: vec![1, 2, 3], commit_event_id: event_id(1) };
    let welcome = WelcomeContent { welcome: vec![1, 2, 3], commit_event_id: event_id(1) };
    insta::assert_json_snapshot!([
        commit().to_content(),
        CommitContent { prev_commit_event_id: None, proposals: vec![], ..commit() }.to_content(),
        encrypted.to_content(),
        welcome.to_content(),
        ProposalContent { message: vec![1, 2, 3] }.to_content(),
    ]);
    let binding = RoomBinding { auth_events: [event_id(1), event_id(2)].into(), member_event: Some([9; 32]) };
    insta::assert_snapshot!(binding.encode().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}

#[test]
fn what_is_sent_is_read() {
    assert_eq!(CommitContent::parse(&commit().to_content()), Ok(commit()));
    let first = CommitContent { prev_commit_event_id: None, proposals: vec![], ..commit() };
    assert_eq!(CommitContent::parse(&first.to_content()), Ok(first));
    let encrypted = EncryptedContent { ciphertext: vec![1, 2, 3], commit_event_id: event_id(1) };
    assert_eq!(EncryptedContent::parse(&encrypted.to_content()), Ok(encrypted));
    let welcome = WelcomeContent { welcome: vec![1, 2, 3], commit_event_id: event_id(1) };
    assert_eq!(WelcomeContent::parse(&welcome.to_content()), Ok(welcome));
    let proposal = ProposalContent { message: vec![1] };
    assert_eq!(ProposalContent::parse(&proposal.to_content()), Ok(proposal));
}

#[test]
fn fields_are_needed_and_bounded() {
    let long = axle_protocol::base64::encode(vec![0; MAX_MESSAGE_BYTES + 3]);
    for field in ["message", "public_group_state", "prev_commit_event_id", "im.axle.mls.proposals"] {
        for bad in [json!(1), json!("!"), json!(""), json!([1]), json!(long)] {
            let mut content = commit().to_content();
            content.insert(field.into(), bad.clone());
            assert_eq!(CommitContent::parse(&content), Err(ContentError::Field(field)), "{field} {bad}");
        }
    }
    let mut content = commit().to_content();
    content.insert("im.axle.mls.proposals".into(), vec!["AA"; MAX_QUEUED_PROPOSALS + 1].into());
    assert_eq!(CommitContent::parse(&content), Err(ContentError::Field("im.axle.mls.proposals")));
    let half = axle_protocol::base64::encode(vec![0; 13 * 1024]);
    content.insert("im.axle.mls.proposals".into(), vec![half.clone(), half].into());
    assert_eq!(CommitContent::parse(&content), Err(ContentError::Field("im.axle.mls.proposals")));
    for field in ["ciphertext", "commit_event_id", "algorithm"] {
        let encrypted = EncryptedContent { ciphertext: vec![1], commit_event_id: event_id(1) };
        let welcome = WelcomeContent { welcome: vec![1], commit_event_id: event_id(1) };
        let (mut message, mut invitation) = (encrypted.to_content(), welcome.to_content());
        message.remove(field);
        invitation.remove(field);
        assert_eq!(EncryptedContent::parse(&message), Err(ContentError::Field(field)));
        assert_eq!(WelcomeContent::parse(&invitation), Err(ContentError::Field(field)));
        // Each has its own algorithm.
        assert_eq!(EncryptedContent::parse(&welcome.to_content()), Err(ContentError::Algorithm));
        assert_eq!(WelcomeContent::parse(&encrypted.to_content()), Err(ContentError::Algorithm));
    }
}

#[test]
fn bindings_have_one_encoding() {
    let binding = RoomBinding { auth_events: [event_id(1), event_id(2)].into(), member_event: None };
    let good = binding.encode();
    assert_eq!(RoomBinding::decode(&good), Some(binding));
    assert_eq!(RoomBinding::decode(&[]), None);
    for end in 0..good.len() {
        assert_eq!(RoomBinding::decode(&good[..end]), None);
    }
    assert_eq!(RoomBinding::decode(&[&good[..], &[0]].concat()), None);
    // Another version; ids in another order, or twice.
    assert_eq!(RoomBinding::decode(&[&[2], &good[1..]].concat()), None);
    let list = |ids: [u8; 2]| {
        let ids: Vec<u8> = ids.iter().flat_map(|n| [&[44], event_id(*n).as_str().as_bytes()].concat()).collect();
        [&[1, 0x40, u8::try_from(ids.len()).unwrap()], &ids[..], &[0]].concat()
    };
    assert_eq!(list([1, 2]), good);
    assert_eq!(RoomBinding::decode(&list([2, 1])), None);
    assert_eq!(RoomBinding::decode(&list([1, 1])), None);
    let many = (0..=u16::try_from(MAX_BOUND_EVENTS).unwrap()).map(|n| EventId::parse(format!("$e{n}")).unwrap());
    let many = RoomBinding { auth_events: many.collect(), member_event: None };
    assert_eq!(RoomBinding::decode(&many.encode()), None);
}

#[test]
fn a_create_event_says_how_its_room_is_encrypted() {
    let of = |encryption: Value| RoomEncryption::of_create(&object(json!({"encryption": encryption})));
    let algorithm = axle_mls::algorithm::ALGORITHM;
    assert_eq!(RoomEncryption::of_create(&Map::new()), Ok(None));
    assert_eq!(of(json!({"algorithm": algorithm})), Ok(Some(RoomEncryption { layering: Layering::OnTop })));
    for layering in [Layering::OnTop, Layering::Bound] {
        let encryption = RoomEncryption { layering };
        assert_eq!(of(encryption.to_json()), Ok(Some(encryption)));
    }
    for unknown in [
        json!({}),
        json!(1),
        json!({"algorithm": "m.megolm.v1.aes-sha2"}),
        json!({"algorithm": algorithm, "im.axle.mls.layering": "under"}),
        json!({"algorithm": algorithm, "im.axle.mls.layering": 1}),
    ] {
        assert!(of(unknown).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_binding_in_its_encoding_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[1], &bytes[..]].concat();
        if let Some(binding) = RoomBinding::decode(&bytes) {
            prop_assert_eq!(binding.encode(), bytes);
        }
    }

    #[test]
    fn any_commit_is_read_as_it_was_built(
        message in proptest::collection::vec(any::<u8>(), 1..300),
        state in proptest::collection::vec(any::<u8>(), 1..300),
        proposals in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..100), 0..5),
    ) {
        let content = CommitContent { message, public_group_state: state, prev_commit_event_id: None, proposals };
        prop_assert_eq!(CommitContent::parse(&content.to_content()), Ok(content));
    }
}
