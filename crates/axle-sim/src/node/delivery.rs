//! The queues towards other servers.

use std::sync::Arc;

use axle_protocol::{Event, ServerName};
use axle_room::outbound::{self, Cursor, Destination, Item, Output, Source};

use super::{Call, Ctx, Effect, Fact, Node, Out, Timer};
use crate::defects::Defect;
use crate::disk::Write;
use crate::wire::{NodeId, Request, Response};

impl Node {
    /// There may be something new for a server.
    pub(super) fn wake(&mut self, ctx: &mut Ctx<'_>, name: &ServerName) {
        self.drive(ctx, name, Destination::handle_wake);
    }

    pub(super) fn wake_all(&mut self, ctx: &mut Ctx<'_>) {
        let peers: Vec<ServerName> = self.peers(ctx).collect();
        peers.iter().for_each(|peer| self.wake(ctx, peer));
    }

    /// A server was heard of.
    pub(super) fn alive(&mut self, ctx: &mut Ctx<'_>, from: NodeId) {
        if let Some(name) = ctx.directory.identity(from).map(|peer| peer.name.clone()) {
            self.drive(ctx, &name, Destination::handle_alive);
        }
    }

    pub(super) fn transaction_answered(&mut self, ctx: &mut Ctx<'_>, name: &ServerName, response: Response) {
        let response = match response {
            Response::Sent(failed) => outbound::Response::Ok { failed },
            Response::Error { status: 0, error, .. } => outbound::Response::Unreachable(error),
            Response::Error { status, errcode, error } => outbound::Response::Refused {
                status,
                errcode: Some(errcode.to_owned()),
                error,
                retry_after_ms: (status == 429).then_some(700),
            },
            _ => outbound::Response::Unreachable("an odd answer".into()),
        };
        let now = ctx.now;
        self.drive(ctx, name, |destination| destination.handle_response(response, now));
    }

    /// Gives a queue an input, and carries out what it wants.
    pub(super) fn drive(&mut self, ctx: &mut Ctx<'_>, name: &ServerName, input: impl FnOnce(&mut Destination)) {
        let boot = format!("s{}-{}", self.id, self.epoch);
        let seed = ctx.plan.seed ^ self.epoch;
        let new = || Destination::new(name.clone(), &boot, seed);
        let mut destination = self.mem.destinations.remove(name).unwrap_or_else(new);
        input(&mut destination);
        while let Some(output) = destination.poll_output() {
            match output {
                Output::Load { after, limit } => {
                    let mut items = self.deliverable(ctx).pending(name, after, limit);
                    if ctx.plan.defect == Some(Defect::OutOfOrder) {
                        items.reverse();
                    }
                    items.retain(|item| !is_forgotten(ctx, item));
                    destination.handle_loaded(self.as_told(name, after, items));
                }
                output => self.carry_out_output(ctx, name, output),
            }
        }
        self.mem.destinations.insert(name.clone(), destination);
    }

    fn carry_out_output(&mut self, ctx: &mut Ctx<'_>, name: &ServerName, output: Output) {
        match output {
            Output::Transmit { txn_id, items } => self.transmit(ctx, name, txn_id, &items),
            Output::Acknowledge(cursor) => {
                self.lpdus_taken(ctx, name, cursor.lpdu);
                self.enqueue(ctx, Write::Acknowledge(name.clone(), cursor.event), vec![]);
            }
            Output::Failed { item, reason } => {
                ctx.out.push(Out::Trace(format!("s{}: {:?} is refused: {reason}", self.id, item.event_id)));
                self.lpdu_refused(ctx, &item, reason);
            }
            Output::Park { item, .. } => {
                let Some(event_id) = item.event_id else { return };
                ctx.out.push(Out::Fact(Fact::Parked(name.clone(), event_id.clone())));
                self.enqueue(ctx, Write::Park(name.clone(), event_id), vec![]);
            }
            Output::SetTimer(at) => ctx.out.push(Out::Timer(at, Timer::Destination(name.clone()))),
            Output::Load { .. } | Output::Attempted(_) => {}
        }
    }

    fn transmit(&mut self, ctx: &mut Ctx<'_>, name: &ServerName, txn_id: Arc<str>, items: &Arc<[Item]>) {
        let Some(to) = ctx.directory.node(name.as_str()) else { return };
        if self.liar.is_none() {
            ctx.out.push(Out::Fact(Fact::Transmitted(name.clone(), Arc::clone(&txn_id), items.to_vec())));
        }
        let pdus = items.iter().map(|item| item.json.clone()).collect();
        self.request(ctx, to, Request::Send { txn_id, pdus }, Call::Transaction(name.clone()));
        if ctx.plan.defect == Some(Defect::AcknowledgeOnSending) {
            let mut sent = Cursor::default();
            items.iter().for_each(|item| sent.advance(item.source));
            self.enqueue(ctx, Write::Acknowledge(name.clone(), sent.event), vec![]);
        }
    }

    /// The hub has answered the transactions with all LPDUs up to this one.
    fn lpdus_taken(&mut self, ctx: &mut Ctx<'_>, hub: &ServerName, last: i64) {
        let taken = self.disk.lpdus.range(..=last).map(|(_, lpdu)| lpdu);
        let taken: Vec<Event> = taken.filter(|lpdu| lpdu.hub_server() == Some(hub)).cloned().collect();
        for lpdu in taken {
            let Some(mut room) = self.take_room(ctx, lpdu.room_id()) else { continue };
            lpdu.lpdu_hash().into_iter().for_each(|hash| room.lpdu_taken(hash));
            self.put_room(room);
        }
    }

    fn lpdu_refused(&mut self, ctx: &mut Ctx<'_>, item: &Item, reason: String) {
        let Source::Lpdu(id) = item.source else { return };
        let Some(lpdu) = self.disk.lpdus.get(&id).cloned() else { return };
        let Some(hash) = lpdu.lpdu_hash() else { return };
        if let Some(mut room) = self.take_room(ctx, lpdu.room_id()) {
            room.lpdu_refused(hash);
            self.put_room(room);
        }
        ctx.out.push(Out::Fact(Fact::LpduRefused(lpdu.room_id().clone(), *hash)));
        let txn = self.client_txn_of(hash);
        let told = txn.map(|txn| Effect::Fact(Fact::ClientRefused(txn, reason.clone())));
        self.enqueue(ctx, Write::RefuseLpdu(id, reason), told.into_iter().collect());
    }
}

/// Whether a hub forgets to send an event. It remembers who comes and goes: nobody would ask for that.
fn is_forgotten(ctx: &mut Ctx<'_>, item: &Item) -> bool {
    let is_event = matches!(item.source, Source::Event(_));
    is_event && !item.json.contains("\"state_key\"") && ctx.rng.per_mille(ctx.plan.forgetful)
}
