//! What `axle bench mls` found, as JSON and as text.

use serde::Serialize;

use super::super::machine::Machine;
use super::super::stats::{Figure, Percentiles};

/// What the project wants to reach: a hub's check over that of openmls alone.
const TIMES_AT_MOST: f64 = 1.5;
/// From plain text to plain text between two servers, half of the messages, in milliseconds.
const DELIVERY_AT_MOST_MS: f64 = 10.0;
/// An idle room with a group of 50, in KiB of resident memory.
const IDLE_AT_MOST_KIB: f64 = 5.0;

#[derive(Debug, Serialize, Default)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) costs: Vec<Costs>,
    pub(super) growth: Option<Growth>,
    pub(super) races: Vec<Race>,
    pub(super) memory: Option<Memory>,
    pub(super) delivery: Vec<Delivery>,
    pub(super) idle: Option<Idle>,
}

/// What operations cost in a group of a size: CPU, medians of rounds.
#[derive(Debug, Serialize)]
pub(super) struct Costs {
    pub(super) devices: usize,
    /// A commit that adds one device.
    pub(super) check_on_top: Check,
    pub(super) check_bound: Check,
    /// A commit with new keys for the committer's whole path.
    pub(super) check_update: Check,
    /// What another member needs for the same commits, with its store in memory.
    pub(super) process_add_ms: Figure,
    pub(super) process_update_ms: Figure,
    pub(super) join_ms: Figure,
    /// The commit and its confirmation.
    pub(super) join_external_ms: Figure,
    /// A message of 256 bytes.
    pub(super) encrypt_us: Figure,
    pub(super) decrypt_us: Figure,
    pub(super) bytes: Bytes,
}

/// A hub's check of a commit.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) hub_ms: Figure,
    pub(super) openmls_ms: Figure,
    /// Of each round, the first over the second.
    pub(super) times: Figure,
}

/// Events are counted whole, as the hub has finished them.
#[derive(Debug, Serialize)]
pub(super) struct Bytes {
    pub(super) add_event: usize,
    pub(super) update_event: usize,
    pub(super) external_join_event: usize,
    pub(super) message_event: usize,
    pub(super) welcome: usize,
    pub(super) group_info: usize,
    /// What somebody fetches who joins.
    pub(super) ratchet_tree: usize,
    /// What a hub stores of an epoch.
    pub(super) hub_state: usize,
}

/// A group that was built of events.
#[derive(Debug, Serialize)]
pub(super) struct Growth {
    pub(super) devices: usize,
    /// Devices that one commit has added.
    pub(super) batch: usize,
    pub(super) commits: usize,
    /// In bytes.
    pub(super) largest_event: usize,
    /// What the event of a commit with a path would have, if nobody but the first device had ever committed, in bytes.
    pub(super) path_without_updates: usize,
}

/// Many committers in the same epoch.
#[derive(Debug, Serialize)]
pub(super) struct Race {
    pub(super) layering: &'static str,
    pub(super) committers: usize,
    /// Commits until everything was done that anybody wanted.
    pub(super) commits: usize,
    pub(super) refusals: usize,
    /// What the losers have sent again, as a commit or as a proposal.
    pub(super) retries: usize,
    /// Devices that were added: one for each committer.
    pub(super) added: usize,
}

/// A group at its hub.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub(super) devices: usize,
    /// Resident memory while it is loaded. A group that is idle is dropped.
    pub(super) loaded_kib: f64,
    pub(super) stored_bytes: usize,
}

/// Messages between devices on two servers, from plain text to plain text.
#[derive(Debug, Serialize)]
pub(super) struct Delivery {
    pub(super) devices: usize,
    /// The sender is on the server that orders the room.
    pub(super) from_hub_ms: Percentiles,
    /// The receiver is.
    pub(super) to_hub_ms: Percentiles,
}

