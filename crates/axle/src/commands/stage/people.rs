//! The people of the demo.

use std::time::Duration;

use axle_mls::member::MemoryStore;
use axle_sdk::encryption::{KeyPlace, Notice, Pace, RoomStatus, system_clock};
use axle_sdk::{
    Client, Encryption, Error, Event, EventEncryption, Membership, MessagesPage, Registration, RoomList, RoomView,
    Session, SyncLoop, SyncResponse, SyncStep, new_transaction_id,
};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::Failure;
use super::network::Network;
use super::server::Server;

/// How long anything may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// As many events of a room as one sync may bring.
const TIMELINE_LIMIT: usize = 200;
const PASSWORD_LENGTH: usize = 12;

/// Someone with an account, who follows their rooms.
pub(in crate::commands) struct Person {
    name: String,
    password: String,
    user_id: String,
    client: Client,
    encryption: Encryption,
    notices: UnboundedReceiver<Notice>,
    steps: UnboundedReceiver<SyncStep>,
    rooms: RoomList,
}

/// Everyone. Alice is on the hub, Bob on amber, Carol and Mallory on birch.
pub(in crate::commands) struct Cast {
    pub(in crate::commands) alice: Person,
    pub(in crate::commands) bob: Person,
    pub(in crate::commands) carol: Person,
    pub(in crate::commands) mallory: Person,
}

impl Cast {
    /// Registers everyone.
    pub(in crate::commands) async fn register(network: &Network) -> Result<Self, Failure> {
        let [hub, amber, birch] = &network.servers[..] else { return Err("there must be three servers".into()) };
        let (alice, bob, carol, mallory) = tokio::try_join!(
            Person::register(network, hub, "alice"),
            Person::register(network, amber, "bob"),
            Person::register(network, birch, "carol"),
            Person::register(network, birch, "mallory"),
        )?;
        Ok(Self { alice, bob, carol, mallory })
    }

    pub(in crate::commands) fn everyone(&self) -> [&Person; 4] {
        [&self.alice, &self.bob, &self.carol, &self.mallory]
    }

    /// One a server, each in every room at the end.
    pub(in crate::commands) fn regulars(&mut self) -> [&mut Person; 3] {
        [&mut self.alice, &mut self.bob, &mut self.carol]
    }
}

impl Person {
    async fn register(network: &Network, server: &Server, name: &str) -> Result<Self, Failure> {
        let client = server.client()?;
        let password: String = new_transaction_id().chars().rev().take(PASSWORD_LENGTH).collect();
        let registration =
            Registration { localpart: name.to_owned(), password: password.clone(), ..Registration::default() };
        let mut session = client.register(&registration).await?;
        session.store_secret = Some(Session::new_store_secret()?);
        client.restore(session.clone());
        let place = KeyPlace { path: network.key_file(name), secret: session.store_secret()? };
        let (encryption, notices) =
            Encryption::open(client.clone(), &session.user_id, &session.device_id, &place).await?;
        let steps = follow(SyncLoop::new(&client, None).timeline_limit(TIMELINE_LIMIT));
        let (rooms, user_id) = (RoomList::new(&session.user_id), session.user_id);
        Ok(Self { name: name.to_owned(), password, user_id, client, encryption, notices, steps, rooms })
    }

