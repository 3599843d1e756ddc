//! Runs the commands of a script.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::Write;
use std::time::Duration;

use axle_sdk::{Change, Event, Membership, PageFrom, RoomList, SyncResponse, SyncStep};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::news::{Piece, What};
use super::output::{self, Facts, facts};
use super::{DEFAULT_WAIT, News, Output, tell};
use crate::commands::chat::account::{Account, Opened};
use crate::commands::chat::command::{Awaited, Command};
use crate::commands::chat::request::{Answer, Failure, Request};

/// How many pages of history may be fetched to close a gap.
const MAX_GAP_PAGES: usize = 40;
/// How long the room of a command that succeeded may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

type Fatal = Box<dyn Error>;

/// A script that runs.
pub(super) struct Script<W> {
    pub(super) account: Account,
    pub(super) out: Output<W>,
    pub(super) news: News,
    pub(super) list: RoomList,
    pub(super) current: Option<String>,
    /// Events that were printed, by room.
    pub(super) printed: HashMap<String, HashSet<String>>,
    connected: bool,
}

impl<W: Write> Script<W> {
    /// Connects and prints what there is.
    pub(super) async fn begin(opened: Opened, mut out: Output<W>) -> Result<Self, Fatal> {
        let Opened { account, notices, plain_because } = opened;
        let own_id = account.client.user_id()?;
        out.ready(&own_id, account.client.server(), plain_because.as_deref())?;
        let (news, list) = (News::follow(&account, notices), RoomList::new(own_id));
        let (printed, connected) = (HashMap::new(), true);
        let mut script = Self { account, out, news, list, current: None, printed, connected };
        let barrier = script.news.hurry();
        script.reach(barrier, Instant::now() + DEFAULT_WAIT).await?;
        script.current = only_room(&script.list);
        Ok(script)
    }

    /// Runs a line and prints its result. Returns whether it did what it should.
    pub(super) async fn run_line(
        &mut self,
        number: usize,
        text: &str,
        command: Result<Command, String>,
    ) -> Result<bool, Fatal> {
        let result = match command {
            Ok(command) => self.run(command).await?,
            Err(error) => Err(Failure::local(error)),
        };
        self.out.result(number, text, &result)?;
        Ok(result.is_ok())
    }

    /// Takes in a step and prints what it brought.
    pub(super) async fn take_in(&mut self, piece: Piece) -> Result<(), Fatal> {
        let step = match piece.what {
            What::Notice(notice) => return self.print_notice(notice),
            What::Step(step) => step,
        };
        match step {
            SyncStep::Synced(response) => {
                if !std::mem::replace(&mut self.connected, true) {
                    self.out.connection_restored()?;
                }
                self.print(*response).await
            }
            SyncStep::Disconnected { error, retry_in } => {
                self.connected = false;
                let failure = Failure::from(error);
                Ok(self.out.connection_lost(&failure.message, retry_in.as_millis())?)
            }
            SyncStep::LoggedOut(error) => Err(error.into()),
        }
    }

    async fn run(&mut self, command: Command) -> Result<Result<Facts, Failure>, Fatal> {
        let Command::Fails { errcode, command } = command else { return self.run_plain(command).await };
        let result = self.run_plain(*command).await?;
        Ok(match result {
            Ok(_) => Err(Failure::local("it should have failed, and did not")),
            Err(failure) if errcode.is_some() && failure.errcode != errcode => Err(failure),
            Err(failure) => Ok(facts(json!({"errcode": failure.errcode, "error": failure.message}))),
        })
    }

