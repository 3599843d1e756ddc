//! Events as clients see them.
//!
//! What only servers need (hashes, signatures, auth events and parents) is left out, redacted events are redacted, so are
//! for who was not there those of [erased](erasure) users, and `unsigned` is made here.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use axle_protocol::auth::Membership;
use axle_protocol::{Event, EventId, MatrixError, RoomId, UserId};
use axle_store::{EventStatus, StateBefore, StoredEvent};
use ruma::serde::Raw;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::aggregations::{self, Bundle};
use crate::erasure;
use crate::error::ApiResult;
use crate::memberships::{self, Place};
use crate::session::Session;
use crate::state::{Api, now_ms};

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// On its own: it names its room.
    Full,
    /// In a sync, inside its room.
    Sync,
    /// As servers send it to each other, for clients that check hashes and signatures themselves (`event_format` of a
    /// filter); with its id, which is not in it, and `unsigned` beside that.
    Federation,
}

/// How events are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    format: Format,
    /// Whether events say what relates to them, and what the reader was to the room at their time.
    history: bool,
    /// Which state events say what they replaced.
    replaced: Replaced,
    /// The position from which on the reader sees nothing.
    end: Option<i64>,
    /// Whether what relates to one of the events is among them.
    newest: bool,
    /// Position of the event by which the reader is in the room without a break, where that is known.
    joined_from: Option<i64>,
}

/// Which state events say what they replaced: it is looked up for each.
#[derive(Debug, Clone, Copy)]
enum Replaced {
    All,
    None,
    /// Those after this place in stream order, and the reader's own membership.
    News(i64),
}

impl Replaced {
    fn is_told_of(self, seen: &Seen<'_>, reader: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::News(since) => seen.event.stream > since || seen.member() == Some(reader),
        }
    }
}

impl View {
    /// Events as they happened: state events say what they replaced, and events what relates to them. `end`: see [`Access::end`].
    ///
    /// [`Access::end`]: crate::visibility::Access::end
    pub(crate) fn timeline(format: Format, end: Option<i64>) -> Self {
        Self { format, history: true, replaced: Replaced::All, end, newest: false, joined_from: None }
    }

    /// The reader is in the room by the event at this position, and was so since: what they were to it at the time of later
    /// events need not be looked up.
    pub(crate) fn joined_from(self, position: Option<i64>) -> Self {
        Self { joined_from: position, ..self }
    }

    /// The events are the newest of their room, and none of those is left out. New messages are told to everyone in a
    /// room: most often this says without a look into the store that nothing relates to them.
    pub(crate) fn of_newest(self, none_left_out: bool) -> Self {
        Self { newest: none_left_out, ..self }
    }

    /// Events as they hold.
    pub(crate) fn state(format: Format, end: Option<i64>) -> Self {
        Self { format, history: false, replaced: Replaced::None, end, newest: false, joined_from: None }
    }

    /// Of the state, the client knows what happened until a place in stream order; `None`: nothing. What is new says what
    /// it replaced, and so does the reader's own membership at any time: who has accepted an invite finds in it who
    /// invited them, and whether to a direct chat, and who was put out that they were in.
    pub(crate) fn news_since(self, since: Option<i64>) -> Self {
        Self { replaced: Replaced::News(since.unwrap_or(i64::MAX)), ..self }
    }
}

/// Renders events for a session, in their order.
pub(crate) async fn render<T>(
    api: &Api,
    session: &Session,
    events: &[StoredEvent],
    view: View,
) -> ApiResult<Vec<Raw<T>>> {
    let user_id = &session.user_id;
    let events = &*erasure::copies(api, user_id, events, view.joined_from).await?;
    let seen = Seen::all(events)?;
    let txn_ids = seen_txn_ids(api, session, &seen).await?;
    let redactions = redactions(api, Some(user_id), events, view.end).await?;
    let replacing = seen.iter().filter(|seen| view.replaced.is_told_of(seen, user_id.as_str()));
    let previous = previous_contents(api, Some(user_id), replacing).await?;
    let bundles = if view.history && (!view.newest || events.iter().any(aggregations::names_relation)) {
        aggregations::bundles(api, session, events, view.end).await?
    } else {
        HashMap::new()
    };
    let memberships = match view.history {
        true => memberships::of(api, user_id, &places(&seen), view.joined_from).await?,
        false => vec![None; seen.len()],
    };
    let now = now_ms();
    let render = |(seen, membership): (Seen<'_>, Option<Membership>)| {
        let event_id = &seen.event.event_id;
        let unsigned = Unsigned {
            membership: membership.map(Membership::as_str),
            transaction_id: txn_ids.get(event_id).map(String::as_str),
            relations: bundles.get(event_id),
            ..seen.unsigned(now, &previous, &redactions)
        };
        Ok(Raw::from_json(seen.render(view.format, &unsigned)?))
    };
    seen.into_iter().zip(memberships).map(render).collect()
}

