//! What the server tells.

use axle_sdk::{Change, HubFault, Membership, SyncResponse};

use super::{App, Connection, Notice, Page};
use crate::commands::chat::request::{Answer, Failure, Request};
use crate::commands::chat::{files, lines};

impl App {
    pub(super) fn handle_sync(&mut self, response: SyncResponse) {
        let first = self.connection == Connection::Connecting;
        self.connection = Connection::Connected;
        let height = self.timeline_height();
        for change in self.list.apply(response) {
            match change {
                Change::Membership { room_id, before, now } => self.note_membership(&room_id, before, now),
                Change::Event { room_id, event } => {
                    let own = event.sender == self.list.own_id();
                    let shown = self.current.as_ref() == Some(&room_id);
                    if event.event_type == "m.room.message" && !own && !shown && !first {
                        *self.unread.entry(room_id).or_default() += 1;
                    }
                }
                Change::Gap { room_id } if self.current.as_ref() == Some(&room_id) => self.scroll = 0,
                Change::Gap { .. } => {}
                Change::HubFault { room_id, fault } if !first => self.warn_of(&room_id, &fault),
                // Those of before are marked where the room is shown.
                Change::HubFault { .. } => {}
            }
        }
        // Who reads older messages keeps them in sight.
        if self.scroll > 0 {
            self.scroll += self.timeline_height().saturating_sub(height);
        }
        if self.current.is_none() {
            self.show_number(1);
        }
    }

    pub(super) fn handle_answer(&mut self, request: Request, result: Result<Answer, Failure>) {
        match (request, result) {
            (request @ (Request::Send { .. } | Request::SendFile { .. }), result) => self.note_sent(request, result),
            (Request::History { room, .. }, result) => {
                self.fetching.remove(&room);
                match result {
                    Ok(Answer::Page(page)) => {
                        self.list.room_mut(&room).map(|view| view.apply_history(page));
                    }
                    Ok(_) => {}
                    Err(failure) => self.notice = Some(Notice::Error(failure.message)),
                }
            }
            (_, Err(failure)) => self.notice = Some(Notice::Error(failure.message)),
            (Request::Knock { .. }, Ok(Answer::Room(room_id))) => {
                self.show(&room_id);
                self.notice = Some(Notice::Info("you asked to be invited".to_owned()));
            }
            (Request::Verify { user, device }, Ok(_)) => {
                self.notice = Some(Notice::Info(format!("the device {device} of {user} is verified")));
            }
            (_, Ok(Answer::Devices(devices))) => {
                self.devices = devices;
                self.open(Page::Devices);
            }
            (_, Ok(Answer::Epoch { epoch, code })) => {
                let text = format!("epoch {epoch}: {code} — everybody in the room should see the same");
                self.notice = Some(Notice::Info(text));
            }
            (_, Ok(Answer::Saved { path, size })) => {
                let text =
                    format!("kept as {}, {}", lines::clean(&path.display().to_string()), files::size(size as u64));
                self.notice = Some(Notice::Info(text));
            }
            (_, Ok(Answer::Room(room_id))) => self.show(&room_id),
            (_, Ok(_)) => {}
        }
    }

    /// What became of a message. One that failed is kept, to be sent again.
    fn note_sent(&mut self, request: Request, result: Result<Answer, Failure>) {
        let (Request::Send { room, txn, .. } | Request::SendFile { room, txn, .. }) = &request else { return };
        let outcome = match result {
            Ok(Answer::Event(event_id)) => Ok(event_id),
            Ok(_) => Err("the server gave no event id".to_owned()),
            Err(failure) => Err(failure.message),
        };
        let failed = outcome.is_err();
        if let Some(view) = self.list.room_mut(room) {
            view.end_send(txn, outcome);
        }
        if failed {
            self.failed.insert(txn.clone(), request);
        }
    }

    fn warn_of(&mut self, room_id: &str, fault: &HubFault) {
        let Some(room) = self.list.room(room_id) else { return };
        let hub = room.hub().unwrap_or_else(|| "the hub".to_owned());
        let text = format!("{} did wrong in {}: {}; /faults tells more", hub, room.title(), fault.detail);
        self.notice = Some(Notice::Error(text));
    }

    fn note_membership(&mut self, room_id: &str, before: Option<Membership>, now: Membership) {
        let Some(room) = self.list.room(room_id) else { return };
        let (title, own) = (lines::clean(&room.title()), self.list.own_id());
        let member = room.members().get(own);
        let sender = member.map(|member| member.sender.as_str()).unwrap_or_default();
        let reason = member.and_then(|member| member.reason.as_deref());
        let why = reason.map(|reason| format!(": {}", lines::clean(reason))).unwrap_or_default();
        let by_other = sender != own;
        let text = match now {
            Membership::Invite => format!("{sender} invites you to {title}"),
            Membership::Ban => format!("{sender} banned you from {title}{why}"),
            Membership::Leave if before == Some(Membership::Knock) && by_other => {
                format!("{sender} refused you {title}{why}")
            }
            Membership::Leave if before.is_some() && by_other => format!("{sender} put you out of {title}{why}"),
            _ => return,
        };
        self.notice = Some(Notice::Info(text));
    }
}