    async fn run_plain(&mut self, command: Command) -> Result<Result<Facts, Failure>, Fatal> {
        Ok(match command {
            Command::Fails { .. } => Err(Failure::local("/fails takes a command that is not /fails")),
            Command::Sync => self.sync().await?,
            Command::Wait { seconds, what } => {
                let limit = seconds.map_or(DEFAULT_WAIT, Duration::from_secs);
                self.wait(&what, limit).await?
            }
            Command::Room(name) => self.go_to(&name),
            Command::Rooms => Ok(tell::rooms(&self.list)),
            Command::Members => self.current_room().map(tell::members),
            Command::Faults => self.current_room().map(tell::faults_of),
            Command::Help => Ok(tell::help()),
            Command::Retry | Command::Discard | Command::Quit => {
                Err(Failure::local("this makes sense in the terminal only: a script knows how each command went"))
            }
            command => {
                let (txn, encrypts) = (axle_sdk::new_transaction_id(), self.account.encryption.is_some());
                match Request::plan(&command, self.current_room().ok(), txn, encrypts) {
                    Ok(request) => self.ask(request).await?,
                    Err(error) => Err(Failure::local(error)),
                }
            }
        })
    }

    fn current_room(&self) -> Result<&axle_sdk::RoomView, Failure> {
        let room = self.current.as_deref().and_then(|id| self.list.room(id));
        room.ok_or_else(|| Failure::local("there is no current room; /create, /join or /room first"))
    }

    /// Asks the server, and goes on printing what happens meanwhile.
    async fn ask(&mut self, request: Request) -> Result<Result<Facts, Failure>, Fatal> {
        let account = self.account.clone();
        let asked = request.clone();
        let mut answer = std::pin::pin!(async move { asked.perform(&account).await });
        let result = loop {
            tokio::select! {
                result = &mut answer => break result,
                piece = self.news.next() => self.take_in(piece?).await?,
            }
        };
        Ok(match result {
            Err(failure) => Err(failure),
            Ok(Answer::Done) => Ok(Facts::new()),
            Ok(Answer::Event(event_id)) => Ok(facts(json!({"event_id": event_id}))),
            Ok(Answer::Saved { path, size }) => Ok(facts(json!({"path": path.display().to_string(), "size": size}))),
            Ok(Answer::Devices(devices)) => Ok(tell::devices(&devices)),
            Ok(Answer::Epoch { epoch, code }) => Ok(facts(json!({"epoch": epoch, "code": code}))),
            Ok(Answer::Room(room_id)) => {
                self.arrive(&request, &room_id).await?;
                self.current = Some(room_id.clone());
                Ok(facts(json!({"room_id": room_id})))
            }
            Ok(Answer::Page(page)) => {
                let Request::History { room, .. } = &request else { return Ok(Ok(Facts::new())) };
                let events: Vec<_> = page.chunk.iter().rev().map(output::marked).collect();
                self.list.room_mut(room).map(|view| view.apply_history(page));
                let more = self.list.room(room).is_some_and(|view| view.timeline().prev_batch().is_some());
                Ok(facts(json!({"events": events, "more": more})))
            }
        })
    }

    /// Waits until a room that was made or joined has come by sync, so that the next command finds it.
    async fn arrive(&mut self, request: &Request, room_id: &str) -> Result<(), Fatal> {
        let deadline = Instant::now() + ARRIVAL;
        let wanted = if matches!(request, Request::Knock { .. }) { Membership::Knock } else { Membership::Join };
        let barrier = self.news.hurry();
        self.reach(barrier, deadline).await?;
        while self.list.room(room_id).is_none_or(|room| room.membership() != wanted) {
            match timeout_at(deadline, self.news.next()).await {
                Ok(piece) => self.take_in(piece?).await?,
                // Not every server tells of knocks.
                Err(_) => break,
            }
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<Result<Facts, Failure>, Fatal> {
        let barrier = self.news.hurry();
        if self.reach(barrier, Instant::now() + DEFAULT_WAIT).await? {
            return Ok(Ok(Facts::new()));
        }
        Ok(Err(Failure::local("the server did not answer in time")))
    }

    /// Goes on until a sync that began after this barrier is in. Returns whether it came in time.
    async fn reach(&mut self, barrier: u64, deadline: Instant) -> Result<bool, Fatal> {
        loop {
            let Ok(piece) = timeout_at(deadline, self.news.next()).await else { return Ok(false) };
            let piece = piece?;
            let reached = piece.barrier >= barrier && matches!(piece.what, What::Step(SyncStep::Synced(_)));
            self.take_in(piece).await?;
            if reached {
                return Ok(true);
            }
        }
    }

    async fn wait(&mut self, what: &Awaited, limit: Duration) -> Result<Result<Facts, Failure>, Fatal> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = self.find(what) {
                if let Awaited::Invite(_) = what {
                    self.current = found.get("room_id").and_then(|id| id.as_str()).map(str::to_owned);
                }
                return Ok(Ok(found));
            }
            let Ok(piece) = timeout_at(deadline, self.news.next()).await else {
                let problem = format!("it did not happen within {} s", limit.as_secs());
                return Ok(Err(Failure::local(problem)));
            };
            self.take_in(piece?).await?;
        }
    }