    pub(in crate::commands) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::commands) fn user_id(&self) -> &str {
        &self.user_id
    }

    pub(in crate::commands) fn client(&self) -> &Client {
        &self.client
    }

    /// Logs in on one more device. It is published, so that it gets into groups, but nobody looks at what comes to it.
    pub(in crate::commands) async fn adds_device(&self, server: &Server) -> Result<Encryption, Failure> {
        let client = server.client()?;
        let session = client.login(&self.name, &self.password, "one more").await?;
        let (store, pace, clock) = (MemoryStore::default(), Pace::default(), system_clock());
        let (encryption, _) =
            Encryption::with_store(client, &session.user_id, &session.device_id, store, pace, clock).await?;
        Ok(encryption)
    }

    /// This person's device in the groups of encrypted rooms.
    pub(in crate::commands) fn encryption(&self) -> &Encryption {
        &self.encryption
    }

    /// Sends a message into an encrypted room. Returns its id.
    pub(in crate::commands) async fn say_secretly(&self, room_id: &str, text: &str) -> Result<String, Failure> {
        let content = json!({ "msgtype": "m.text", "body": text });
        let content = content.as_object().cloned().unwrap_or_default();
        Ok(self.encryption.send(room_id, "m.room.message", &content, &new_transaction_id()).await?)
    }

    /// Waits until this person's device has decrypted a message, and to this text.
    pub(in crate::commands) async fn reads(
        &mut self,
        room_id: &str,
        event_id: &str,
        text: &str,
    ) -> Result<(), Failure> {
        let is_read = |room: &RoomView| {
            let item = room.timeline().items().rev().find(|item| item.event.event_id == event_id);
            item.is_some_and(|item| {
                let decrypted = matches!(item.event.encryption, Some(EventEncryption::Decrypted { .. }));
                decrypted && item.event.text("body") == Some(text)
            })
        };
        self.until(room_id, &format!("the text of {event_id}"), is_read).await
    }

    /// What this person's device makes of an encrypted event.
    pub(in crate::commands) fn decrypts(&self, room_id: &str, event: Event) -> Result<Event, Failure> {
        let mut page = MessagesPage { chunk: vec![event], ..MessagesPage::default() };
        self.encryption.take_in_history(room_id, &mut page)?;
        page.chunk.pop().ok_or_else(|| "the event is gone".into())
    }

    /// Waits until this person's device is in the group of a room, with so many devices in all.
    pub(in crate::commands) async fn is_in_group(&mut self, room_id: &str, devices: usize) -> Result<(), Failure> {
        let encryption = self.encryption.clone();
        let is_in = |_: &RoomView| match encryption.status(room_id) {
            Ok(Some(RoomStatus::Encrypted(status))) => status.epoch.is_some() && status.devices == devices,
            _ => false,
        };
        self.until(room_id, &format!("{devices} devices in the group"), is_in).await
    }

    /// Sends a message. Returns its id.
    pub(in crate::commands) async fn say(&self, room_id: &str, text: &str) -> Result<String, Failure> {
        Ok(self.client.send_text(room_id, text, &new_transaction_id()).await?)
    }

    /// Waits until a message is in the room as this person sees it.
    pub(in crate::commands) async fn sees(&mut self, room_id: &str, event_id: &str) -> Result<(), Failure> {
        self.until(room_id, &format!("the event {event_id}"), |room| room.timeline().contains(event_id)).await
    }

    /// Waits until this person stands to the room like this.
    pub(in crate::commands) async fn becomes(&mut self, room_id: &str, membership: Membership) -> Result<(), Failure> {
        self.until(room_id, &format!("the own {membership:?}"), |room| room.membership() == membership).await
    }

    /// Waits until this person sees another stand to the room like this.
    pub(in crate::commands) async fn sees_member(
        &mut self,
        room_id: &str,
        user_id: &str,
        membership: Membership,
    ) -> Result<(), Failure> {
        let is_so = |room: &RoomView| room.members().get(user_id).is_some_and(|member| member.membership == membership);
        self.until(room_id, &format!("{membership:?} of {user_id}"), is_so).await
    }

    /// Who orders the room, as this person's server tells.
    pub(in crate::commands) fn hub_of(&self, room_id: &str) -> Option<String> {
        self.rooms.room(room_id)?.hub()
    }

    async fn until(&mut self, room_id: &str, what: &str, is_so: impl Fn(&RoomView) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + ARRIVAL;
        while !self.rooms.room(room_id).is_some_and(&is_so) {
            tokio::select! {
                step = self.steps.recv() => match step.ok_or("nothing is followed any more")? {
                    SyncStep::Synced(response) => self.take_in(*response).await?,
                    // It is tried again until the deadline.
                    SyncStep::Disconnected { .. } => {}
                    SyncStep::LoggedOut(error) => return Err(error.into()),
                },
                // What encryption does in the background shows without a sync.
                notice = self.notices.recv() => self.take_notice(notice.ok_or("the keys are gone")?),
                () = sleep_until(deadline) => {
                    let title = self.rooms.room(room_id).map_or_else(|| room_id.to_owned(), RoomView::title);
                    return Err(format!("{} did not see {what} in {title} within {ARRIVAL:?}", self.name).into());
                }
            }
        }
        Ok(())
    }
}

impl Person {
    async fn take_in(&mut self, mut response: SyncResponse) -> Result<(), Failure> {
        self.encryption.take_in(&mut response).await?;
        drop(self.rooms.apply(response));
        Ok(())
    }

    /// A message that came before its keys can be read now. What else there is to tell shows in the groups.
    fn take_notice(&mut self, notice: Notice) {
        if let Notice::Decrypted { room_id, event } = notice
            && let Some(room) = self.rooms.room_mut(&room_id)
        {
            room.replace(*event);
        }
    }
}

/// Has somebody invite a person into an encrypted room, who joins and gets into its group, with so many devices in all.
pub(in crate::commands) async fn let_in(
    host: &mut Person,
    person: &mut Person,
    room_id: &str,
    devices: usize,
) -> Result<(), Failure> {
    host.client().invite(room_id, person.user_id()).await?;
    person.becomes(room_id, Membership::Invite).await?;
    person.client().join(room_id, &[]).await?;
    person.becomes(room_id, Membership::Join).await?;
    host.is_in_group(room_id, devices).await?;
    person.is_in_group(room_id, devices).await
}

/// Follows somebody's rooms until nobody wants to know.
fn follow(mut syncs: SyncLoop) -> UnboundedReceiver<SyncStep> {
    let (tell, steps) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let step = syncs.next().await;
            let is_last = matches!(step, SyncStep::LoggedOut(_));
            if tell.send(step).is_err() || is_last {
                return;
            }
        }
    });
    steps
}

/// What the server refused with; an error if it did not refuse, or for another reason.
pub(in crate::commands) fn refused<T>(outcome: Result<T, Error>, what: &str) -> Result<String, Failure> {
    match outcome {
        Ok(_) => Err(format!("{what} should have been refused, and was not").into()),
        Err(Error::Api(error)) if error.errcode == "M_FORBIDDEN" => Ok(error.to_string()),
        Err(error) => Err(error.into()),
    }
}
