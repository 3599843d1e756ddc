//! The way back from a malicious committer: a commit that it has signed, and that nobody can apply.

use axle_mls::event::CommitContent;
use axle_mls::hub::{Refusal, Report, RollBack, Verdict, heeds_applied};
use axle_mls::limits::{MAX_REPORTERS, MAX_USER_REPORTS};
use axle_mls::member::{CommitPlan, MemberError};
use axle_mls::{DeviceKey, HubGroup, Layering};
use openmls_traits::signatures::Signer as _;

use crate::common::sim::{LAYERINGS, Sim};
use crate::common::{ALICE, BOB, CAROL, key};

const DAVE: &str = "@dave:a.test";
const EVE: &str = "@eve:a.test";
/// A vector with an Ed25519 signature.
const SIGNATURE_BYTES: usize = 2 + 64;

/// A commit of a device whose confirmation tag is wrong, and signed; `None` if the hub would not even take an honest one.
/// The honest one waits in the device.
pub(crate) fn malicious_commit(sim: &mut Sim, device: usize) -> Option<CommitContent> {
    let plan = CommitPlan { update: true, ..sim.plan(device, &[], &[]) };
    let mut content = sim.commit(device, plan).content;
    // What a hub rebuilds of the honest commit, with another tag in it.
    let mut copy = HubGroup::from_bytes(&sim.hub().to_bytes().unwrap()).unwrap();
    let staged = copy.check(&content, &sim.user_of(device), &sim.room).ok()?;
    copy.merge(staged, sim.room.event_id()).unwrap();
    let mut signed = copy.group_info().to_vec();
    signed.truncate(signed.len() - SIGNATURE_BYTES);
    let tag_at = signed.len() - 4 - 1;
    signed[tag_at] ^= 1;
    let author = sim.credential(device);
    let key = key(author.user_id.as_str(), &author.device_id);
    let signature = sign_with_label(&key, "GroupInfoTBS", &signed);
    let message_at = content.message.len() - 33 - 1;
    content.message[message_at] ^= 1;
    let parts = match sim.layering {
        Layering::Bound => content.public_group_state[..content.public_group_state.len() - SIGNATURE_BYTES].to_vec(),
        _ => signed,
    };
    content.public_group_state = [parts, vec![0x40, 0x40], signature].concat();
    Some(content)
}

/// SignWithLabel (RFC 9420, section 5.1.2).
fn sign_with_label(key: &DeviceKey, label: &str, content: &[u8]) -> Vec<u8> {
    let label = format!("MLS 1.0 {label}");
    let length = u16::try_from(content.len()).unwrap() | 0x4000;
    let bytes = [&[u8::try_from(label.len()).unwrap()], label.as_bytes(), &length.to_be_bytes(), content].concat();
    key.sign(&bytes).unwrap()
}

/// A room of four, with a commit of the first in its log that the others cannot apply.
fn stuck_room(layering: Layering) -> (Sim, CommitContent) {
    stuck_room_of(layering, &[ALICE, BOB, CAROL, DAVE])
}

fn stuck_room_of(layering: Layering, names: &[&str]) -> (Sim, CommitContent) {
    let mut sim = Sim::with(layering, names);
    let content = malicious_commit(&mut sim, 0).unwrap();
    let sender = sim.user_of(0);
    let staged = sim.hub().check(&content, &sender, &sim.room).unwrap();
    let event_id = sim.room.event_id();
    let merged = sim.hub_mut().merge(staged, event_id.clone()).unwrap();
    sim.snapshots.insert(merged.epoch, merged.snapshot);
    let id = sim.id.clone();
    for device in 1..names.len() {
        let error = sim.member(device).process(&id, &content, &event_id).unwrap_err();
        assert!(matches!(error, MemberError::CannotApply(_)), "{error}");
    }
    (sim, content)
}

fn report(
    sim: &mut Sim,
    by: usize,
    epoch: u64,
    content: &CommitContent,
    verdict: Verdict,
) -> Result<Option<RollBack>, Refusal> {
    let id = sim.id.clone();
    let report = sim.member(by).report(&id, epoch, &content.message, verdict);
    let report = Report::parse(&report.to_json()).unwrap();
    let room = std::mem::take(&mut sim.room);
    let result = sim.hub_mut().report(report, &room);
    sim.room = room;
    result
}

