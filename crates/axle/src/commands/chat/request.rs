//! From commands to requests, and from requests to the server and back.

use std::path::PathBuf;
use std::time::Duration;

use axle_sdk::encryption::DeviceView;
use axle_sdk::{Attachment, Client, CreateRoom, Error, Membership, MessagesPage, PageFrom, RetryPolicy, RoomView};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::command::Command;
use super::files;

/// How many events of history are fetched at once.
pub(crate) const HISTORY_PAGE: usize = 50;
/// How long a message is tried before it counts as failed.
const SEND_PATIENCE: RetryPolicy = RetryPolicy { give_up_after: Duration::from_secs(120) };

/// Something to ask of the server.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Create { room: Box<CreateRoom>, encrypted: bool },
    Join { room: String, via: Vec<String> },
    Knock { room: String, via: Vec<String> },
    Leave { room: String },
    Invite { room: String, user: String },
    Kick { room: String, user: String, reason: Option<String> },
    Ban { room: String, user: String, reason: Option<String> },
    Unban { room: String, user: String },
    Topic { room: String, topic: String },
    Redact { room: String, event: String, reason: Option<String>, txn: String },
    Send { room: String, content: Map<String, Value>, txn: String },
    SendFile { room: String, path: PathBuf, txn: String },
    Save { file: Box<Attachment>, path: PathBuf },
    History { room: String, from: PageFrom },
    Devices { room: String },
    Verify { user: String, device: String },
    Epoch { room: String },
    Proceed { room: String },
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Done,
    Room(String),
    Event(String),
    Page(MessagesPage),
    Saved { path: PathBuf, size: usize },
    Devices(Vec<DeviceView>),
    Epoch { epoch: u64, code: String },
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Of the server's answer, if it gave one.
    pub(crate) errcode: Option<String>,
    /// For people.
    pub(crate) message: String,
}

impl Failure {
    /// A failure that needed no server.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self { errcode: None, message: message.into() }
    }
}

impl std::error::Error for Failure {}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        // The cause that a person can act on is the innermost.
        let mut cause = std::error::Error::source(&error);
        let mut innermost = None;
        while let Some(error) = cause {
            innermost = Some(error.to_string());
            cause = error.source();
        }
        if let Some(innermost) = innermost {
            message = format!("{message}: {innermost}");
        }
        Self { errcode: error.errcode().map(str::to_owned), message }
    }
}

/// Content of a text message.
pub(crate) fn text_content(body: &str) -> Map<String, Value> {
    Map::from_iter([("msgtype".to_owned(), json!("m.text")), ("body".to_owned(), json!(body))])
}

impl Request {
    /// The room whose requests must keep their order; history may overtake.
    pub(crate) fn lane(&self) -> &str {
        match self {
            Self::Create { .. } => "create",
            Self::History { .. } => "history",
            Self::Save { .. } => "files",
            Self::Devices { .. } | Self::Verify { .. } | Self::Epoch { .. } => "devices",
            Self::Proceed { room } => room,
            Self::Join { room, .. } | Self::Knock { room, .. } | Self::Leave { room } => room,
            Self::Invite { room, .. } | Self::Kick { room, .. } | Self::Ban { room, .. } => room,
            Self::Unban { room, .. } | Self::Topic { room, .. } | Self::Redact { room, .. } => room,
            Self::Send { room, .. } | Self::SendFile { room, .. } => room,
        }
    }

    /// What a command asks for, in the room that it is given in. The error says why it makes no sense there.
    /// `txn` is used if the request takes a transaction id; `encrypts` says whether this device has keys at all.
    pub(crate) fn plan(
        command: &Command,
        room: Option<&RoomView>,
        txn: String,
        encrypts: bool,
    ) -> Result<Self, String> {
        match command.clone() {
            Command::Create { name, join_rule, encrypted } => {
                return Ok(Self::Create { room: Box::new(CreateRoom::named(name, join_rule)), encrypted });
            }
            Command::Verify { user, device } => return Ok(Self::Verify { user, device }),
            Command::Join { room, via } => return Ok(Self::Join { room, via }),
            Command::Knock { room, via } => return Ok(Self::Knock { room, via }),
            _ => {}
        }
        let view = room.ok_or("there is no room to do this in; /create, /join or /room first")?;
        let room = view.room_id().to_owned();
        Ok(match command.clone() {
            Command::Say(_) | Command::Send { .. } if view.is_encrypted() && !encrypts => {
                return Err("this room is encrypted, and with this server nothing can be: it is not sent".to_owned());
            }
            Command::Say(text) => Self::Send { room, content: text_content(&text), txn },
            Command::Send { path } => Self::SendFile { room, path: files::expand(&path), txn },
            Command::Save { which, path } => {
                let file = Box::new(files::find(view, &which)?);
                let path = files::expand(path.as_deref().unwrap_or("."));
                Self::Save { file, path }
            }
            Command::Invite { user } => Self::Invite { room, user },
            Command::Leave => Self::Leave { room },
            Command::Kick { user, reason } => Self::Kick { room, user, reason },
            Command::Ban { user, reason } => Self::Ban { room, user, reason },
            Command::Unban { user } => Self::Unban { room, user },
            Command::Topic(topic) => Self::Topic { room, topic },
            Command::Redact { event, reason } => {
                let event = event.or_else(|| own_last_message(view)).ok_or("you have said nothing here")?;
                Self::Redact { room, event, reason, txn }
            }
            Command::Accept | Command::Reject if view.membership() != Membership::Invite => {
                return Err("you are not invited to this room".to_owned());
            }
            Command::Devices => Self::Devices { room },
            Command::Epoch => Self::Epoch { room },
            Command::Proceed => Self::Proceed { room },
            Command::Accept => Self::Join { via: via_of_invite(view), room },
            Command::Reject => Self::Leave { room },
            Command::History => {
                let from = view.timeline().prev_batch().ok_or("this is the beginning of the room")?;
                Self::History { room, from: PageFrom::Before(from.to_owned()) }
            }
            other => return Err(format!("{other:?} is not a request")),
        })
    }

