//! Whether the stored group of an encrypted room is the one that its commits have made, at its hub.

use axle_mls::event::CommitContent;
use axle_mls::{HubGroup, RoomEncryption};
use axle_protocol::{Event, EventId, ServerName};
use axle_store::{EventStatus, RoomSnapshot};

use super::VerifyReport;
use super::walk::Place;

/// The newest commit in a room's log.
#[derive(Default)]
pub(super) struct Commits(Option<EventId>);

impl Commits {
    /// Notes an event, in the room's order.
    pub(super) fn note(&mut self, place: &Place) {
        let is_commit = place.event.as_ref().is_some_and(|event| event.event_type() == CommitContent::EVENT_TYPE);
        if is_commit && place.stored.status == EventStatus::Accepted {
            self.0 = Some(place.stored.event_id.clone());
        }
    }

    /// Compares the stored group with it.
    pub(super) fn compare(&self, us: &ServerName, snapshot: &RoomSnapshot, report: &mut VerifyReport) {
        let room_id = &snapshot.room_id;
        let group = match snapshot.group.as_deref().map(HubGroup::from_bytes).transpose() {
            Ok(group) => group,
            Err(error) => return report.add(Some(room_id), None, format!("its group cannot be read: {error}")),
        };
        let Some(group) = group else {
            if is_hub_of_encrypted(us, snapshot) && self.0.is_some() {
                report.add(Some(room_id), self.0.as_ref(), "the group that its commits have made is not stored");
            }
            return;
        };
        // A group that has gone back is that of an earlier commit, and has the device in quarantine that is to blame.
        if group.quarantine().is_empty() && group.last_commit() != self.0.as_ref() {
            let stored = group.last_commit().map_or("none", EventId::as_str);
            report.add(Some(room_id), self.0.as_ref(), format!("its group is stored as after the commit {stored}"));
        }
    }
}

fn is_hub_of_encrypted(us: &ServerName, snapshot: &RoomSnapshot) -> bool {
    let create = snapshot.state.iter().find(|entry| entry.event_type == "m.room.create");
    let create = create.and_then(|entry| Event::parse(entry.json.as_deref()?.as_bytes(), snapshot.room_version).ok());
    create.is_some_and(|create| {
        let is_encrypted = matches!(RoomEncryption::of_create(create.content()), Ok(Some(_)));
        is_encrypted && create.sender().server_str() == us.as_str()
    })
}
