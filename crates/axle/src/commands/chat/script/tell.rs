//! What a script can ask of what is known already.

use axle_sdk::encryption::{DeviceView, RoomStatus, Trust};
use axle_sdk::{HubFault, Membership, RoomList, RoomView};
use serde_json::{Value, json};

use super::output::{Facts, facts};
use crate::commands::chat::command::{Awaited, HELP};

/// All rooms.
pub(super) fn rooms(list: &RoomList) -> Facts {
    let tell = |room: &RoomView| {
        json!({
            "room_id": room.room_id(), "title": room.title(), "membership": room.membership().as_str(),
            "hub": room.hub(), "join_rule": room.join_rule(), "version": room.version(), "topic": room.topic(),
        })
    };
    facts(json!({"rooms": list.rooms().map(tell).collect::<Vec<_>>()}))
}

/// Everyone with a membership.
pub(super) fn members(room: &RoomView) -> Facts {
    let tell = |(id, member): (&String, &axle_sdk::RoomMember)| json!({"user_id": id, "membership": member.membership.as_str(), "displayname": member.displayname});
    facts(json!({"room_id": room.room_id(), "members": room.members().iter().map(tell).collect::<Vec<_>>()}))
}

/// The devices that can read a room.
pub(super) fn devices(devices: &[DeviceView]) -> Facts {
    let tell = |device: &DeviceView| {
        json!({
            "user_id": device.user_id, "device_id": device.device_id, "this": device.is_this,
            "safety_code": device.safety_code, "trust": trust(device.trust),
        })
    };
    facts(json!({"devices": devices.iter().map(tell).collect::<Vec<_>>()}))
}

/// How a room is encrypted.
pub(super) fn status(room_id: &str, status: &RoomStatus) -> Value {
    match status {
        RoomStatus::Plain => json!({"room_id": room_id, "encrypted": false}),
        RoomStatus::Unknown(what) => json!({"room_id": room_id, "encrypted": true, "unknown": what}),
        RoomStatus::Encrypted(group) => json!({
            "room_id": room_id, "encrypted": true, "layering": group.layering.as_str(), "epoch": group.epoch,
            "devices": group.devices,
        }),
    }
}

/// The same, if that many devices are in the group.
pub(super) fn group_of(room_id: &str, room: &RoomStatus, count: usize) -> Option<Facts> {
    match room {
        RoomStatus::Encrypted(group) if group.devices == count => Some(facts(status(room_id, room))),
        _ => None,
    }
}

fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Unverified => "unverified",
        Trust::Verified => "verified",
        Trust::ChangedSince => "changed_since",
    }
}

/// What the hub did that it should not have.
pub(super) fn faults_of(room: &RoomView) -> Facts {
    let faults: Vec<_> = room.hub_faults().iter().map(|fault| fault_of(room, fault)).collect();
    facts(json!({"room_id": room.room_id(), "hub": room.hub(), "faults": faults}))
}

/// One such thing.
pub(super) fn fault_of(room: &RoomView, fault: &HubFault) -> Value {
    json!({
        "room_id": room.room_id(), "hub": room.hub(), "event_id": fault.event_id, "kind": fault.kind,
        "detail": fault.detail, "origin_server_ts": fault.origin_server_ts,
    })
}

/// What can be written.
pub(super) fn help() -> Facts {
    let commands: Vec<_> = HELP.iter().map(|(command, what)| json!({"command": command, "what": what})).collect();
    facts(json!({"commands": commands}))
}

/// What is waited for, if it has happened. Invites are looked for everywhere, all else in the current room.
pub(super) fn find(what: &Awaited, list: &RoomList, current: Option<&str>) -> Option<Facts> {
    if let Awaited::Invite(name) = what {
        let invited = |room: &&RoomView| room.membership() == Membership::Invite;
        let named = |room: &&RoomView| name.as_ref().is_none_or(|name| room.room_id() == name || room.title() == *name);
        let room = list.rooms().filter(invited).find(named)?;
        return Some(facts(json!({"room_id": room.room_id(), "inviter": room.inviter()})));
    }
    let room = list.room(current?)?;
    match what {
        Awaited::Invite(_) | Awaited::Devices(_) => None,
        Awaited::Membership { user, membership } => {
            let member = room.members().get(user)?;
            (member.membership == *membership).then(|| facts(json!({"room_id": room.room_id()})))
        }
        Awaited::Message(text) => {
            let is_it =
                |event: &axle_sdk::Event| event.event_type == "m.room.message" && event.text("body") == Some(text);
            event(room, is_it)
        }
        Awaited::Event(event_type) => event(room, |event| event.event_type == *event_type),
    }
}

fn event(room: &RoomView, is_it: impl Fn(&axle_sdk::Event) -> bool) -> Option<Facts> {
    let found = room.timeline().items().rev().map(|item| &item.event).find(|event| is_it(event))?;
    Some(facts(json!({"room_id": room.room_id(), "event_id": found.event_id, "sender": found.sender})))
}