#[test]
fn a_commit_that_nobody_can_apply_is_taken_back() {
    for layering in LAYERINGS {
        let (mut sim, content) = stuck_room(layering);
        let epoch = sim.hub().epoch();
        assert_eq!(report(&mut sim, 1, epoch, &content, Verdict::CannotApply), Ok(None));
        // The same device counts once, also after a restart.
        assert_eq!(report(&mut sim, 1, epoch, &content, Verdict::CannotApply), Ok(None));
        let restored = HubGroup::from_bytes(&sim.hub().to_bytes().unwrap()).unwrap();
        sim.replace_hub(restored);
        let roll_back = report(&mut sim, 2, epoch, &content, Verdict::CannotApply).unwrap().unwrap();
        assert_eq!(roll_back, RollBack { to_epoch: epoch - 1, committer: sim.credential(0) });
        let hub = sim.hub().roll_back(&roll_back, &sim.snapshots[&roll_back.to_epoch]).unwrap();
        sim.replace_hub(hub);
        assert_eq!(sim.hub().epoch(), epoch - 1);
        assert_eq!(sim.hub().quarantine(), [sim.credential(0)]);
        // The room goes on without that device's commits.
        let id = sim.id.clone();
        sim.member(0).discard(&id).unwrap();
        assert_eq!(sim.update(0).unwrap_err(), Refusal::Quarantined);
        sim.update(1).unwrap();
        sim.talk(2, &[1, 3]);
        assert_eq!(sim.join_external(0).unwrap_err(), Refusal::Quarantined);
        // Somebody removes it; when it is released, it may come again.
        let alice = sim.credential(0);
        sim.remove(3, std::slice::from_ref(&alice)).unwrap();
        sim.hub_mut().release(&alice);
        sim.join_external(0).unwrap();
        sim.assert_agreement();
    }
}

/// A hub that was restored from a backup, and gets its own log back: the commit is in it, and those that were made in its place.
#[test]
fn what_was_taken_back_is_taken_back_again() {
    for layering in LAYERINGS {
        let (mut sim, content) = stuck_room(layering);
        let (epoch, stuck) = (sim.hub().epoch(), sim.hub().last_commit().unwrap().clone());
        let backup = sim.snapshots[&(epoch - 1)].clone();
        report(&mut sim, 1, epoch, &content, Verdict::CannotApply).unwrap();
        let roll_back = report(&mut sim, 2, epoch, &content, Verdict::CannotApply).unwrap().unwrap();
        let hub = sim.hub().roll_back(&roll_back, &backup).unwrap();
        sim.replace_hub(hub);
        let id = sim.id.clone();
        sim.member(0).discard(&id).unwrap();
        let since = sim.log.len();
        sim.update(1).unwrap();
        sim.update(2).unwrap();

        let mut restored = HubGroup::from_bytes(&backup).unwrap();
        restored.replay(&content, &sim.room, stuck).unwrap();
        assert!(restored.replay_back(epoch - 2, &backup).is_err(), "a state of another epoch");
        let mut restored = restored.replay_back(epoch - 1, &backup).unwrap();
        for (event_id, content) in &sim.log[since..] {
            restored.replay(content, &sim.room, event_id.clone()).unwrap();
        }
        assert_eq!((restored.epoch(), restored.group_info()), (sim.hub().epoch(), sim.hub().group_info()));
        assert_eq!(restored.quarantine(), [sim.credential(0)]);
        sim.replace_hub(restored);
        sim.update(3).unwrap();
        sim.talk(2, &[1, 3]);
    }
}

#[test]
fn who_may_not_report_any_more_is_not_waited_for() {
    for layering in LAYERINGS {
        let (mut sim, content) = stuck_room_of(layering, &[ALICE, BOB, CAROL, DAVE, EVE]);
        let epoch = sim.hub().epoch();
        // Of the four whose reports would count, two are left in the room.
        for name in [DAVE, EVE] {
            sim.room.part(&crate::common::user(name));
        }
        assert_eq!(report(&mut sim, 3, epoch, &content, Verdict::CannotApply).unwrap_err().code(), "not_joined");
        assert_eq!(report(&mut sim, 1, epoch, &content, Verdict::CannotApply), Ok(None));
        let roll_back = report(&mut sim, 2, epoch, &content, Verdict::CannotApply).unwrap().unwrap();
        assert_eq!(roll_back, RollBack { to_epoch: epoch - 1, committer: sim.credential(0) });
    }
}

