//! What each operation costs in a group of a size, and how many bytes it moves.

use std::hint::black_box;
use std::time::{Duration, Instant};

use axle_mls::event::{CommitContent, EncryptedContent, WelcomeContent};
use axle_mls::member::PendingCommit;
use axle_mls::{HubGroup, Layering, Member};
use axle_protocol::RoomId;

use super::super::machine::thread_cpu_time;
use super::super::stats::Figure;
use super::Result;
use super::floor::Floor;
use super::group::{Device, Group};
use super::report::{Bytes, Check, Costs};

/// An operation that takes less is repeated, until a round has about this: the kernel counts the CPU of a thread in ticks.
const ROUND: Duration = Duration::from_millis(60);
/// Copies of a member that a round has at most, one for each repetition.
const MOST_COPIES: usize = 64;
/// Text of a message, in bytes.
const MESSAGE_BYTES: usize = 256;

pub(super) fn measure(devices: usize, rounds: usize) -> Result<Costs> {
    let mut on_top = Group::build(Layering::OnTop, devices)?;
    let (add_on_top, _) = on_top.commit_that_adds()?;
    let check_on_top = check(&on_top, &add_on_top.content, rounds)?;
    drop(on_top);
    let mut group = Group::build(Layering::Bound, devices)?;
    let (add, spare) = group.commit_that_adds()?;
    let check_bound = check(&group, &add.content, rounds)?;
    let update = group.commit_with_a_path()?;
    let check_update = check(&group, &update.content, rounds)?;
    let reader = group.devices.get(devices - 1).ok_or("no such device")?;
    let process_add_ms = process(&group, reader, &add.content, rounds)?;
    let process_update_ms = process(&group, reader, &update.content, rounds)?;
    let (join_ms, welcome) = join(&group, &add, spare, rounds)?;
    let (join_external_ms, external) = join_external(&mut group, rounds)?;
    let (encrypt_us, decrypt_us, message) = messages(&group, devices, rounds)?;
    let bytes = Bytes {
        add_event: event(&group, &add)?,
        update_event: event(&group, &update)?,
        external_join_event: event(&group, &external)?,
        message_event: group.event_bytes(EncryptedContent::EVENT_TYPE, message.to_content())?,
        welcome,
        group_info: group.hub.group_info().len(),
        ratchet_tree: group.hub.ratchet_tree().len(),
        hub_state: group.hub.to_bytes()?.len(),
    };
    Ok(Costs {
        devices,
        check_on_top,
        check_bound,
        check_update,
        process_add_ms,
        process_update_ms,
        join_ms,
        join_external_ms,
        encrypt_us,
        decrypt_us,
        bytes,
    })
}

impl Group {
    /// A commit of the first device that adds one more, not sent; and that one.
    fn commit_that_adds(&mut self) -> Result<(PendingCommit, usize)> {
        let spare = self.new_device("A")?;
        let pending = self.commit(0, &[spare], false)?;
        let id = self.id.clone();
        self.member(0)?.discard(&id)?;
        Ok((pending, spare))
    }

    /// A commit of the first device with new keys for its whole path, not sent.
    fn commit_with_a_path(&mut self) -> Result<PendingCommit> {
        let pending = self.commit(0, &[], true)?;
        let id = self.id.clone();
        self.member(0)?.discard(&id)?;
        Ok(pending)
    }
}

fn event(group: &Group, pending: &PendingCommit) -> Result<usize> {
    group.event_bytes(CommitContent::EVENT_TYPE, pending.content.to_content())
}

/// The hub's check, and that of openmls, in turns.
fn check(group: &Group, content: &CommitContent, rounds: usize) -> Result<Check> {
    let (floor, user) = (Floor::of(group)?, group.user(0)?);
    let (mut hub, mut openmls) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        openmls.push(repeated(|| floor.check(&content.message))?);
        hub.push(repeated(|| {
            black_box(group.hub.check(black_box(content), &user, &group.room)?);
            Ok(())
        })?);
    }
    let times = hub.iter().zip(&openmls).map(|(hub, openmls)| hub.as_secs_f64() / openmls.as_secs_f64());
    Ok(Check { times: Figure::of(times.collect()), hub_ms: figure(&hub, 1e3), openmls_ms: figure(&openmls, 1e3) })
}

/// What a member needs for a commit, with the store.
fn process(group: &Group, reader: &Device, content: &CommitContent, rounds: usize) -> Result<Figure> {
    let (id, event_id) = (&group.id, group.state()?.last_commit);
    let follow = |member: &mut Member| {
        black_box(member.process(id, content, &event_id)?);
        Ok(())
    };
    once_each(rounds, || Ok(reader.copy(id)), follow)
}

