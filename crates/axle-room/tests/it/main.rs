//! Rooms and delivery through their public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod behind;
mod early_leave;
mod entering;
mod gaps;
mod groups;
mod hub;
mod inbound;
mod interleavings;
mod invites;
mod joining;
mod outbound;
mod participant;
mod replay;
mod server_acl;
mod visibility;
mod world;
