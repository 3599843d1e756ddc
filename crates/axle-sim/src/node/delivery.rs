//! The queues towards other servers.

use axle_protocol::ServerName;
use axle_room::outbound::{self, Destination, Output, Source};

use super::{Call, Ctx, Fact, Node, Out, Timer};
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
                    let items = self.disk.pending(name, after, limit);
                    destination.handle_loaded(self.as_told(name, after, items));
                }
                output => self.carry_out_output(ctx, name, output),
            }
        }
        self.mem.destinations.insert(name.clone(), destination);
    }

    fn carry_out_output(&mut self, ctx: &mut Ctx<'_>, name: &ServerName, output: Output) {
        match output {
            Output::Transmit { txn_id, items } => {
                let Some(to) = ctx.directory.node(name.as_str()) else { return };
                let pdus = items.iter().map(|item| item.json.clone()).collect();
                self.request(ctx, to, Request::Send { txn_id, pdus }, Call::Transaction(name.clone()));
            }
            Output::Acknowledge(cursor) => {
                self.enqueue(ctx, Write::Acknowledge(name.clone(), cursor.event), vec![]);
            }
            Output::Failed { item, reason } => {
                if let Source::Lpdu(id) = item.source {
                    ctx.out.push(Out::Trace(format!("s{}: {} is refused: {reason}", self.id, item.event_id)));
                    self.enqueue(ctx, Write::RefuseLpdu(id), vec![]);
                }
            }
            Output::Park { item, .. } => {
                ctx.out.push(Out::Fact(Fact::Parked(name.clone(), item.event_id.clone())));
                self.enqueue(ctx, Write::Park(name.clone(), item.event_id), vec![]);
            }
            Output::SetTimer(at) => ctx.out.push(Out::Timer(at, Timer::Destination(name.clone()))),
            Output::Load { .. } | Output::Attempted(_) => {}
        }
    }
}