/// Joins by the Welcome of a commit; its bytes.
fn join(group: &Group, add: &PendingCommit, spare: usize, rounds: usize) -> Result<(Figure, usize)> {
    let (id, user) = (&group.id, group.user(0)?);
    let mut hub = HubGroup::from_bytes(&group.hub.to_bytes()?)?;
    let staged = hub.check(&add.content, &user, &group.room)?;
    let event_id = group.state()?.last_commit;
    hub.merge(staged, event_id.clone())?;
    let (tree, welcome) = (hub.ratchet_tree(), add.welcome.clone().ok_or("no Welcome")?);
    let content = WelcomeContent { welcome, commit_event_id: event_id };
    let spare = group.devices.get(spare).ok_or("no such device")?;
    let joined =
        once_each(rounds, || Ok(spare.copy(id)), |member| Ok(member.join(id, group.layering, &content, &tree)?));
    Ok((joined?, content.welcome.len()))
}

/// Joins by a commit of its own; the last of those commits.
fn join_external(group: &mut Group, rounds: usize) -> Result<(Figure, PendingCommit)> {
    let device = group.new_device("A")?;
    let (user, state) = (group.user(device)?, group.state()?);
    let binding = group.room.binding(&user, [&user]);
    let (id, layering) = (&group.id, group.layering);
    let device = group.devices.get(device).ok_or("no such device")?;
    let mut last = None;
    let figure = once_each(
        rounds,
        || Ok(device.copy(id)),
        |member| {
            last = Some(member.join_external(id, layering, &state, &binding)?);
            Ok(member.confirm(id, &state.last_commit)?)
        },
    )?;
    Ok((figure, last.ok_or("no rounds")?))
}

/// A message from the first device to the last: each encrypted and decrypted once, in microseconds; one of them.
fn messages(group: &Group, devices: usize, rounds: usize) -> Result<(Figure, Figure, EncryptedContent)> {
    const MESSAGES_PER_ROUND: u32 = 500;
    let id: &RoomId = &group.id;
    let (first, last) = (group.devices.first().ok_or("no device")?, group.devices.get(devices - 1).ok_or("no device")?);
    let (mut sender, mut reader, text) = (first.copy(id), last.copy(id), vec![b'x'; MESSAGE_BYTES]);
    let (mut encrypted, mut decrypted, mut sample) = (Vec::new(), Vec::new(), None);
    for _ in 0..rounds {
        let (mut sent, start) = (Vec::new(), thread_cpu_time()?);
        for _ in 0..MESSAGES_PER_ROUND {
            sent.push(sender.encrypt(id, &text)?);
        }
        encrypted.push(thread_cpu_time()?.saturating_sub(start) / MESSAGES_PER_ROUND);
        let start = thread_cpu_time()?;
        for content in &sent {
            black_box(reader.decrypt(id, content)?);
        }
        decrypted.push(thread_cpu_time()?.saturating_sub(start) / MESSAGES_PER_ROUND);
        sample = sent.pop();
    }
    Ok((figure(&encrypted, 1e6), figure(&decrypted, 1e6), sample.ok_or("no rounds")?))
}

/// What an operation takes that changes nothing.
fn repeated(mut operation: impl FnMut() -> Result<()>) -> Result<Duration> {
    let (start, mut count) = (thread_cpu_time()?, 0);
    loop {
        operation()?;
        count += 1;
        let used = thread_cpu_time()?.saturating_sub(start);
        if used >= ROUND {
            return Ok(used / count);
        }
    }
}

/// What an operation takes that a member can do once, in milliseconds. Each repetition has a member of its own.
fn once_each(
    rounds: usize,
    prepare: impl Fn() -> Result<Member>,
    mut operation: impl FnMut(&mut Member) -> Result<()>,
) -> Result<Figure> {
    let (mut first, start) = (prepare()?, Instant::now());
    operation(&mut first)?;
    let copies = (ROUND.as_secs_f64() / start.elapsed().as_secs_f64()).ceil() as usize;
    let copies = copies.clamp(1, MOST_COPIES);
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut members: Vec<Member> = (0..copies).map(|_| prepare()).collect::<Result<_>>()?;
        let start = thread_cpu_time()?;
        for member in &mut members {
            operation(member)?;
        }
        times.push(thread_cpu_time()?.saturating_sub(start).div_f64(copies as f64));
    }
    Ok(figure(&times, 1e3))
}

fn figure(times: &[Duration], per_second: f64) -> Figure {
    Figure::of(times.iter().map(|time| time.as_secs_f64() * per_second).collect())
}
