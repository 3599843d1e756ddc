//! A process of a benchmark.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use super::machine;

/// A process that is stopped when it is dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn new(child: Child) -> Self {
        Self(child)
    }

    /// CPU used since the start, user and system.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        machine::cpu_time(self.0.id())
    }

    /// Resident memory, in MiB.
    pub(super) fn resident_mib(&self) -> io::Result<f64> {
        machine::resident_mib(self.0.id())
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of this machine that nobody listens at.
pub(super) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
