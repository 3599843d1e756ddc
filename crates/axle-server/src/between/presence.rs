//! Whether users are there, to and from other servers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use axle_client_api::{Availability, PresenceUpdate};
use axle_federation::edu::{self, MAX_PRESENCE_USERS, UserPresence, presence_to_json};
use axle_federation::sender::FleetingEdu;
use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};

use super::{Between, Incoming, broken};

/// Rooms of a user whose servers are told, those with the newest events.
const MAX_ROOMS: usize = 100;
/// Users of whom one transaction tells; what it says of others is ignored.
pub(super) const MAX_USERS_AT_ONCE: usize = 100;

/// Tells the servers that share rooms with these users.
pub(super) async fn tell(between: &Between, updates: Vec<PresenceUpdate>) -> Result<(), MatrixError> {
    let Some((_, sender)) = &between.network else { return Ok(()) };
    let mut servers_of: HashMap<RoomId, BTreeSet<ServerName>> = HashMap::new();
    let mut by_server: BTreeMap<ServerName, Vec<UserPresence>> = BTreeMap::new();
    for update in updates {
        let mut servers: BTreeSet<ServerName> = BTreeSet::new();
        for room_id in newest_rooms(between, &update.user_id).await? {
            if !servers_of.contains_key(&room_id) {
                servers_of.insert(room_id.clone(), other_servers(between, &room_id).await?);
            }
            servers.extend(servers_of.get(&room_id).into_iter().flatten().cloned());
        }
        let update = outgoing(update);
        for server in servers {
            by_server.entry(server).or_default().push(update.clone());
        }
    }
    for (server, updates) in by_server {
        for updates in updates.chunks(MAX_PRESENCE_USERS) {
            // What waits goes in the order of these subjects.
            let subject = format!("presence {:020}", between.next_number());
            sender.send_fleeting([&server], &FleetingEdu { subject, json: presence_to_json(updates).into() });
        }
    }
    Ok(())
}

/// What another server says, the last of each user.
pub(super) async fn take(incoming: &Incoming, said: Vec<UserPresence>) {
    let mut last: BTreeMap<UserId, UserPresence> = BTreeMap::new();
    for said in said {
        if last.len() < MAX_USERS_AT_ONCE || last.contains_key(&said.user_id) {
            last.insert(said.user_id.clone(), said);
        }
    }
    if !last.is_empty() {
        incoming.clients.presence_elsewhere(last.into_values().map(incoming_update).collect()).await;
    }
}

/// The other servers of a room. The store is asked: no room is brought into memory because somebody comes or goes.
async fn other_servers(between: &Between, room_id: &RoomId) -> Result<BTreeSet<ServerName>, MatrixError> {
    let members = between.store.members(room_id, Membership::Join).await.map_err(broken)?;
    let me = between.me.as_str();
    Ok(members.iter().filter(|member| member.server_str() != me).map(UserId::server_name).collect())
}

async fn newest_rooms(between: &Between, user_id: &UserId) -> Result<Vec<RoomId>, MatrixError> {
    let mut rooms = between.store.user_rooms(user_id).await.map_err(broken)?;
    rooms.retain(|room| room.membership == Membership::Join);
    rooms.sort_by_key(|room| std::cmp::Reverse(room.room_stream));
    Ok(rooms.into_iter().take(MAX_ROOMS).map(|room| room.room_id).collect())
}

fn outgoing(update: PresenceUpdate) -> UserPresence {
    let PresenceUpdate { user_id, availability, status_msg, inactive_for } = update;
    UserPresence {
        user_id,
        availability: match availability {
            Availability::Online => edu::Availability::Online,
            Availability::Unavailable => edu::Availability::Unavailable,
            Availability::Offline => edu::Availability::Offline,
        },
        status_msg,
        last_active_ago: inactive_for.map(|inactive_for| u64::try_from(inactive_for.as_millis()).unwrap_or(u64::MAX)),
    }
}

fn incoming_update(said: UserPresence) -> PresenceUpdate {
    let UserPresence { user_id, availability, status_msg, last_active_ago } = said;
    PresenceUpdate {
        user_id,
        availability: match availability {
            edu::Availability::Online => Availability::Online,
            edu::Availability::Unavailable => Availability::Unavailable,
            edu::Availability::Offline => Availability::Offline,
        },
        status_msg,
        inactive_for: last_active_ago.map(Duration::from_millis),
    }
}