/// The events, and whose memberships they are.
fn places<'a>(events: &'a [Seen<'a>]) -> Vec<Place<'a>> {
    events.iter().map(|seen| Place { event: seen.event, member: seen.member() }).collect()
}

/// Events as application services get them: whole, as they happened.
pub(crate) async fn for_service(api: &Api, events: &[StoredEvent]) -> ApiResult<Vec<Box<RawValue>>> {
    let redactions = redactions(api, None, events, None).await?;
    let seen = Seen::all(events)?;
    let previous = previous_contents(api, None, seen.iter()).await?;
    let now = now_ms();
    let render = |seen: Seen<'_>| {
        let unsigned = seen.unsigned(now, &previous, &redactions);
        seen.render(Format::Full, &unsigned)
    };
    seen.into_iter().map(render).collect()
}

/// An event as servers send it to each other, with its id, whether or not it is redacted: for administrators.
pub(crate) fn whole(event: &StoredEvent) -> ApiResult<Box<RawValue>> {
    let age = Some(now_ms().saturating_sub(origin_server_ts(event)?));
    let redacted_by = event.redacted_by.as_ref().map(EventId::as_str);
    render_whole(event, &event.json, &Unsigned { age, redacted_by, ..Unsigned::default() })
}

/// One event.
pub(crate) async fn render_event<T>(api: &Api, session: &Session, event: StoredEvent, view: View) -> ApiResult<Raw<T>> {
    let rendered = render(api, session, &[event], view).await?.pop();
    rendered.ok_or_else(|| MatrixError::unknown("The event could not be rendered.").into())
}

/// An event that stands inside another one's `unsigned`, with its transaction id, if the session's device sent it.
pub(crate) fn render_inside(
    event: &StoredEvent,
    transaction_id: Option<&str>,
    relations: Option<&Bundle>,
) -> ApiResult<Box<RawValue>> {
    let age = Some(now_ms().saturating_sub(origin_server_ts(event)?));
    render_one(event, Format::Full, &Unsigned { age, transaction_id, relations, ..Unsigned::default() })
}

/// The content of an event as clients see it.
pub(crate) fn content(event: &StoredEvent) -> ApiResult<Box<RawValue>> {
    let json = visible_json(event)?;
    Ok(parse(&json)?.content.to_owned())
}

/// The event with nothing but its type, state key, sender and content, for people who are not in the room.
pub(crate) fn stripped<T>(event: &StoredEvent) -> ApiResult<Raw<T>> {
    strip(event, false)
}

/// The same with when it was sent.
pub(crate) fn stripped_with_time<T>(event: &StoredEvent) -> ApiResult<Raw<T>> {
    strip(event, true)
}

fn strip<T>(event: &StoredEvent, with_time: bool) -> ApiResult<Raw<T>> {
    let json = visible_json(event)?;
    let source = parse(&json)?;
    let stripped = ClientEvent {
        content: source.content,
        event_id: None,
        origin_server_ts: with_time.then_some(source.origin_server_ts),
        redacts: None,
        room_id: None,
        sender: source.sender,
        state_key: source.state_key,
        event_type: source.event_type,
        unsigned: None,
    };
    Ok(Raw::from_json(to_raw_value(&stripped).map_err(broken)?))
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    sender: Cow<'a, str>,
    #[serde(borrow)]
    state_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: &'a RawValue,
    origin_server_ts: i64,
}

#[derive(Serialize)]
struct ClientEvent<'a> {
    content: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_server_ts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
    sender: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned: Option<&'a Unsigned<'a>>,
}

#[derive(Serialize, Default)]
struct Unsigned<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<i64>,
    /// What the reader was to the room, after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_because: Option<&'a RawValue>,
    /// The id of that, which is in it already; some clients know it by this name, from other servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    relations: Option<&'a Bundle>,
}

