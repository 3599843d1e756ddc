//! A group that grows: how many commits that takes, how large their events are, and what becomes of a group in which only
//! one device ever takes new keys.

use axle_mls::Layering;
use axle_mls::event::CommitContent;
use axle_protocol::limits::MAX_EVENT_BYTES;

use super::Result;
use super::group::{BATCH, Group};
use super::report::Growth;

pub(super) fn measure(devices: usize) -> Result<Growth> {
    let group = Group::build(Layering::Bound, devices)?;
    let commits = group.log.len();
    let largest_event = group.largest_event;
    if group.hub.members().count() != devices || largest_event > MAX_EVENT_BYTES {
        return Err(format!("{devices} devices: the largest event has {largest_event} bytes").into());
    }
    drop(group);
    Ok(Growth { devices, batch: BATCH, commits, largest_event, path_without_updates: path_without_updates(devices)? })
}

/// The event of a commit with a path, in a group whose first device has added all others, none of which has committed.
fn path_without_updates(devices: usize) -> Result<usize> {
    let mut group = Group::new(Layering::Bound)?;
    while group.devices.len() < devices {
        let batch = BATCH.min(devices - group.devices.len());
        let added: Vec<usize> = (0..batch).map(|_| group.new_device("A")).collect::<Result<_>>()?;
        group.add(0, &added)?;
    }
    let pending = group.commit(0, &[], true)?;
    let content = serde_json::to_string(&pending.content.to_content())?.len();
    // An event that is too large cannot be made, so that what it has besides its content is measured of a small one.
    let small = CommitContent { message: vec![0], public_group_state: vec![0], ..pending.content };
    let rest = group.event_bytes(CommitContent::EVENT_TYPE, small.to_content())?
        - serde_json::to_string(&small.to_content())?.len();
    Ok(content + rest)
}
