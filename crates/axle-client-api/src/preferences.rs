//! What of a user's account data the server goes by itself: whom they ignore, and their push rules. Both are looked at
//! whenever something is told to them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axle_protocol::UserId;
use ruma::push::Ruleset;

use crate::cache::Derived;
use crate::error::ApiResult;
use crate::ignored::Ignored;
use crate::push_rules;
use crate::state::Api;

/// Users whose preferences are kept. Those of one take some ten kilobytes.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// What a user wants.
pub(crate) struct Preferences {
    pub(crate) ignored: Ignored,
    pub(crate) rules: Ruleset,
}

/// Preferences that were read.
pub(crate) struct KnownPreferences(Derived<UserId, Preferences>);

impl Default for KnownPreferences {
    fn default() -> Self {
        Self(Derived::new(MAX_KEPT))
    }
}

impl Preferences {
    /// A user's, as they are now.
    pub(crate) async fn of(api: &Api, user_id: &UserId) -> ApiResult<Arc<Self>> {
        let known = &api.preferences.0;
        if let Some((as_of, preferences)) = known.get(user_id)
            && !api.store.has_account_data_changes(user_id, as_of).await?
        {
            return Ok(preferences);
        }
        // Before they are read: what changes meanwhile is looked for the next time.
        let as_of = api.store.max_stream().await?;
        let ignored = Ignored::of(api, user_id).await?;
        let preferences = Arc::new(Self { ignored, rules: push_rules::of(api, user_id).await? });
        known.put(user_id.clone(), as_of, preferences.clone());
        Ok(preferences)
    }
}
