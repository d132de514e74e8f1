//! Terminals from the outside: the socket that receives one, and one to start a runtime on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::pty::{OpenptyResult, Winsize, openpty};

use crate::Stop;
use crate::descriptors::{DescriptorSocket, SILENCE, readable};

/// The listening end of `--console-socket`.
#[derive(Debug)]
pub struct ConsoleSocket {
    /// What to give to `--console-socket`.
    pub path: PathBuf,
    socket: DescriptorSocket,
}

impl ConsoleSocket {
    /// Listens in `directory`.
    pub fn listen(directory: &Path) -> Result<ConsoleSocket, Stop> {
        let socket = DescriptorSocket::listen(directory, "console.sock")?;
        Ok(ConsoleSocket { path: socket.path.clone(), socket })
    }

    /// Receives the terminal's master, and the name that came with it.
    pub fn receive(&self) -> Result<(Terminal, String), Stop> {
        let (master, name) = self.socket.receive()?;
        Ok((Terminal { master: master.into(), seen: String::new() }, name))
    }
}

/// The master side of a terminal.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    seen: String,
}

impl Terminal {
    /// A new terminal of this size, and its other side for a program's stdio.
    pub fn open(rows: u16, columns: u16) -> Result<(Terminal, OwnedFd), Stop> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None)?;
        Ok((Terminal { master: master.into(), seen: String::new() }, slave))
    }

    /// Types `text`.
    pub fn send(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.master.write_all(text.as_bytes())?)
    }

    /// Reads until `text` has appeared; returns all that has been seen, control characters included.
    pub fn expect(&mut self, text: &str) -> Result<&str, Stop> {
        let since = Instant::now();
        while !self.seen.contains(text) {
            let mut buffer = [0; 4096];
            let fresh = match readable(&self.master).map(|()| self.master.read(&mut buffer)) {
                Ok(Ok(length)) if length > 0 && since.elapsed() < SILENCE => &buffer[..length],
                // A terminal whose other side is closed reads as EIO.
                _ => return Err(Stop::Failed(format!("the terminal showed {:?}, not {text:?}", self.seen))),
            };
            self.seen.push_str(&String::from_utf8_lossy(fresh));
        }
        Ok(&self.seen)
    }
}

impl Terminal {
    /// Changes the window's size; the kernel tells the foreground processes by SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), Stop> {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    /// Its modes in words that can be compared.
    pub fn modes(&self) -> Result<String, Stop> {
        let modes = rustix::termios::tcgetattr(&self.master)?;
        Ok(format!(
            "{:?} {:?} {:?} {:?}",
            modes.input_modes, modes.output_modes, modes.control_modes, modes.local_modes
        ))
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.master.as_fd()
    }
}
