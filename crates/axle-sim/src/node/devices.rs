//! Devices: what their users publish, KeyPackages, and EDUs that must not be lost.

use axle_mls::Credential;
use axle_mls::event::WelcomeContent;
use axle_protocol::UserId;

use super::{Asker, Call, Ctx, Effect, Node, Out, Timer};
use crate::disk::{DeviceWrite, Write};
use crate::wire::{Edu, GroupTold, NodeId, Request, Response};

/// How long until EDUs are sent again.
const RETRY_MS: u64 = 3_000;

impl Node {
    /// A user of ours publishes a device, in the place of another of the same id, or takes it back.
    pub fn publish(&mut self, ctx: &mut Ctx<'_>, device: &Credential, is_there: bool) {
        let mut devices = self.disk.devices.published(&device.user_id).unwrap_or_default().to_vec();
        devices.retain(|other| !other.is_same_device(device));
        if is_there {
            devices.push(device.clone());
        }
        let tell = (0..ctx.plan.servers).filter(|node| *node != self.id).collect();
        let version = self.disk.devices.version(&device.user_id) + 1;
        let write = DeviceWrite::Publish { user: device.user_id.clone(), version, devices, tell };
        self.enqueue(ctx, Write::Device(write), vec![Effect::Outbox]);
    }

    /// Whether a device is published, as far as it is durable.
    pub fn is_published(&self, user: &UserId, device: &Credential) -> bool {
        self.disk.devices.published(user).is_some_and(|devices| devices.contains(device))
    }

    /// Whether a device of this id is published, with any key.
    pub fn publishes(&self, device: &Credential) -> bool {
        let published = self.disk.devices.published(&device.user_id);
        published.is_some_and(|devices| devices.iter().any(|other| other.is_same_device(device)))
    }

    /// Sends a Welcome to a device of some server.
    pub fn post(&mut self, ctx: &mut Ctx<'_>, node: NodeId, device: usize, welcome: WelcomeContent) {
        let write = match node == self.id {
            true => DeviceWrite::Mail(device, welcome),
            false => DeviceWrite::Post(node, device, welcome),
        };
        self.enqueue(ctx, Write::Device(write), vec![Effect::Outbox]);
    }

    /// A device leaves KeyPackages here. `anew`: what it had left is void.
    pub fn upload(&mut self, ctx: &mut Ctx<'_>, device: usize, once: Vec<Vec<u8>>, last: Option<Vec<u8>>, anew: bool) {
        self.enqueue(ctx, Write::Device(DeviceWrite::Upload(device, once, last, anew)), vec![]);
    }

    /// A device claims KeyPackages of devices of one server.
    pub fn claim_for(&mut self, ctx: &mut Ctx<'_>, device: usize, number: u64, server: NodeId, devices: Vec<usize>) {
        if server == self.id {
            return self.claim(ctx, Asker::Device(device, number), &devices);
        }
        self.request(ctx, server, Request::Claim(devices), Call::Device(device, number));
    }

    pub(super) fn claim(&mut self, ctx: &mut Ctx<'_>, asker: Asker, devices: &[usize]) {
        let mut claimed = Vec::new();
        for device in devices {
            let Some(package) = self.disk.devices.package(*device, &self.mem.given) else { continue };
            self.mem.given.insert(package.clone());
            self.enqueue(ctx, Write::Device(DeviceWrite::Claimed(*device, package.clone())), vec![]);
            claimed.push((*device, package));
        }
        self.tell(ctx, asker, None, GroupTold::Claimed(claimed));
    }

    /// Another server has an EDU for us.
    pub(super) fn edu(&mut self, ctx: &mut Ctx<'_>, from: NodeId, call: u64, edu: Edu) {
        let write = match edu {
            Edu::Devices { user, version, devices } => DeviceWrite::Publish { user, version, devices, tell: vec![] },
            Edu::Welcome(device, welcome) => DeviceWrite::Mail(device, welcome),
        };
        self.enqueue(ctx, Write::Device(write), vec![Effect::Respond(from, call, Response::Done)]);
    }

    pub(super) fn edu_answered(&mut self, ctx: &mut Ctx<'_>, id: u64, response: &Response) {
        if matches!(response, Response::Done) {
            self.enqueue(ctx, Write::Device(DeviceWrite::Taken(id)), vec![]);
        }
    }

    /// Sends what is not on its way.
    pub(super) fn send_outbox(&mut self, ctx: &mut Ctx<'_>) {
        let under_way = |id: &u64| self.mem.calls.values().any(|call| matches!(call, Call::Edu(other) if other == id));
        let waiting = self.disk.devices.outbox.iter().filter(|(id, _)| !under_way(id));
        let waiting: Vec<_> = waiting.map(|(id, (node, edu))| (*id, *node, edu.clone())).collect();
        for (id, node, edu) in waiting {
            self.request(ctx, node, Request::Edu(edu), Call::Edu(id));
        }
        if !self.disk.devices.outbox.is_empty() && !self.mem.outbox_waits {
            self.mem.outbox_waits = true;
            ctx.out.push(Out::Timer(ctx.now + RETRY_MS, Timer::Outbox));
        }
    }
}
