//! `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use axle_protocol::MatrixError;
use axle_protocol::limits::MAX_ID_BYTES;
use ruma::api::IncomingRequest;
use ruma::api::client::push::set_pushrule::v3::{Request, Response};
use ruma::api::error::DeserializationError;
use ruma::push::{InsertPushRuleError, NewPushRule, PushCondition, Ruleset};
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::json_request::metadata_like;
use crate::push_rules;
use crate::session::Session;
use crate::state::Api;

/// The longest pattern. ruma makes a regular expression of it, and panics if that is too large.
const MAX_PATTERN_BYTES: usize = 255;

/// ruma's request, except that conditions can be left out, as the specification has it: a rule without any matches
/// every event.
pub(crate) struct PutRule(Request);

pub(crate) async fn rule_put(api: Api, session: Session, request: PutRule) -> ApiResult<Response> {
    let PutRule(request) = request;
    if request.rule.rule_id().len() > MAX_ID_BYTES {
        return Err(MatrixError::too_large(format!("A rule's id has at most {MAX_ID_BYTES} bytes.")).into());
    }
    check_patterns(&request.rule)?;
    push_rules::change(&api, &session, |rules| {
        insert(rules, request.clone()).map_err(|error| match error {
            InsertPushRuleError::ServerDefaultRuleId | InsertPushRuleError::InvalidRuleId => {
                MatrixError::invalid_param(error.to_string())
            }
            _ => MatrixError::new(400, "M_UNKNOWN", error.to_string()),
        })
    })
    .await?;
    Ok(Response::new())
}

/// Refuses patterns that are too long to search for.
fn check_patterns(rule: &NewPushRule) -> Result<(), MatrixError> {
    let conditions = match rule {
        NewPushRule::Override(rule) | NewPushRule::Underride(rule) => rule.conditions.as_slice(),
        _ => &[],
    };
    let of_conditions = conditions.iter().filter_map(|condition| match condition {
        PushCondition::EventMatch(data) => Some(data.pattern.as_str()),
        _ => None,
    });
    let of_rule = match rule {
        NewPushRule::Content(rule) => Some(rule.pattern.as_str()),
        _ => None,
    };
    if of_conditions.chain(of_rule).any(|pattern| pattern.len() > MAX_PATTERN_BYTES) {
        return Err(MatrixError::too_large(format!("A pattern has at most {MAX_PATTERN_BYTES} bytes.")));
    }
    Ok(())
}

/// Adds a rule or replaces it where it is; with `before` or `after` it goes there. A rule that is replaced stays
/// switched on or off.
fn insert(rules: &mut Ruleset, request: Request) -> Result<(), InsertPushRuleError> {
    let Request { rule, before, after, .. } = request;
    let (kind, rule_id) = (rule.kind(), rule.rule_id().to_owned());
    let enabled = rules.get(kind.clone(), &rule_id).map(|known| known.enabled());
    // ruma panics over a rule that is to go beside itself.
    if [&before, &after].into_iter().flatten().any(|beside| *beside == rule_id) {
        return Err(InsertPushRuleError::UnknownRuleId);
    }
    // ruma counts places with the rule still at its old one.
    if before.is_some() || after.is_some() {
        // What cannot be removed (there is no such rule, or it is predefined) is left to the insertion.
        let _ = rules.remove(kind.clone(), &rule_id);
    }
    rules.insert(rule, after.as_deref(), before.as_deref())?;
    if let Some(enabled) = enabled {
        // It is there: it was inserted just now.
        let _ = rules.set_enabled(kind, &rule_id, enabled);
    }
    Ok(())
}

metadata_like!(PutRule, Request);

impl IncomingRequest for PutRule {
    type EndpointError = <Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let (parts, body) = request.into_parts();
        let mut body: Map<String, Value> = serde_json::from_slice(body)?;
        // Kinds that have no conditions leave them alone.
        body.entry("conditions").or_insert_with(|| Value::Array(Vec::new()));
        let body = serde_json::to_vec(&body)?;
        Request::try_from_http_request_inner(http::Request::from_parts(parts, body.as_slice()), path_args).map(Self)
    }
}
