//! What is looked at in the state of a room whenever something happens there, for everybody whom it is told to.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axle_protocol::{RoomId, ServerName};
use axle_store::StoredEvent;
use ruma::events::room::power_levels::RoomPowerLevelsEventContent;
use ruma::push::PushConditionPowerLevelsCtx;
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};

use crate::cache::Derived;
use crate::error::ApiResult;
use crate::ids;
use crate::render::sender;
use crate::state::Api;
use crate::visibility;

/// Members of a room that are counted for the conditions of push rules; a room with more counts as having so many.
const MAX_MEMBERS: usize = 128;
/// Rooms of which facts are kept.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(4 * 1024).unwrap();

/// What is known of a room.
pub(crate) struct RoomFacts {
    /// How many are in it, [`MAX_MEMBERS`] at most.
    pub(crate) members: usize,
    /// Its power levels as conditions of push rules see them; `None`: there are none.
    pub(crate) levels: Option<PushConditionPowerLevelsCtx>,
    /// Who orders its events, if it is linearized.
    pub(crate) hub: Option<ServerName>,
}

/// Facts that were read.
pub(crate) struct KnownFacts(Derived<RoomId, RoomFacts>);

impl Default for KnownFacts {
    fn default() -> Self {
        Self(Derived::new(MAX_KEPT))
    }
}

impl RoomFacts {
    /// Those of a room, as they are now.
    pub(crate) async fn of(api: &Api, room_id: &RoomId) -> ApiResult<Arc<Self>> {
        let known = &api.room_facts.0;
        if let Some((as_of, facts)) = known.get(room_id)
            && !api.store.has_state_changes(room_id, as_of).await?
        {
            return Ok(facts);
        }
        // Before they are read: what changes meanwhile is looked for the next time.
        let as_of = api.store.max_stream().await?;
        let facts = Arc::new(Self::read(api, room_id).await?);
        known.put(room_id.clone(), as_of, facts.clone());
        Ok(facts)
    }

    async fn read(api: &Api, room_id: &RoomId) -> ApiResult<Self> {
        let store = &api.store;
        let levels = store.state_event(room_id, "m.room.power_levels", "").await?;
        let levels = levels.as_ref().and_then(visibility::content::<RoomPowerLevelsEventContent>);
        let create = store.state_event(room_id, "m.room.create", "").await?;
        Ok(Self {
            members: store.joined_count(room_id, MAX_MEMBERS).await?,
            levels: levels.map(power_levels),
            hub: create.as_ref().map(hub).transpose()?.flatten(),
        })
    }
}

fn power_levels(content: RoomPowerLevelsEventContent) -> PushConditionPowerLevelsCtx {
    // In this server's room versions, creators have no power but what the event gives them.
    let rules = RoomPowerLevelsRules::new(&AuthorizationRules::V11, []);
    PushConditionPowerLevelsCtx::new(content.users, content.users_default, content.notifications, rules)
}

fn hub(create: &StoredEvent) -> ApiResult<Option<ServerName>> {
    let creator = sender(create).filter(|_| create.room_version.is_linearized());
    Ok(creator.map(ids::user).transpose()?.map(|creator| creator.server_name()))
}