#[test]
fn false_reports_take_nothing_back() {
    let (mut sim, epoch, content) = good_commit(&[ALICE, BOB, CAROL, DAVE, EVE]);
    // Two of four.
    for (device, verdict) in
        [(1, Verdict::CannotApply), (2, Verdict::Applied), (3, Verdict::Applied), (4, Verdict::CannotApply)]
    {
        assert_eq!(report(&mut sim, device, epoch, &content, verdict), Ok(None));
    }
    // As soon as another has built on it, it stands.
    sim.update(2).unwrap();
    for device in 1..4 {
        let useless = report(&mut sim, device, epoch, &content, Verdict::CannotApply);
        assert_eq!(useless, Err(Refusal::ReportUseless));
    }
    sim.assert_agreement();
}

/// A room with a commit of the first that the others can apply.
fn good_commit(names: &[&str]) -> (Sim, u64, CommitContent) {
    let mut sim = Sim::with(Layering::Bound, names);
    sim.update(0).unwrap();
    let (epoch, content) = (sim.hub().epoch(), sim.log.last().unwrap().1.clone());
    (sim, epoch, content)
}

#[test]
fn one_person_takes_nothing_back_with_however_many_devices() {
    for names in [&[ALICE, BOB][..], &[ALICE, BOB, CAROL], &[ALICE, BOB, CAROL, DAVE, EVE]] {
        let mut sim = Sim::with(Layering::Bound, names);
        let further: Vec<usize> = (0..10).map(|n| sim.device(BOB, &format!("D{n}"))).collect();
        sim.add(0, &further).unwrap();
        sim.update(0).unwrap();
        let (epoch, content) = (sim.hub().epoch(), sim.log.last().unwrap().1.clone());
        for device in std::iter::once(1).chain(further) {
            assert_eq!(report(&mut sim, device, epoch, &content, Verdict::CannotApply), Ok(None));
        }
        assert!(sim.hub().quarantine().is_empty());
        // Nobody waits for whoever says nothing, either: the room goes on.
        sim.update(0).unwrap();
        sim.assert_agreement();
    }
}

#[test]
fn what_a_person_says_with_many_devices_drives_out_nobody_else_s_word() {
    let mut sim = Sim::with(Layering::Bound, &[ALICE, BOB, CAROL, DAVE]);
    let further: Vec<usize> = (0..MAX_USER_REPORTS + 2).map(|n| sim.device(BOB, &format!("D{n}"))).collect();
    sim.add(0, &further).unwrap();
    let (epoch, content) = (sim.hub().epoch(), sim.log.last().unwrap().1.clone());
    assert_eq!(report(&mut sim, 2, epoch, &content, Verdict::CannotApply), Ok(None));
    let before = sim.hub().to_bytes().unwrap().len();
    for device in &further {
        assert_eq!(report(&mut sim, *device, epoch, &content, Verdict::Applied), Ok(None));
    }
    let each = (sim.hub().to_bytes().unwrap().len() - before) / MAX_USER_REPORTS;
    for device in &further {
        assert_eq!(report(&mut sim, *device, epoch, &content, Verdict::Applied), Ok(None));
    }
    assert!(sim.hub().to_bytes().unwrap().len() - before < each * (MAX_USER_REPORTS + 1));
    // The first report still counts.
    assert!(report(&mut sim, 3, epoch, &content, Verdict::CannotApply).unwrap().is_some());
}

#[test]
fn the_people_of_one_server_take_nothing_back_alone() {
    let names = ["@a:one.test", "@b:two.test", "@c:two.test", "@d:two.test", "@e:three.test"];
    let (mut sim, epoch, content) = good_commit(&names);
    for device in 1..4 {
        assert_eq!(report(&mut sim, device, epoch, &content, Verdict::CannotApply), Ok(None));
    }
    assert!(report(&mut sim, 4, epoch, &content, Verdict::CannotApply).unwrap().is_some());
    // Where there is no other server, they do.
    let (mut sim, epoch, content) = good_commit(&["@a:one.test", "@b:one.test", "@c:one.test", "@d:one.test"]);
    assert_eq!(report(&mut sim, 1, epoch, &content, Verdict::CannotApply), Ok(None));
    assert!(report(&mut sim, 2, epoch, &content, Verdict::CannotApply).unwrap().is_some());
}

