//! The way back from a malicious committer: a commit that it has signed, and that nobody can apply.

use axle_mls::event::CommitContent;
use axle_mls::hub::{Refusal, Report, RollBack, Verdict};
use axle_mls::member::{CommitPlan, MemberError};
use axle_mls::{DeviceKey, HubGroup, Layering};
use openmls_traits::signatures::Signer as _;

use crate::common::sim::{LAYERINGS, Sim};
use crate::common::{ALICE, BOB, CAROL, key};

const DAVE: &str = "@dave:a.test";
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
    let mut sim = Sim::with(layering, &[ALICE, BOB, CAROL, DAVE]);
    let content = malicious_commit(&mut sim, 0).unwrap();
    let sender = sim.user_of(0);
    let staged = sim.hub().check(&content, &sender, &sim.room).unwrap();
    let event_id = sim.room.event_id();
    let merged = sim.hub_mut().merge(staged, event_id.clone()).unwrap();
    sim.snapshots.insert(merged.epoch, merged.snapshot);
    let id = sim.id.clone();
    for device in 1..4 {
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

#[test]
fn who_may_not_report_any_more_is_not_waited_for() {
    for layering in LAYERINGS {
        let (mut sim, content) = stuck_room(layering);
        let epoch = sim.hub().epoch();
        // Of the three whose reports would count, one is left in the room.
        for name in [CAROL, DAVE] {
            sim.room.part(&crate::common::user(name));
        }
        assert_eq!(report(&mut sim, 2, epoch, &content, Verdict::CannotApply).unwrap_err().code(), "not_joined");
        let roll_back = report(&mut sim, 1, epoch, &content, Verdict::CannotApply).unwrap().unwrap();
        assert_eq!(roll_back, RollBack { to_epoch: epoch - 1, committer: sim.credential(0) });
    }
}

#[test]
fn false_reports_take_nothing_back() {
    let mut sim = Sim::with(Layering::Bound, &[ALICE, BOB, CAROL, DAVE, "@eve:a.test"]);
    sim.update(0).unwrap();
    let (epoch, content) = (sim.hub().epoch(), sim.log.last().unwrap().1.clone());
    // Two say so, as many as it takes, but two say the contrary.
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
