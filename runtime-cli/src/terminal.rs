//! This side of a container's terminal: raw mode with its way back, the window size, and the copying between the two.
//!
//! Bytes wait in two small buffers; a side is read only when its buffer is empty and written only when poll(2) says that it
//! takes something, so a slow reader slows its writer and nothing is lost or kept. See pty(7), termios(3).

use crate::report::Failure;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::unistd::{read, write};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr,
    tcgetwinsize, tcsetattr, tcsetwinsize,
};
use std::io::{stderr, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

/// poll(2) promises room for PIPE_BUF bytes in a pipe; a write of no more never blocks.
const CHUNK: usize = 4096;

/// The first of the three standard files that is a terminal.
fn own_terminal() -> Option<OwnedFd> {
    let files = [
        stdin().as_fd().try_clone_to_owned(),
        stdout().as_fd().try_clone_to_owned(),
        stderr().as_fd().try_clone_to_owned(),
    ];
    files.into_iter().flatten().find(|file| isatty(file))
}

/// Rows and columns of the terminal that husk runs in.
pub(crate) fn own_size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(own_terminal()?).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// What is to be put back, for the panic hook too: a release build aborts on panic, without destructors.
static SAVED: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// The own terminal passes every byte on unchanged while this lives.
#[derive(Debug)]
struct RawMode;

impl RawMode {
    fn enter(terminal: &OwnedFd) -> Result<RawMode, Failure> {
        let failed = |error: rustix::io::Errno| Failure::system("cannot set the terminal to raw mode", error);
        let saved = tcgetattr(terminal).map_err(failed)?;
        let mut raw = saved.clone();
        raw.make_raw();
        // The container's terminal does not turn line ends into CR LF, so this one goes on doing it.
        raw.output_modes.set(OutputModes::OPOST, saved.output_modes.contains(OutputModes::OPOST));
        let kept =
            terminal.try_clone().map_err(|error| Failure::system("cannot keep the terminal", error))?;
        *SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((kept, saved));
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
        let guard = RawMode;
        tcsetattr(terminal, OptionalActions::Now, &raw).map_err(failed)?;
        Ok(guard)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let saved = SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some((terminal, termios)) = saved {
        // A terminal that has gone away needs no modes.
        let _ = tcsetattr(&terminal, OptionalActions::Now, &termios);
    }
}

/// Bytes on their way, first in, first out.
#[derive(Debug)]
struct Buffer {
    bytes: [u8; CHUNK],
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { bytes: [0; CHUNK], start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Replaces an empty buffer's content. `Ok(0)` is the end of the file.
    fn fill(&mut self, from: impl AsFd) -> Result<usize, Errno> {
        self.start = 0;
        self.end = 0;
        self.end = read(from, &mut self.bytes)?;
        Ok(self.end)
    }

    fn drain(&mut self, to: impl AsFd) -> Result<(), Errno> {
        self.start += write(to, &self.bytes[self.start..self.end])?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.start = 0;
        self.end = bytes.len();
    }
}

/// An end that poll(2) watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Input,
    Output,
    Master,
}

/// The own terminal, or files, joined to a container's terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    own: Option<OwnedFd>,
    /// The container's; `None` once our output has nowhere to go, which hangs the container's terminal up.
    master: Option<OwnedFd>,
    to_container: Buffer,
    to_user: Buffer,
    input_open: bool,
    last_byte_sent: u8,
    /// Nobody in the container has the terminal open at the moment; a later program may open it again.
    silent: bool,
    _raw: Option<RawMode>,
}

impl Terminal {
    /// Takes the master end; gives it the own terminal's size and that one raw mode.
    pub(crate) fn join(master: OwnedFd) -> Result<Terminal, Failure> {
        let failed = |errno| Failure::system("cannot make the terminal's master non-blocking", errno);
        let flags = fcntl(&master, FcntlArg::F_GETFL).map_err(failed)?;
        let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
        fcntl(&master, FcntlArg::F_SETFL(flags)).map_err(failed)?;
        let own = own_terminal();
        // Where input comes from elsewhere, Ctrl-C at the terminal remains a signal, which is forwarded.
        let typed = own.as_ref().filter(|_| isatty(stdin()));
        let raw = typed.map(RawMode::enter).transpose()?;
        let terminal = Terminal {
            own,
            master: Some(master),
            to_container: Buffer::new(),
            to_user: Buffer::new(),
            input_open: true,
            last_byte_sent: b'\n',
            silent: false,
            _raw: raw,
        };
        terminal.resize();
        Ok(terminal)
    }

    /// The container's terminal takes the size of the own one; the kernel sends its programs SIGWINCH.
    pub(crate) fn resize(&self) {
        if let (Some(own), Some(master)) = (&self.own, &self.master)
            && let Ok(size) = tcgetwinsize(own)
        {
            let size = Winsize { ws_xpixel: size.ws_xpixel, ws_ypixel: size.ws_ypixel, ..size };
            // A container that ended a moment ago has no size.
            let _ = tcsetwinsize(master, size);
        }
    }

    /// What to wait for now, added to `fds` and, in the same order, to `ends`.
    pub(crate) fn watch<'a>(
        &'a self,
        files: &'a StandardFiles,
        fds: &mut Vec<PollFd<'a>>,
        ends: &mut Vec<End>,
    ) {
        let Some(master) = &self.master else { return };
        let mut add = |fd: BorrowedFd<'a>, flags: PollFlags, end: End| {
            if !flags.is_empty() {
                fds.push(PollFd::new(fd, flags));
                ends.push(end);
            }
        };
        if self.input_open && self.to_container.is_empty() {
            add(files.input.as_fd(), PollFlags::POLLIN, End::Input);
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLOUT, !self.to_container.is_empty());
        flags.set(PollFlags::POLLIN, self.to_user.is_empty());
        if !self.silent {
            add(master.as_fd(), flags, End::Master);
        }
        if !self.to_user.is_empty() {
            add(files.output.as_fd(), PollFlags::POLLOUT, End::Output);
        }
    }

    /// Whether `quiet` should be called after a while without events.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent && self.master.is_some()
    }

    /// Whether output that has been read waits to be written.
    pub(crate) fn has_output(&self) -> bool {
        self.master.is_some() && !self.to_user.is_empty()
    }

    /// Look again whether somebody has opened the container's terminal.
    pub(crate) fn listen_again(&mut self) {
        self.silent = false;
    }

    /// Serves an end that poll(2) named.
    pub(crate) fn serve(&mut self, end: End, files: &StandardFiles) {
        match end {
            End::Input => self.read_input(files),
            End::Output => self.write_output(files),
            End::Master => self.serve_master(),
        }
    }

    fn read_input(&mut self, files: &StandardFiles) {
        match self.to_container.fill(&files.input) {
            Ok(0) => self.end_input(),
            Ok(count) => self.last_byte_sent = self.to_container.bytes[count - 1],
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.end_input(),
        }
    }

    /// Our input has ended: to a container's program that reads lines, that is the end-of-file character, sent once after a
    /// full line and twice after a part of one (termios(3), VEOF).
    fn end_input(&mut self) {
        self.input_open = false;
        let modes = self.master.as_ref().and_then(|master| tcgetattr(master).ok());
        let Some(modes) = modes.filter(|modes| modes.local_modes.contains(LocalModes::ICANON)) else {
            return;
        };
        let end_of_file = modes.special_codes[SpecialCodeIndex::VEOF];
        match self.last_byte_sent {
            b'\n' => self.to_container.put(&[end_of_file]),
            _ => self.to_container.put(&[end_of_file, end_of_file]),
        }
    }

    fn write_output(&mut self, files: &StandardFiles) {
        match self.to_user.drain(&files.output) {
            Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.master = None,
        }
    }

    fn serve_master(&mut self) {
        let Some(master) = &self.master else { return };
        if !self.to_container.is_empty() {
            match self.to_container.drain(master) {
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => self.silent = true,
            }
        }
        if self.to_user.is_empty() {
            match self.to_user.fill(master) {
                Ok(0) | Err(Errno::EIO) => self.silent = true,
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Standard input and output, held for as long as they are polled.
#[derive(Debug)]
pub(crate) struct StandardFiles {
    input: std::io::Stdin,
    output: std::io::Stdout,
}

impl StandardFiles {
    pub(crate) fn new() -> StandardFiles {
        StandardFiles { input: stdin(), output: stdout() }
    }
}
