//! What an application service is told at once.

use std::collections::BTreeMap;

use axle_protocol::{MatrixError, RoomId};
use serde::Serialize;
use serde_json::value::RawValue;

use super::ApplicationService;
use super::encryption::{Encryption, Found, Place};
use super::interest::Interests;
use crate::elsewhere::event_elsewhere;
use crate::error::{ApiError, ApiResult};
use crate::render;
use crate::state::Api;
use crate::sync::extensions::{receipts, typing};

/// Events, invites, receipts, messages and changes of keys that are looked at for one transaction, of each about so many.
const MAX_EXAMINED: usize = 100;
/// Rooms that one transaction tells of that somebody types there.
const MAX_TYPING_ROOMS: usize = 100;

/// The body of a transaction, and where it ends.
pub(super) struct Transaction {
    pub(super) until: i64,
    events: Vec<Box<RawValue>>,
    ephemeral: Vec<Box<RawValue>>,
    encryption: Encryption,
}

impl Transaction {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.ephemeral.is_empty() && self.encryption.is_empty()
    }

    /// Devices whose messages it has, and that nobody else reads.
    pub(super) fn own_devices(&self) -> Vec<Place> {
        self.encryption.own.iter().cloned().collect()
    }

    /// As it is sent.
    pub(super) fn body(&self, service: &ApplicationService) -> ApiResult<Vec<u8>> {
        #[derive(Serialize)]
        struct Body<'a> {
            events: &'a [Box<RawValue>],
            #[serde(skip_serializing_if = "Option::is_none")]
            ephemeral: Option<&'a [Box<RawValue>]>,
            /// The name of the same from before the specification had it; services look for either.
            #[serde(rename = "de.sorunome.msc2409.ephemeral", skip_serializing_if = "Option::is_none")]
            unstable_ephemeral: Option<&'a [Box<RawValue>]>,
            #[serde(flatten)]
            encryption: Option<&'a Encryption>,
        }
        let ephemeral = service.receive_ephemeral.then_some(&*self.ephemeral);
        let encryption = (service.encrypts && !self.encryption.is_empty()).then_some(&self.encryption);
        let body = Body { events: &self.events, ephemeral, unstable_ephemeral: ephemeral, encryption };
        serde_json::to_vec(&body).map_err(unwritable)
    }
}

/// What is stored after a place in the stream and concerns a service: as much as one transaction holds, `until` at the
/// furthest. To be read in order, each place once; or after [`Interests::forget`].
pub(super) async fn read(
    api: &Api,
    service: &ApplicationService,
    interests: &mut Interests,
    after: i64,
    until: i64,
) -> ApiResult<Transaction> {
    let mut events = api.store.events_in_stream(after, until, MAX_EXAMINED).await?;
    let mut outside = api.store.out_of_room_in_stream(after, until, MAX_EXAMINED).await?;
    let mut read = match service.receive_ephemeral {
        true => api.store.receipts_in_stream(after, until, MAX_EXAMINED).await?,
        false => Vec::new(),
    };
    let found = match service.encrypts {
        true => Found::read(api, after, until, MAX_EXAMINED).await?,
        false => Found::default(),
    };
    // What was not read to its end sets the end of all.
    let ends = [
        end(&events, |event| event.stream),
        end(&outside, |entry| entry.stream),
        end(&read, |(_, receipt)| receipt.stream),
    ];
    let until = ends.into_iter().chain(found.ends(MAX_EXAMINED)).flatten().fold(until, i64::min);
    events.retain(|event| event.stream <= until);
    outside.retain(|entry| entry.stream <= until);
    read.retain(|(_, receipt)| receipt.stream <= until);

    let mut told = Vec::new();
    for event in events {
        if interests.concerns(api, service, &event).await? {
            told.push(event);
        }
    }
    told.extend(outside.into_iter().filter(|entry| service.has_user(entry.user_id.as_str())).map(event_elsewhere));
    told.sort_by_key(|event| event.stream);
    let mut by_room: BTreeMap<RoomId, Vec<_>> = BTreeMap::new();
    for (room_id, receipt) in read {
        by_room.entry(room_id).or_default().push(receipt);
    }
    let mut ephemeral = Vec::new();
    for (room_id, receipts) in by_room {
        if interests.concerns_room(api, service, &room_id).await? {
            ephemeral.extend(receipts::of_room(&receipts, &room_id)?);
        }
    }
    let encryption = match service.encrypts {
        true => found.told(api, service, interests, &told, until).await?,
        false => Encryption::default(),
    };
    Ok(Transaction { until, events: render::for_service(api, &told).await?, ephemeral, encryption })
}

/// Adds who types in which rooms, where that changed after a moment of this server's memory.
pub(super) async fn add_typing(
    api: &Api,
    service: &ApplicationService,
    interests: &mut Interests,
    since: i64,
    transaction: &mut Transaction,
) -> ApiResult<()> {
    for room_id in api.typing.changed(since).into_iter().take(MAX_TYPING_ROOMS) {
        if interests.concerns_room(api, service, &room_id).await? {
            transaction.ephemeral.push(typing::of_room(api, &room_id)?);
        }
    }
    Ok(())
}

/// Where what was read ends, if there may be more.
fn end<T>(read: &[T], stream: impl Fn(&T) -> i64) -> Option<i64> {
    read.last().filter(|_| read.len() == MAX_EXAMINED).map(stream)
}

fn unwritable(error: serde_json::Error) -> ApiError {
    tracing::error!(%error, "a transaction for an application service cannot be written");
    MatrixError::unknown("The server has events that it cannot tell.").into()
}
