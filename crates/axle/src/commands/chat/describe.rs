//! What events that are no messages did, in words.

use axle_sdk::TimelineItem;

use super::lines::{clean, short_id};

/// What an event that is no message did, in words.
pub(super) fn describe(item: &TimelineItem, sender: &str, own_server: &str) -> Option<String> {
    let event = &item.event;
    let text = |key: &str| clean(event.text(key).unwrap_or("nothing"));
    Some(match event.event_type.as_str() {
        "m.room.member" => membership(item, sender, own_server),
        "m.room.create" => format!("{sender} made the room (version {})", text("room_version")),
        "m.room.name" => format!("{sender} named the room {}", text("name")),
        "m.room.topic" => format!("{sender} set the topic: {}", text("topic")),
        "m.room.join_rules" => format!("{sender} set who may join: {}", text("join_rule")),
        "m.room.history_visibility" => format!("{sender} set who sees history: {}", text("history_visibility")),
        "m.room.guest_access" => format!("{sender} set whether guests may join: {}", text("guest_access")),
        "m.room.power_levels" => format!("{sender} set who may do what"),
        // Shown where they take effect: the header says which epoch it is.
        "m.room.redaction" | "m.mls.commit" => return None,
        other => format!("{sender} sent {}", clean(other)),
    })
}

fn membership(item: &TimelineItem, sender: &str, own_server: &str) -> String {
    let event = &item.event;
    let target = event.state_key.as_deref().unwrap_or_default();
    let own = target == event.sender;
    let target = short_id(target, own_server);
    let before = item.prev_content.as_ref().and_then(|content| content.get("membership")?.as_str());
    let why = event.text("reason").map(|reason| format!(": {}", clean(reason))).unwrap_or_default();
    match (event.membership().unwrap_or_default(), before) {
        ("join", Some("join")) => format!("{target} changed their profile"),
        ("join", _) => format!("{target} joined"),
        ("invite", _) => format!("{sender} invited {target}"),
        ("knock", _) => format!("{target} asks to be invited{why}"),
        ("ban", _) => format!("{sender} banned {target}{why}"),
        ("leave", Some("ban")) => format!("{sender} unbanned {target}"),
        ("leave", Some("invite")) if own => format!("{target} declined the invite"),
        ("leave", Some("knock")) if own => format!("{target} no longer asks to be invited"),
        ("leave", Some("invite")) => format!("{sender} took back the invite of {target}{why}"),
        ("leave", Some("knock")) => format!("{sender} refused {target}{why}"),
        ("leave", _) if own => format!("{target} left{why}"),
        ("leave", _) => format!("{sender} put {target} out{why}"),
        _ => format!("{sender} changed {target}"),
    }
}