#[test]
fn in_a_large_group_a_few_are_enough_if_more_do_not_say_the_contrary() {
    let names: Vec<String> = (0..12).map(|n| format!("@user{n}:s{}.test", n % 3)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(heeds_applied(names.len() - 1) && !heeds_applied(3));
    let (mut sim, epoch, content) = good_commit(&names);
    for device in 1..MAX_REPORTERS {
        assert_eq!(report(&mut sim, device, epoch, &content, Verdict::CannotApply), Ok(None));
    }
    for device in 7..7 + MAX_REPORTERS {
        assert_eq!(report(&mut sim, device, epoch, &content, Verdict::Applied), Ok(None));
    }
    assert_eq!(report(&mut sim, 4, epoch, &content, Verdict::CannotApply), Ok(None));
    assert!(report(&mut sim, 5, epoch, &content, Verdict::CannotApply).unwrap().is_some());
}

#[test]
fn what_one_of_two_cannot_apply_they_leave_behind() {
    for layering in LAYERINGS {
        let (mut sim, content) = stuck_room_of(layering, &[ALICE, BOB]);
        let epoch = sim.hub().epoch();
        assert_eq!(report(&mut sim, 1, epoch, &content, Verdict::CannotApply), Ok(None));
        let id = sim.id.clone();
        sim.member(0).discard(&id).unwrap();
        // It cannot apply it either, and so follows nothing; but it may come after.
        sim.devices[0].seen = usize::MAX;
        sim.join_external(1).unwrap();
        sim.join_external(0).unwrap();
        sim.assert_agreement();
        sim.talk(0, &[1]);
        sim.talk(1, &[0]);
    }
}

#[test]
fn only_members_report_and_only_what_they_signed() {
    let (mut sim, content) = stuck_room(Layering::Bound);
    let epoch = sim.hub().epoch();
    // The committer itself, a device that is not in the group, another commit, another epoch.
    assert_eq!(report(&mut sim, 0, epoch, &content, Verdict::CannotApply), Err(Refusal::ReportUseless));
    let stranger = sim.device("@eve:a.test", "A");
    assert_eq!(report(&mut sim, stranger, epoch, &content, Verdict::CannotApply), Err(Refusal::NotAMember));
    let mut other = content.clone();
    other.message[0] ^= 1;
    assert_eq!(report(&mut sim, 1, epoch, &other, Verdict::CannotApply), Err(Refusal::ReportUseless));
    assert_eq!(report(&mut sim, 1, epoch + 1, &content, Verdict::CannotApply), Err(Refusal::ReportUseless));
    let before = sim.hub().to_bytes().unwrap();
    let id = sim.id.clone();
    let good = sim.member(1).report(&id, epoch, &content.message, Verdict::Applied).to_json();
    let forged = Report::parse(&good.replace("\"applied\"", "\"cannot_apply\"")).unwrap();
    let room = std::mem::take(&mut sim.room);
    assert_eq!(sim.hub_mut().report(forged, &room), Err(Refusal::Signature));
    assert_eq!(sim.hub().to_bytes().unwrap(), before);
    for bad in ["", "{}", "[]", &good.replace("epoch", "epoc"), &"x".repeat(10_000)] {
        assert_eq!(Report::parse(bad), Err(Refusal::Malformed("the report")));
    }
}

#[test]
fn a_state_of_another_epoch_is_not_gone_back_to() {
    let (mut sim, content) = stuck_room(Layering::Bound);
    let epoch = sim.hub().epoch();
    report(&mut sim, 1, epoch, &content, Verdict::CannotApply).unwrap();
    let roll_back = report(&mut sim, 2, epoch, &content, Verdict::CannotApply).unwrap().unwrap();
    assert!(sim.hub().roll_back(&roll_back, &sim.snapshots[&epoch]).is_err());
    assert!(sim.hub().roll_back(&roll_back, &sim.snapshots[&1]).is_err());
    assert!(sim.hub().roll_back(&roll_back, b"").is_err());
}
