//! When this device takes new keys.
//!
//! On a schedule, so that who has stolen its keys cannot read on for ever. And once soon after it was let in: until then its
//! leaf has the keys of a KeyPackage, and nobody has made keys for the subtrees of the group's tree that it is in. A commit
//! that removes somebody is encrypted to each device in such subtrees one by one, and some 570 of them fill an event.

use std::time::Duration;

use axle_protocol::RoomId;

use super::Pace;
use super::books::RoomBook;
use super::core::{Core, Result};
use super::engine::part_of;
use super::put_back::Staleness;
use crate::client::random;

/// After how long this device takes new keys, in seconds.
const UPDATE_AFTER_SECONDS: u64 = 7 * 24 * 60 * 60;
/// How much longer new devices wait for each device in the group, so that in a large one they come one after the other.
const RENEW_PER_DEVICE: Duration = Duration::from_secs(12);
/// How long they wait at most.
const LONGEST_RENEWAL: Duration = Duration::from_secs(6 * 60 * 60);
/// From so many devices on, some that are let in take new keys almost at once: what is added in a day, or in a minute, must
/// not be more than what an event can hold. In smaller groups there is time.
const LARGE: usize = 32;
/// One of so many does.
const AT_ONCE: u64 = 16;

impl Core {
    /// Plans that this device, which a Welcome has let into a group of so many, takes new keys.
    pub(super) fn plan_renewal(&self, id: &RoomId, devices: usize, pace: Pace) -> Result<()> {
        let Some(book) = self.books.room(id)? else { return Ok(()) };
        let wait = if devices >= LARGE && random().is_multiple_of(AT_ONCE) {
            part_of(pace.turn)
        } else {
            let per_device = RENEW_PER_DEVICE * u32::try_from(devices).unwrap_or(u32::MAX).min(u32::from(u16::MAX));
            let longest = pace.renew.max(per_device).min(LONGEST_RENEWAL.max(pace.renew));
            longest / 2 + part_of(longest / 2)
        };
        self.books.keep_room(id, &RoomBook { renew_at: Some(self.now() + wait.as_secs()), ..book })
    }

    /// When this device takes new keys in a group.
    pub(super) fn update_at(&self, id: &RoomId) -> Result<Option<u64>> {
        let Some(book) = self.books.room(id)? else { return Ok(None) };
        if book.staleness != Staleness::Fresh {
            return Ok(Some(0));
        }
        let scheduled = book.updated_at.saturating_add(UPDATE_AFTER_SECONDS);
        Ok(Some(book.renew_at.map_or(scheduled, |at| at.min(scheduled))))
    }
}
