//! `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`

use axle_protocol::{MatrixError, ServerName, UserId};
use axle_store::NewToDevice;
use ruma::api::client::to_device::send_event_to_device::v3::{Request, Response};
use ruma::to_device::DeviceIdOrAllDevices;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Asked;
use crate::endpoints::send::txn;
use crate::error::ApiResult;
use crate::event_content;
use crate::servers::MessageElsewhere;
use crate::session::Session;
use crate::state::Api;

/// The largest content of a message.
const MAX_CONTENT_BYTES: usize = 64 * 1024;
/// Messages in a request.
const MAX_MESSAGES: usize = 5_000;

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    sender: &'a UserId,
    content: &'a RawValue,
}

pub(crate) async fn send_to_device(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let event_type = request.event_type.to_string();
    event_content::check_key(&event_type, None)?;
    let txn = txn(&session, format!("sendToDevice {event_type}"), request.txn_id.as_str())?;
    let (mut messages, mut elsewhere) = (Vec::new(), Vec::new());
    for (user_id, devices) in &request.messages {
        let (user_id, is_local) = match Asked::of(&api, user_id) {
            Asked::Local(user_id) => (user_id, true),
            Asked::Remote(user_id) => (user_id, false),
            // What is meant for nobody is lost, as the specification has it.
            Asked::Nobody | Asked::Unspeakable(_) => continue,
        };
        for (device_id, content) in devices {
            let content = content.json();
            if content.get().len() > MAX_CONTENT_BYTES {
                return Err(MatrixError::too_large(format!("A message has at most {MAX_CONTENT_BYTES} bytes.")).into());
            }
            event_content::parse(content)?;
            if !is_local {
                let (user_id, device_id) = (user_id.clone(), device_id.to_string());
                elsewhere.push(MessageElsewhere { user_id, device_id, content: content.to_owned() });
                continue;
            }
            let event = Event { event_type: &event_type, sender: &session.user_id, content };
            messages.push(NewToDevice {
                user_id: user_id.clone(),
                device_id: match device_id {
                    DeviceIdOrAllDevices::DeviceId(id) => Some(id.to_string()),
                    DeviceIdOrAllDevices::AllDevices => None,
                },
                json: serde_json::to_string(&event).map_err(|error| MatrixError::bad_json(error.to_string()))?,
            });
        }
    }
    if messages.len() + elsewhere.len() > MAX_MESSAGES {
        return Err(MatrixError::invalid_param(format!("There are at most {MAX_MESSAGES} messages at once.")).into());
    }
    api.limits.changes.take(session.user_id.as_str())?;
    let mut receivers: Vec<UserId> = messages.iter().map(|message| message.user_id.clone()).collect();
    receivers.dedup();
    let edus = api.servers.to_device(&session.user_id, &event_type, &elsewhere);
    let mut destinations: Vec<ServerName> = edus.iter().map(|edu| edu.destination.clone()).collect();
    destinations.sort();
    destinations.dedup();
    if api.store.send_to_device(txn, messages, edus).await? {
        receivers.iter().for_each(|user_id| api.notifier.wake(user_id));
        api.servers.queued(&destinations);
    }
    Ok(Response::new())
}
