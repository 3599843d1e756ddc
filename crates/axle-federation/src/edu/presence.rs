//! `m.presence`: whether users are there.

use axle_protocol::UserId;
use serde_json::{Value, json};

use super::{Envelope, Object, in_matrix_form, user_of};

pub(super) const TYPE: &str = "m.presence";

/// Users of one EDU; what is beyond is ignored.
pub const MAX_PRESENCE_USERS: usize = 100;
/// The longest text of a user, in bytes; a longer one is left out.
const MAX_STATUS_BYTES: usize = 1024;

/// The largest number that JSON between servers has.
const MAX_AGO: u64 = (1 << 53) - 1;

/// What a user can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// There.
    Online,
    /// There, but not doing anything.
    Unavailable,
    /// Not there.
    Offline,
}

/// Whether a user is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPresence {
    /// Who.
    pub user_id: UserId,
    /// What they are.
    pub availability: Availability,
    /// What they say about it.
    pub status_msg: Option<String>,
    /// For how long they have done nothing, in milliseconds; `None`: that is not told.
    pub last_active_ago: Option<u64>,
}

/// What is said of users of the server that sent it.
pub(super) fn parse(edu: Envelope<'_>) -> Option<Vec<UserPresence>> {
    let push = edu.content.get("push")?.as_array()?;
    let user = |said: &Value| {
        let status_msg = said.get("status_msg").and_then(Value::as_str);
        Some(UserPresence {
            user_id: user_of(edu.origin, said.get("user_id")?.as_str()?)?,
            availability: Availability::parse(said.get("presence")?.as_str()?)?,
            status_msg: status_msg.filter(|text| text.len() <= MAX_STATUS_BYTES).map(str::to_owned),
            last_active_ago: said.get("last_active_ago").and_then(Value::as_u64),
        })
    };
    let users: Vec<UserPresence> = push.iter().take(MAX_PRESENCE_USERS).filter_map(user).collect();
    (!users.is_empty()).then_some(users)
}

/// An EDU about so many users; there should be [`MAX_PRESENCE_USERS`] at most.
pub fn presence_to_json(users: &[UserPresence]) -> String {
    let user = |user: &UserPresence| {
        let mut said = Object::new();
        said.insert("user_id".into(), json!(user.user_id.as_str()));
        said.insert("presence".into(), json!(user.availability.as_str()));
        said.insert("currently_active".into(), json!(user.availability == Availability::Online));
        if let Some(ago) = user.last_active_ago {
            said.insert("last_active_ago".into(), json!(ago.min(MAX_AGO)));
        }
        if let Some(text) = &user.status_msg {
            said.insert("status_msg".into(), json!(text));
        }
        Value::Object(said)
    };
    let push: Vec<Value> = users.iter().map(user).collect();
    in_matrix_form(TYPE, Object::from_iter([("push".to_owned(), Value::Array(push))]))
}

impl Availability {
    fn parse(text: &str) -> Option<Self> {
        [Self::Online, Self::Unavailable, Self::Offline].into_iter().find(|availability| availability.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Unavailable => "unavailable",
            Self::Offline => "offline",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Edu;
    use super::super::tests::{read, user};
    use super::*;

    #[test]
    fn there_and_back() {
        let users = vec![
            UserPresence {
                user_id: user("alice"),
                availability: Availability::Online,
                status_msg: Some("Tea".into()),
                last_active_ago: Some(7),
            },
            UserPresence {
                user_id: user("bob"),
                availability: Availability::Offline,
                status_msg: None,
                last_active_ago: None,
            },
        ];
        let json = presence_to_json(&users);
        let expected = r#"{"content":{"push":[{"currently_active":true,"last_active_ago":7,"presence":"online","status_msg":"Tea","user_id":"@alice:a.test"},{"currently_active":false,"presence":"offline","user_id":"@bob:a.test"}]},"edu_type":"m.presence"}"#;
        assert_eq!(json, expected);
        assert_eq!(read(&json), Some(Edu::Presence(users)));
    }

    #[test]
    fn what_is_wrong_is_left_out() {
        let good = json!({"user_id": "@alice:a.test", "presence": "unavailable", "status_msg": "x".repeat(1025)});
        let wrong = [
            json!({"user_id": "@alice:b.test", "presence": "online"}),
            json!({"user_id": "@alice:a.test", "presence": "asleep"}),
            json!({"user_id": 7, "presence": "online"}),
            json!(null),
        ];
        let push: Vec<&Value> = wrong.iter().chain([&good]).collect();
        let edu = json!({"type": "m.presence", "sender": "@alice:a.test", "content": {"push": push}});
        let Some(Edu::Presence(found)) = read(&edu.to_string()) else { panic!() };
        assert_eq!((found.len(), found[0].availability, &found[0].status_msg), (1, Availability::Unavailable, &None));
        let edu = json!({"type": "m.presence", "content": {"push": vec![&good; MAX_PRESENCE_USERS + 9]}});
        assert!(matches!(read(&edu.to_string()), Some(Edu::Presence(found)) if found.len() == MAX_PRESENCE_USERS));
        assert_eq!(read(&json!({"type": "m.presence", "content": {"push": wrong}}).to_string()), None);
    }
}
