//! What a group costs a hub that has it in memory, and what it costs in the store when it has not.

use axle_mls::{HubGroup, Layering};

use super::super::machine::resident_mib;
use super::Result;
use super::group::Group;
use super::report::Memory;

pub(super) fn measure(groups: usize, devices: usize) -> Result<Memory> {
    let state = Group::build(Layering::Bound, devices)?.hub.to_bytes()?;
    let before = resident_mib(std::process::id())?;
    let loaded: Vec<HubGroup> =
        (0..groups).map(|_| HubGroup::from_bytes(&state)).collect::<std::result::Result<_, _>>()?;
    let after = resident_mib(std::process::id())?;
    let loaded_kib = (after - before) * 1024.0 / groups as f64;
    drop(loaded);
    Ok(Memory { devices, loaded_kib, stored_bytes: state.len() })
}
