//! The people of the demo.

use std::time::Duration;

use axle_sdk::{Client, Error, Membership, Registration, RoomList, RoomView, SyncLoop, SyncStep, new_transaction_id};
use tokio::time::{Instant, timeout_at};

use super::Failure;
use super::server::Server;

/// How long anything may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// As many events of a room as one sync may bring.
const TIMELINE_LIMIT: usize = 200;
const PASSWORD_LENGTH: usize = 12;

/// Someone with an account, who follows their rooms.
pub(super) struct Person {
    name: String,
    user_id: String,
    client: Client,
    follow: SyncLoop,
    rooms: RoomList,
}

/// Everyone. Alice is on the hub, Bob on amber, Carol and Mallory on birch.
pub(super) struct Cast {
    pub(super) alice: Person,
    pub(super) bob: Person,
    pub(super) carol: Person,
    pub(super) mallory: Person,
}

impl Cast {
    /// Registers everyone.
    pub(super) async fn register(servers: &[Server]) -> Result<Self, Failure> {
        let [hub, amber, birch] = servers else { return Err("there must be three servers".into()) };
        let (alice, bob, carol, mallory) = tokio::try_join!(
            Person::register(hub, "alice"),
            Person::register(amber, "bob"),
            Person::register(birch, "carol"),
            Person::register(birch, "mallory"),
        )?;
        Ok(Self { alice, bob, carol, mallory })
    }

    pub(super) fn everyone(&self) -> [&Person; 4] {
        [&self.alice, &self.bob, &self.carol, &self.mallory]
    }

    /// One a server, each in every room at the end.
    pub(super) fn regulars(&mut self) -> [&mut Person; 3] {
        [&mut self.alice, &mut self.bob, &mut self.carol]
    }
}

impl Person {
    async fn register(server: &Server, name: &str) -> Result<Self, Failure> {
        let client = server.client()?;
        let password = new_transaction_id().chars().rev().take(PASSWORD_LENGTH).collect();
        let registration = Registration { localpart: name.to_owned(), password, ..Registration::default() };
        let session = client.register(&registration).await?;
        let follow = SyncLoop::new(&client, None).timeline_limit(TIMELINE_LIMIT);
        let (rooms, user_id) = (RoomList::new(&session.user_id), session.user_id);
        Ok(Self { name: name.to_owned(), user_id, client, follow, rooms })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn user_id(&self) -> &str {
        &self.user_id
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a message. Returns its id.
    pub(super) async fn say(&self, room_id: &str, text: &str) -> Result<String, Failure> {
        Ok(self.client.send_text(room_id, text, &new_transaction_id()).await?)
    }

    /// Waits until a message is in the room as this person sees it.
    pub(super) async fn sees(&mut self, room_id: &str, event_id: &str) -> Result<(), Failure> {
        self.until(room_id, &format!("the event {event_id}"), |room| room.timeline().contains(event_id)).await
    }

    /// Waits until this person stands to the room like this.
    pub(super) async fn becomes(&mut self, room_id: &str, membership: Membership) -> Result<(), Failure> {
        self.until(room_id, &format!("the own {membership:?}"), |room| room.membership() == membership).await
    }

    /// Waits until this person sees another stand to the room like this.
    pub(super) async fn sees_member(
        &mut self,
        room_id: &str,
        user_id: &str,
        membership: Membership,
    ) -> Result<(), Failure> {
        let is_so = |room: &RoomView| room.members().get(user_id).is_some_and(|member| member.membership == membership);
        self.until(room_id, &format!("{membership:?} of {user_id}"), is_so).await
    }

    /// Who orders the room, as this person's server tells.
    pub(super) fn hub_of(&self, room_id: &str) -> Option<String> {
        self.rooms.room(room_id)?.hub()
    }

    async fn until(&mut self, room_id: &str, what: &str, is_so: impl Fn(&RoomView) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + ARRIVAL;
        while !self.rooms.room(room_id).is_some_and(&is_so) {
            let Ok(step) = timeout_at(deadline, self.follow.next()).await else {
                let title = self.rooms.room(room_id).map_or_else(|| room_id.to_owned(), RoomView::title);
                return Err(format!("{} did not see {what} in {title} within {ARRIVAL:?}", self.name).into());
            };
            match step {
                SyncStep::Synced(response) => drop(self.rooms.apply(*response)),
                // It is tried again until the deadline.
                SyncStep::Disconnected { .. } => {}
                SyncStep::LoggedOut(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What the server refused with; an error if it did not refuse, or for another reason.
pub(super) fn refused<T>(outcome: Result<T, Error>, what: &str) -> Result<String, Failure> {
    match outcome {
        Ok(_) => Err(format!("{what} should have been refused, and was not").into()),
        Err(Error::Api(error)) if error.errcode == "M_FORBIDDEN" => Ok(error.to_string()),
        Err(error) => Err(error.into()),
    }
}
