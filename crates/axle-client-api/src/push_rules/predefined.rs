//! The predefined rules ("Predefined Rules" in Matrix's specification, version 1.16).
//!
//! ruma has those of later versions, which know no mentions but those that a message names. Clients that do not name them
//! still are common, so the older rules are put where they belong. They hold for messages that name no mentions only.

use axle_protocol::UserId;
use ruma::power_levels::NotificationPowerLevelsKey;
use ruma::push::{
    Action, ConditionalPushRule, ConditionalPushRuleInit, EventMatchConditionData, HighlightTweakValue,
    PatternedPushRule, PatternedPushRuleInit, PushCondition, Ruleset, SenderNotificationPermissionConditionData,
    SoundTweakValue, Tweak,
};

use crate::error::ApiResult;
use crate::ids;

/// The rules of a user who has changed none.
pub(super) fn of(user_id: &UserId) -> ApiResult<Ruleset> {
    let mut rules = Ruleset::server_default(&ids::ruma_user(user_id)?);
    insert(&mut rules, ".m.rule.is_user_mention", contains_display_name());
    insert(&mut rules, ".m.rule.is_room_mention", room_notification());
    rules.content.insert(contains_user_name(user_id));
    Ok(rules)
}

/// Puts a rule behind another.
fn insert(rules: &mut Ruleset, after: &str, rule: ConditionalPushRule) {
    let place = rules.override_.get_index_of(after).map_or(rules.override_.len(), |index| index + 1);
    rules.override_.shift_insert(place, rule);
}

#[expect(deprecated, reason = "the rule is, too")]
fn contains_display_name() -> ConditionalPushRule {
    conditional(".m.rule.contains_display_name", vec![PushCondition::ContainsDisplayName], loudly())
}

fn room_notification() -> ConditionalPushRule {
    let conditions = vec![
        PushCondition::EventMatch(EventMatchConditionData::new("content.body".into(), "@room".into())),
        PushCondition::SenderNotificationPermission(SenderNotificationPermissionConditionData::new(
            NotificationPowerLevelsKey::Room,
        )),
    ];
    conditional(".m.rule.roomnotif", conditions, vec![Action::Notify, highlight()])
}

fn contains_user_name(user_id: &UserId) -> PatternedPushRule {
    PatternedPushRuleInit {
        actions: loudly(),
        default: true,
        enabled: true,
        rule_id: ".m.rule.contains_user_name".into(),
        pattern: user_id.localpart().into(),
    }
    .into()
}

fn conditional(rule_id: &str, conditions: Vec<PushCondition>, actions: Vec<Action>) -> ConditionalPushRule {
    ConditionalPushRuleInit { actions, default: true, enabled: true, rule_id: rule_id.into(), conditions }.into()
}

fn loudly() -> Vec<Action> {
    vec![Action::Notify, Action::SetTweak(Tweak::Sound(SoundTweakValue::Default)), highlight()]
}

fn highlight() -> Action {
    Action::SetTweak(Tweak::Highlight(HighlightTweakValue::Yes))
}
