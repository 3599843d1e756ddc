//! What a user keeps of a room goes with them into the one that replaced it: tags, push rules, and that it is a direct chat
//! ("Room upgrades"). So does what their server keeps of it.

use axle_protocol::{RoomId, UserId};
use ruma::OwnedRoomId;
use ruma::push::{
    ConditionalPushRule, EventMatchConditionData, NewConditionalPushRule, NewPushRule, NewSimplePushRule,
    PushCondition, Ruleset,
};
use serde_json::{Map, Value};

use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::ids;
use crate::push_rules;
use crate::render::content;
use crate::state::Api;
use crate::upgrade::TOMBSTONE;
use crate::visibility::Access;

/// The account data that says which rooms are direct chats, by user.
const DIRECT: &str = "m.direct";
/// The account data of a room that has its tags.
const TAGS: &str = "m.tag";

/// A user has come into a room, in whatever way. If it replaced one that they were in, what they kept of that is copied.
/// They are in the room all the same if that fails.
pub(crate) async fn follow(api: &Api, user_id: &UserId, room_id: &RoomId) {
    if let Err(error) = copy_from_predecessor(api, user_id, room_id).await {
        tracing::info!(%room_id, %user_id, ?error, "what was kept of a room was not copied to the one that replaced it");
    }
}

/// The same for who has ended a room in favour of this one, which they made before.
pub(crate) async fn follow_replacement(api: &Api, user_id: &UserId, replacement: &RoomId) {
    if Access::of(api, user_id, replacement).await.is_ok_and(|access| access.joined()) {
        follow(api, user_id, replacement).await;
    }
}

async fn copy_from_predecessor(api: &Api, user_id: &UserId, new: &RoomId) -> ApiResult<()> {
    let Some(old) = named(api, new, "m.room.create", "/predecessor/room_id").await? else { return Ok(()) };
    // Any room can claim to replace another; who was in that knows whether it is so.
    let successor = named(api, &old, TOMBSTONE, "/replacement_room").await?;
    if successor.as_ref() != Some(new) || !Access::of(api, user_id, &old).await?.ever_joined() {
        return Ok(());
    }
    // What of it is at this server, aliases and the place on the list, is not the hub's to move.
    api.store.move_directory_entries(&old, new).await?;
    copy_tags(api, user_id, &old, new).await?;
    copy_direct(api, user_id, &old, new).await?;
    copy_push_rules(api, user_id, &old, new).await
}

/// The room that a state event of another names in this place of its content.
async fn named(api: &Api, room_id: &RoomId, event_type: &str, place: &str) -> ApiResult<Option<RoomId>> {
    let Some(event) = api.store.state_event(room_id, event_type, "").await? else { return Ok(None) };
    let content: Value = serde_json::from_str(content(&event)?.get()).unwrap_or_default();
    Ok(content.pointer(place).and_then(Value::as_str).and_then(|id| RoomId::parse(id).ok()))
}

async fn copy_tags(api: &Api, user_id: &UserId, old: &RoomId, new: &RoomId) -> ApiResult<()> {
    let of = |room_id| Key { user_id, room_id: Some(room_id), event_type: TAGS };
    let Some(tags) = account_data::get(api, of(old)).await? else { return Ok(()) };
    let tags = &*tags.content;
    account_data::change(api, of(new), |known| Ok(known.is_none().then(|| tags.to_owned()))).await
}

async fn copy_direct(api: &Api, user_id: &UserId, old: &RoomId, new: &RoomId) -> ApiResult<()> {
    account_data::change(api, Key { user_id, room_id: None, event_type: DIRECT }, |known| {
        let direct: Option<Map<String, Value>> = known.and_then(|known| serde_json::from_str(known).ok());
        let Some(mut direct) = direct else { return Ok(None) };
        let mut changed = false;
        for rooms in direct.values_mut().filter_map(Value::as_array_mut) {
            let has = |room_id: &RoomId| rooms.iter().any(|room| room.as_str() == Some(room_id.as_str()));
            if has(old) && !has(new) {
                rooms.push(new.as_str().into());
                changed = true;
            }
        }
        Ok(changed.then(|| Value::Object(direct).to_string()))
    })
    .await
}

async fn copy_push_rules(api: &Api, user_id: &UserId, old: &RoomId, new: &RoomId) -> ApiResult<()> {
    let new = ids::ruma_room(new)?;
    if push_rules_of(&push_rules::of(api, user_id).await?, old, &new).is_empty() {
        return Ok(());
    }
    push_rules::change_of(api, user_id, |rules| {
        for (rule, enabled) in push_rules_of(rules, old, &new) {
            let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
            // It is as good as the one that it is a copy of.
            let inserted = rules.insert(rule, None, None).is_ok();
            if inserted && !enabled {
                let _ = rules.set_enabled(kind, &rule_id, false);
            }
        }
        Ok(())
    })
    .await
}

/// The user's own rules about a room, made over for another, and whether they are switched on. Those that there are for
/// that already are left out.
fn push_rules_of(rules: &Ruleset, old: &RoomId, new: &OwnedRoomId) -> Vec<(NewPushRule, bool)> {
    let mut copies = Vec::new();
    if let Some(rule) = rules.room.iter().find(|rule| rule.rule_id.as_str() == old.as_str()) {
        let copy = NewSimplePushRule::new(new.clone(), rule.actions.clone());
        copies.push((NewPushRule::Room(copy), rule.enabled));
    }
    let about = |rule: &&ConditionalPushRule| !rule.default && rule.rule_id.contains(old.as_str());
    for rule in rules.override_.iter().filter(about) {
        copies.extend(made_over(rule, old, new).map(|copy| (NewPushRule::Override(copy), rule.enabled)));
    }
    for rule in rules.underride.iter().filter(about) {
        copies.extend(made_over(rule, old, new).map(|copy| (NewPushRule::Underride(copy), rule.enabled)));
    }
    copies.retain(|(copy, _)| rules.get(copy.kind(), copy.rule_id()).is_none());
    copies
}

/// A rule with a condition on the room, as clients that mute rooms make them, for another.
fn made_over(rule: &ConditionalPushRule, old: &RoomId, new: &OwnedRoomId) -> Option<NewConditionalPushRule> {
    let is_on_room = |condition: &PushCondition| matches!(condition, PushCondition::EventMatch(it) if it.key == "room_id" && it.pattern == old.as_str());
    if !rule.conditions.iter().any(is_on_room) {
        return None;
    }
    let on_new = || PushCondition::EventMatch(EventMatchConditionData::new("room_id".into(), new.to_string()));
    let conditions = rule.conditions.iter().map(|it| if is_on_room(it) { on_new() } else { it.clone() });
    let rule_id = rule.rule_id.replace(old.as_str(), new.as_str());
    Some(NewConditionalPushRule::new(rule_id, conditions.collect(), rule.actions.clone()))
}