/// Encrypted rooms on a server, in resident memory a room.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) rooms: usize,
    pub(super) devices: usize,
    /// Right after they were made.
    pub(super) loaded_kib: f64,
    /// When nothing has happened in them for a while.
    pub(super) idle_kib: f64,
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut out: Vec<String> = self.costs.iter().map(Costs::text).collect();
        if let Some(growth) = &self.growth {
            let Growth { devices, batch, commits, largest_event, path_without_updates } = growth;
            out.push(format!("built of events: {devices} devices, {batch} at a time"));
            out.push(format!("  {commits} commits, the largest event {largest_event} bytes"));
            out.push(format!("  a commit with a path, had nobody else committed: {path_without_updates} bytes"));
        }
        out.extend(self.races.iter().map(Race::text));
        if let Some(Memory { devices, loaded_kib, stored_bytes }) = &self.memory {
            out.push(format!(
                "a group of {devices} at its hub: {loaded_kib:.1} KiB loaded, {stored_bytes} bytes stored"
            ));
        }
        out.extend(self.delivery.iter().map(Delivery::text));
        out.extend(self.idle.as_ref().map(Idle::text));
        out.join("\n")
    }
}

impl Delivery {
    fn text(&self) -> String {
        let one = |way: &str, times: &Percentiles| {
            let Percentiles { p50_ms, p99_ms, count } = times;
            let verdict = verdict(*p50_ms, DELIVERY_AT_MOST_MS);
            format!("\n  {way} p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, {count} messages   {verdict}")
        };
        let (from, to) = (one("from the hub ", &self.from_hub_ms), one("to the hub   ", &self.to_hub_ms));
        format!("from one server to another, {} devices{from}{to}", self.devices)
    }
}

impl Idle {
    fn text(&self) -> String {
        let Self { rooms, devices, loaded_kib, idle_kib } = self;
        let verdict = verdict(*idle_kib, IDLE_AT_MOST_KIB);
        format!(
            "{rooms} rooms of {devices} devices on a server: {loaded_kib:.1} KiB each in use, {idle_kib:.1} left alone   {verdict}"
        )
    }
}

fn verdict(found: f64, at_most: f64) -> String {
    format!("(at most {at_most}: {})", if found <= at_most { "reached" } else { "missed" })
}

impl Costs {
    fn text(&self) -> String {
        let Bytes { add_event, update_event, external_join_event, message_event, .. } = self.bytes;
        let Bytes { welcome, group_info, ratchet_tree, hub_state, .. } = self.bytes;
        [
            format!("{} devices", self.devices),
            format!("  check of an add, on top   {}", self.check_on_top.text()),
            format!("  check of an add, bound    {}", self.check_bound.text()),
            format!("  check of an update        {}", self.check_update.text()),
            format!("  a member follows an add   {} ms", self.process_add_ms),
            format!("  ... an update             {} ms", self.process_update_ms),
            format!("  join by a Welcome         {} ms", self.join_ms),
            format!("  join by itself            {} ms", self.join_external_ms),
            format!("  encrypt, decrypt          {} us, {} us", self.encrypt_us, self.decrypt_us),
            format!(
                "  events: add {add_event}, update {update_event}, join {external_join_event}, message {message_event} bytes"
            ),
            format!(
                "  Welcome {welcome}, GroupInfo {group_info}, tree {ratchet_tree}, state of the hub {hub_state} bytes"
            ),
        ]
        .join("\n")
    }
}

impl Check {
    fn text(&self) -> String {
        let verdict = verdict(self.times.median, TIMES_AT_MOST);
        let Self { hub_ms, openmls_ms, times } = self;
        format!(
            "{:.2} ms, openmls {:.2} ms, {:.2} times ({:.2} to {:.2})   {verdict}",
            hub_ms.median, openmls_ms.median, times.median, times.min, times.max
        )
    }
}

impl Race {
    fn text(&self) -> String {
        let Self { layering, committers, commits, refusals, retries, added } = self;
        let each = *retries as f64 / *committers as f64;
        format!(
            "{committers} committers, {layering}: {commits} commits, {refusals} refusals, {retries} retries ({each:.2} each), \
             {added} added"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_judged_by_how_many_times_the_floor_it_takes() {
        let check = |times| Check {
            hub_ms: Figure::of(vec![3.0]),
            openmls_ms: Figure::of(vec![2.0]),
            times: Figure::of(vec![times]),
        };
        assert!(check(1.5).text().ends_with("(at most 1.5: reached)"));
        assert!(check(1.51).text().ends_with("(at most 1.5: missed)"));
    }
}