fn render_one(event: &StoredEvent, format: Format, unsigned: &Unsigned<'_>) -> ApiResult<Box<RawValue>> {
    let json = visible_json(event)?;
    match format {
        Format::Federation => render_whole(event, &json, unsigned),
        Format::Full | Format::Sync => render_source(event, parse(&json)?, format, unsigned),
    }
}

/// Everything that was signed.
fn render_whole(event: &StoredEvent, json: &str, unsigned: &Unsigned<'_>) -> ApiResult<Box<RawValue>> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).map_err(broken)?;
    fields.insert("event_id".into(), to_raw_value(event.event_id.as_str()).map_err(broken)?);
    fields.insert("unsigned".into(), to_raw_value(unsigned).map_err(broken)?);
    Ok(to_raw_value(&fields).map_err(broken)?)
}

fn render_source(
    event: &StoredEvent,
    source: Source<'_>,
    format: Format,
    unsigned: &Unsigned<'_>,
) -> ApiResult<Box<RawValue>> {
    let rendered = ClientEvent {
        event_id: Some(event.event_id.as_str()),
        origin_server_ts: Some(source.origin_server_ts),
        // Since room version 11 this is in the content; older clients look for it here.
        redacts: (source.event_type == "m.room.redaction").then(|| redacts(source.content)).flatten(),
        room_id: (format == Format::Full).then_some(event.room_id.as_str()),
        content: source.content,
        sender: source.sender,
        state_key: source.state_key,
        event_type: source.event_type,
        unsigned: Some(unsigned),
    };
    Ok(to_raw_value(&rendered).map_err(broken)?)
}

/// An event that was parsed, once for all that is asked of it.
struct Seen<'a> {
    event: &'a StoredEvent,
    source: Source<'a>,
}

impl<'a> Seen<'a> {
    fn all(events: &'a [StoredEvent]) -> ApiResult<Vec<Self>> {
        events.iter().map(|event| Ok(Self { event, source: parse(&event.json)? })).collect()
    }

    /// Whose membership it is, if it is one.
    fn member(&self) -> Option<&str> {
        self.source.state_key.as_deref().filter(|_| self.source.event_type == "m.room.member")
    }

    /// What is the same for everybody: its age, what it replaced, what redacted it.
    fn unsigned<'b>(
        &self,
        now: i64,
        previous: &'b HashMap<EventId, Previous>,
        redactions: &'b HashMap<EventId, Box<RawValue>>,
    ) -> Unsigned<'b>
    where
        'a: 'b,
    {
        Unsigned {
            age: Some(now.saturating_sub(self.source.origin_server_ts)),
            prev_content: previous.get(&self.event.event_id).map(|previous| &*previous.content),
            prev_sender: previous.get(&self.event.event_id).map(|previous| previous.sender.as_str()),
            redacted_because: self.event.redacted_by.as_ref().and_then(|id| redactions.get(id)).map(|json| &**json),
            redacted_by: self.event.redacted_by.as_ref().map(EventId::as_str),
            ..Unsigned::default()
        }
    }

    fn render(self, format: Format, unsigned: &Unsigned<'_>) -> ApiResult<Box<RawValue>> {
        // Of the others, much of what was parsed is not to be seen.
        match self.event.redacted_by {
            None if format != Format::Federation => render_source(self.event, self.source, format, unsigned),
            _ => render_one(self.event, format, unsigned),
        }
    }
}

/// The event's JSON, redacted if it is redacted.
fn visible_json(event: &StoredEvent) -> ApiResult<Cow<'_, str>> {
    match event.redacted_by {
        None => Ok(Cow::Borrowed(&event.json)),
        Some(_) => redacted_json(event).map(Cow::Owned),
    }
}

/// The JSON of the redacted copy of an event.
pub(crate) fn redacted_json(event: &StoredEvent) -> ApiResult<String> {
    let parsed = Event::parse(event.json.as_bytes(), event.room_version).map_err(|error| {
        tracing::error!(event_id = %event.event_id, %error, "a stored event does not parse");
        MatrixError::unknown("The server has an event that it cannot read.")
    })?;
    Ok(parsed.redacted().json().to_owned())
}

fn parse(json: &str) -> ApiResult<Source<'_>> {
    Ok(serde_json::from_str(json).map_err(broken)?)
}

/// When an event was sent, as its sender says: milliseconds since the Unix epoch.
pub(crate) fn origin_server_ts(event: &StoredEvent) -> ApiResult<i64> {
    Ok(parse(&event.json)?.origin_server_ts)
}