    /// Asks the server, or this device's keys.
    pub(crate) async fn perform(&self, account: &Account) -> Result<Answer, Failure> {
        let Some(encryption) = &account.encryption else { return self.perform_plain(&account.client).await };
        let done = |()| Answer::Done;
        let answer = match self {
            Self::Create { room, encrypted: true } => encryption.create_room(room).await.map(Answer::Room),
            Self::Join { room, via } => encryption.join(room, via).await.map(Answer::Room),
            Self::Leave { room } => encryption.leave(room).await.map(done),
            Self::Kick { room, user, reason } => encryption.kick(room, user, reason.as_deref()).await.map(done),
            Self::Ban { room, user, reason } => encryption.ban(room, user, reason.as_deref()).await.map(done),
            Self::Send { room, content, txn } => {
                encryption.send(room, "m.room.message", content, txn).await.map(Answer::Event)
            }
            Self::SendFile { room, path, txn } => {
                let file = files::read(path).await?;
                encryption.send_file(room, file, txn).await.map(Answer::Event)
            }
            Self::History { room, .. } => {
                let mut answer = self.perform_plain(&account.client).await?;
                if let Answer::Page(page) = &mut answer {
                    encryption.take_in_history(room, page)?;
                }
                Ok(answer)
            }
            Self::Devices { room } => encryption.devices(room).map(Answer::Devices).map_err(Error::from),
            Self::Verify { user, device } => encryption.verify(user, device).map(done).map_err(Error::from),
            Self::Proceed { room } => encryption.proceed(room).map(done).map_err(Error::from),
            Self::Epoch { room } => {
                encryption.epoch_code(room).map(|(epoch, code)| Answer::Epoch { epoch, code }).map_err(Error::from)
            }
            _ => return self.perform_plain(&account.client).await,
        };
        Ok(answer?)
    }

    async fn perform_plain(&self, client: &Client) -> Result<Answer, Failure> {
        let done = |()| Answer::Done;
        let answer = match self {
            Self::Create { room, .. } => client.create_room(room).await.map(Answer::Room),
            Self::Join { room, via } => client.join(room, via).await.map(Answer::Room),
            Self::Knock { room, via } => client.knock(room, via, None).await.map(Answer::Room),
            Self::Leave { room } => client.leave(room).await.map(done),
            Self::Invite { room, user } => client.invite(room, user).await.map(done),
            Self::Kick { room, user, reason } => client.kick(room, user, reason.as_deref()).await.map(done),
            Self::Ban { room, user, reason } => client.ban(room, user, reason.as_deref()).await.map(done),
            Self::Unban { room, user } => client.unban(room, user).await.map(done),
            Self::Topic { room, topic } => {
                let content = Map::from_iter([("topic".to_owned(), json!(topic))]);
                client.put_state(room, "m.room.topic", "", &content).await.map(Answer::Event)
            }
            Self::Redact { room, event, reason, txn } => {
                client.redact(room, event, reason.as_deref(), txn).await.map(Answer::Event)
            }
            Self::Send { room, content, txn } => {
                let client = client.with_retry(SEND_PATIENCE);
                client.send(room, "m.room.message", content, txn).await.map(Answer::Event)
            }
            Self::SendFile { room, path, txn } => {
                let file = files::read(path).await?;
                client.with_retry(SEND_PATIENCE).send_file(room, file, txn).await.map(Answer::Event)
            }
            Self::Save { file, path } => return files::save(client, file, path).await,
            Self::History { room, from } => client.messages(room, from, HISTORY_PAGE).await.map(Answer::Page),
            Self::Devices { .. } | Self::Verify { .. } | Self::Epoch { .. } | Self::Proceed { .. } => {
                return Err(Failure::local("nothing is encrypted with this server"));
            }
        };
        Ok(answer?)
    }
}

fn own_last_message(view: &RoomView) -> Option<String> {
    let mut messages = view.timeline().items().rev().filter(|item| item.redacted.is_none());
    let own = messages.find(|item| item.event.event_type == "m.room.message" && item.event.sender == view.own_id());
    own.map(|item| item.event.event_id.clone())
}

/// Who invited knows the room; who made its id may, too.
fn via_of_invite(view: &RoomView) -> Vec<String> {
    let ids = [view.inviter(), Some(view.room_id())];
    let servers = ids.into_iter().flatten().filter_map(|id| Some(id.split_once(':')?.1.to_owned()));
    let mut via: Vec<String> = Vec::new();
    for server in servers {
        if !via.contains(&server) {
            via.push(server);
        }
    }
    via
}
