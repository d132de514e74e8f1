//! Terminals from the outside: the socket that receives one, and one to start a runtime on.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::Stop;

/// How long a terminal may stay silent.
const SILENCE: Duration = Duration::from_secs(10);

/// The listening end of `--console-socket`.
#[derive(Debug)]
pub struct ConsoleSocket {
    /// What to give to `--console-socket`.
    pub path: PathBuf,
    listener: UnixListener,
}

impl ConsoleSocket {
    /// Listens in `directory`.
    pub fn listen(directory: &Path) -> Result<ConsoleSocket, Stop> {
        let path = directory.join("console.sock");
        let listener = UnixListener::bind(&path)?;
        Ok(ConsoleSocket { path, listener })
    }

    /// Receives the terminal's master, and the name that came with it.
    pub fn receive(&self) -> Result<(Terminal, String), Stop> {
        readable(&self.listener)?;
        let (stream, _) = self.listener.accept()?;
        readable(&stream)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut name = [0; 256];
        let received =
            recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        assert_eq!(fds.len(), 1, "descriptors that came over the console socket");
        let master = fds.pop().map(File::from).ok_or_else(|| Stop::Failed("no descriptor came".into()))?;
        let name = String::from_utf8_lossy(&name[..received.bytes]).into_owned();
        Ok((Terminal { master, seen: String::new() }, name))
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

/// Waits until there is something to read, or to accept.
fn readable(fd: &impl AsFd) -> Result<(), Stop> {
    let timeout = PollTimeout::try_from(SILENCE).unwrap_or(PollTimeout::NONE);
    match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout)? {
        0 => Err(Stop::Failed(format!("nothing came over a terminal or its socket within {SILENCE:?}"))),
        _ => Ok(()),
    }
}