fn redacts(content: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Redaction {
        redacts: String,
    }
    serde_json::from_str::<Redaction>(content.get()).ok().map(|redaction| redaction.redacts)
}

/// The transaction ids of those events that this session's device sent.
pub(crate) async fn txn_ids(
    api: &Api,
    session: &Session,
    events: &[StoredEvent],
) -> ApiResult<HashMap<EventId, String>> {
    seen_txn_ids(api, session, &Seen::all(events)?).await
}

async fn seen_txn_ids(api: &Api, session: &Session, events: &[Seen<'_>]) -> ApiResult<HashMap<EventId, String>> {
    let own = events.iter().filter(|seen| seen.source.sender == session.user_id.as_str());
    let own: Vec<EventId> = own.map(|seen| seen.event.event_id.clone()).collect();
    if own.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(api.store.device_txn_ids(&session.user_id, &session.device_id, &own).await?.into_iter().collect())
}

/// The redactions of those events that are redacted, rendered for a reader or for whoever reads all.
async fn redactions(
    api: &Api,
    reader: Option<&UserId>,
    events: &[StoredEvent],
    end: Option<i64>,
) -> ApiResult<HashMap<EventId, Box<RawValue>>> {
    let ids: Vec<EventId> = events.iter().filter_map(|event| event.redacted_by.clone()).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut found = api.store.events(&ids).await?;
    found.retain(|event| event.status == EventStatus::Accepted);
    let found = as_read(api, reader, found).await?;
    let rendered = found.into_iter().map(|mut event| {
        // Of a redaction that the reader does not see, the reason is not shown either.
        if end.is_some_and(|end| event.position.is_none_or(|position| position >= end)) {
            event.redacted_by = Some(event.event_id.clone());
        }
        let json = render_one(&event, Format::Full, &Unsigned::default())?;
        Ok((event.event_id, json))
    });
    rendered.collect()
}

/// What a state event replaced.
struct Previous {
    sender: String,
    content: Box<RawValue>,
}

/// What the state events among these replaced, as far as that is here, for a reader or for whoever reads all.
async fn previous_contents<'a>(
    api: &Api,
    reader: Option<&UserId>,
    events: impl Iterator<Item = &'a Seen<'a>>,
) -> ApiResult<HashMap<EventId, Previous>> {
    let mut rooms: BTreeMap<&RoomId, Vec<(&EventId, StateBefore)>> = BTreeMap::new();
    for Seen { event, source } in events {
        let (Some(position), Some(key)) = (event.position, &source.state_key) else { continue };
        let before = StateBefore { position, event_type: source.event_type.to_string(), state_key: key.to_string() };
        rooms.entry(&event.room_id).or_default().push((&event.event_id, before));
    }
    let mut contents = HashMap::new();
    for (room_id, replacing) in rooms {
        let (ids, wanted): (Vec<&EventId>, Vec<StateBefore>) = replacing.into_iter().unzip();
        let replaced = api.store.state_events_before(room_id, wanted).await?;
        let replaced = ids.into_iter().zip(replaced).filter_map(|(event_id, before)| Some((event_id, before?)));
        let (ids, replaced): (Vec<&EventId>, Vec<StoredEvent>) = replaced.unzip();
        for (event_id, before) in ids.into_iter().zip(as_read(api, reader, replaced).await?) {
            let (sender, content) = (sender(&before).unwrap_or_default(), content(&before)?);
            contents.insert(event_id.clone(), Previous { sender, content });
        }
    }
    Ok(contents)
}

/// What is told along with other events, as a reader may see it; or all of it.
async fn as_read(api: &Api, reader: Option<&UserId>, events: Vec<StoredEvent>) -> ApiResult<Vec<StoredEvent>> {
    match reader {
        Some(user_id) => Ok(erasure::copies(api, user_id, &events, None).await?.into_owned()),
        None => Ok(events),
    }
}

fn broken(error: serde_json::Error) -> MatrixError {
    tracing::error!(%error, "a stored event cannot be rendered");
    MatrixError::unknown("The server has an event that it cannot read.")
}

/// The type of an event.
pub(crate) fn event_type(event: &StoredEvent) -> Option<String> {
    parse(&event.json).ok().map(|source| source.event_type.into_owned())
}

/// Who sent an event.
pub(crate) fn sender(event: &StoredEvent) -> Option<String> {
    parse(&event.json).ok().map(|source| source.sender.into_owned())
}