    fn find(&self, what: &Awaited) -> Option<Facts> {
        let Awaited::Devices(count) = what else { return tell::find(what, &self.list, self.current.as_deref()) };
        let (room_id, encryption) = (self.current.as_deref()?, self.account.encryption.as_ref()?);
        tell::group_of(room_id, &encryption.status(room_id).ok()??, *count)
    }

    fn go_to(&mut self, name: &str) -> Result<Facts, Failure> {
        let room = self.list.rooms().find(|room| room.room_id() == name || room.title() == name);
        let room_id = room.map(|room| room.room_id().to_owned());
        let room_id = room_id.ok_or_else(|| Failure::local(format!("there is no room {name:?}")))?;
        self.current = Some(room_id.clone());
        Ok(facts(json!({"room_id": room_id})))
    }

    async fn print(&mut self, response: SyncResponse) -> Result<(), Fatal> {
        for change in self.list.apply(response) {
            match change {
                Change::Membership { room_id, before, now } => {
                    let own = self.list.room(&room_id).and_then(|room| room.members().get(self.list.own_id()));
                    let sender = own.map(|member| member.sender.clone());
                    self.out.membership(&room_id, before, now, sender.as_deref())?;
                }
                Change::Gap { room_id } => self.close_gap(&room_id).await?,
                Change::Event { room_id, event } => self.print_event(&room_id, &event)?,
                Change::HubFault { room_id, fault } => {
                    if let Some(room) = self.list.room(&room_id) {
                        self.out.fault(tell::fault_of(room, &fault))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn print_event(&mut self, room_id: &str, event: &Event) -> Result<(), Fatal> {
        if self.printed.entry(room_id.to_owned()).or_default().insert(event.event_id.clone()) {
            self.out.event(room_id, event)?;
        }
        Ok(())
    }

    /// Prints what a sync left out, from history, up to what was printed already.
    async fn close_gap(&mut self, room_id: &str) -> Result<(), Fatal> {
        let Some(view) = self.list.room(room_id) else { return Ok(()) };
        let mut from = view.timeline().prev_batch().map(str::to_owned);
        let mut missed = Vec::new();
        for _ in 0..MAX_GAP_PAGES {
            let Some(token) = from.take() else { break };
            let request = Request::History { room: room_id.to_owned(), from: PageFrom::Before(token) };
            let Ok(Answer::Page(page)) = request.perform(&self.account).await else { break };
            let printed = self.printed.entry(room_id.to_owned()).or_default();
            let known = page.chunk.iter().any(|event| printed.contains(&event.event_id));
            missed.extend(page.chunk.iter().filter(|event| !printed.contains(&event.event_id)).cloned());
            from = page.end.clone();
            self.list.room_mut(room_id).map(|view| view.apply_history(page));
            if known {
                return missed.iter().rev().try_for_each(|event| self.print_event(room_id, event));
            }
        }
        self.out.gap(room_id)?;
        missed.iter().rev().try_for_each(|event| self.print_event(room_id, event))
    }
}

/// The room that one is in, if there is only one: among several, a script has to say which it means.
fn only_room(list: &RoomList) -> Option<String> {
    let mut rooms = list.rooms();
    let room = rooms.next()?;
    rooms.next().is_none().then(|| room.room_id().to_owned())
}
