//! Rooms over several servers, connected in one process: workers, queues, dedupe, gaps, restarts.

mod net;
mod one_server;
mod participants;
mod talk;
