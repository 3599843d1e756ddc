//! An IRC server, and a person on it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Process;
use crate::clients::install;
use crate::support::{PATIENCE, free_address, until};

/// ngIRCd and the library of it that machines without it lack.
const PACKAGES: [&str; 2] = ["ngircd", "libident"];

pub(super) struct IrcServer {
    pub(super) address: SocketAddr,
    _process: Process,
}

impl IrcServer {
    /// Starts one; it answers when this returns.
    pub(super) fn start(folder: &Path) -> Self {
        let address = free_address();
        let config = folder.join("ngircd.conf");
        let text = format!(
            "[Global]\nName = irc.test\nInfo = A test\nListen = {}\nPorts = {}\nMotdPhrase = Hello\n\
             [Limits]\nMaxConnectionsIP = 0\n[Options]\nDNS = no\nIdent = no\nPAM = no\n",
            address.ip(),
            address.port()
        );
        std::fs::write(&config, text).unwrap();
        let (binary, libraries) = binary();
        let mut command = Command::new(binary);
        command.arg("-n").arg("-f").arg(&config).envs(libraries.map(|folder| ("LD_LIBRARY_PATH", folder)));
        let mut process = Process::start(command, &folder.join("ngircd.log"));
        until("the IRC server listens", || {
            process.require_running();
            TcpStream::connect(address).ok()
        });
        Self { address, _process: process }
    }
}

/// The machine's own server, or one below the target folder with its libraries.
fn binary() -> (PathBuf, Option<PathBuf>) {
    let own = ["/usr/sbin/ngircd", "/usr/bin/ngircd"].into_iter().map(PathBuf::from).find(|path| path.exists());
    if let Some(own) = own {
        return (own, None);
    }
    let folder = install::debian("ngircd", &PACKAGES);
    (folder.join("usr/sbin/ngircd"), Some(folder.join("usr/lib/x86_64-linux-gnu")))
}

pub(super) struct IrcUser {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
    /// Every line so far.
    lines: Vec<String>,
}

impl IrcUser {
    /// Logs somebody in.
    pub(super) fn connect(server: &IrcServer, nick: &str) -> Self {
        let writer = TcpStream::connect(server.address).unwrap();
        writer.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(writer.try_clone().unwrap());
        let mut user = Self { writer, reader, lines: Vec::new() };
        user.send(&format!("NICK {nick}"));
        user.send(&format!("USER {nick} 0 * :{nick}"));
        user.reads(" 001 ");
        user
    }

    pub(super) fn send(&mut self, line: &str) {
        write!(self.writer, "{line}\r\n").unwrap();
    }

    /// Reads on until a line has this in it. The server is answered meanwhile.
    pub(super) fn reads(&mut self, part: &str) {
        loop {
            let mut line = String::new();
            let read = self.reader.read_line(&mut line);
            let lines = &self.lines;
            assert!(read.is_ok_and(|read| read > 0), "never read: {part:?} after {lines:#?}");
            let line = line.trim_end().to_owned();
            if let Some(token) = line.strip_prefix("PING ") {
                self.send(&format!("PONG {token}"));
            }
            let found = line.contains(part);
            self.lines.push(line);
            if found {
                return;
            }
        }
    }

    /// What followed this in the lines so far.
    pub(super) fn heard(&self, before: &str) -> Vec<String> {
        self.lines.iter().filter_map(|line| Some(line.split_once(before)?.1.to_owned())).collect()
    }
}
