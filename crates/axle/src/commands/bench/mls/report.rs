//! What `axle bench mls` found, as JSON and as text.

use serde::Serialize;

use super::super::machine::Machine;
use super::super::stats::Figure;

/// What the project wants to reach: a hub's check over that of openmls alone.
const TIMES_AT_MOST: f64 = 1.5;

#[derive(Debug, Serialize, Default)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) costs: Vec<Costs>,
    pub(super) growth: Option<Growth>,
    pub(super) races: Vec<Race>,
    pub(super) memory: Option<Memory>,
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
        out.join("\n")
    }
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
        let verdict = if self.times.median <= TIMES_AT_MOST { "reached" } else { "missed" };
        let Self { hub_ms, openmls_ms, times } = self;
        format!(
            "{:.2} ms, openmls {:.2} ms, {:.2} times ({:.2} to {:.2})   (at most {TIMES_AT_MOST}: {verdict})",
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
