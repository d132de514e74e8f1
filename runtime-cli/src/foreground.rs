//! A process in the foreground: its signals, its terminal, its orphans, and its exit status as ours. As runc does it,
//! every signal goes to the process and none ends husk; one thread, one poll(2).
//!
//! Order: [`Foreground::prepare`] before the process is made, so that no signal is lost; [`Foreground::attach`] before it
//! runs, so that it finds its terminal's size; then [`Foreground::wait`].

use crate::report::Failure;
use crate::signals::Signals;
use crate::terminal::{End, StandardFiles, Terminal};
use husk_core::{Process, Readiness};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use std::os::fd::AsFd;

/// How long output of a process that has ended may take to come through the terminal; and how often a terminal that
/// nobody has open is looked at again. The kernel moves a terminal's bytes in a work queue.
const PAUSE_MS: u8 = 100;

#[derive(Debug)]
pub(crate) struct Foreground {
    signals: Signals,
    files: StandardFiles,
    terminal: Option<Terminal>,
    /// Until the container is ready.
    readiness: Option<Readiness>,
}

impl Foreground {
    /// Blocks signals; with `subreaper`, adopts processes that outlive their parents.
    pub(crate) fn prepare(subreaper: bool) -> Result<Foreground, Failure> {
        if subreaper {
            prctl::set_child_subreaper(true)
                .map_err(|errno| Failure::system("cannot become a subreaper", errno))?;
        }
        Ok(Foreground {
            signals: Signals::block()?,
            files: StandardFiles::new(),
            terminal: None,
            readiness: None,
        })
    }

    /// Joins the process's terminal, if it has one, with ours.
    pub(crate) fn attach(&mut self, process: &mut Process) -> Result<(), Failure> {
        if let Some(master) = process.take_terminal() {
            self.terminal = Some(Terminal::join(master)?);
        }
        Ok(())
    }

    /// Tells the service manager once the container is ready; the process to look at is this one, which stays.
    pub(crate) fn tell_when_ready(&mut self, readiness: Readiness) {
        self.readiness = Some(readiness);
    }

    fn hear_readiness(&mut self) {
        if let Some(readiness) = &self.readiness
            && readiness.is_ready().unwrap_or(true)
        {
            // Should the manager have gone, there is nobody to tell.
            let _ = readiness.tell(std::process::id().cast_signed());
            self.readiness = None;
        }
    }

    /// Serves the process until it has ended and all its output is out. Gives its status as a shell does.
    pub(crate) fn wait(mut self, process: &mut Process) -> Result<u8, Failure> {
        let mut ended = None;
        loop {
            if let Some(code) = ended
                && self.terminal.is_none()
            {
                return Ok(code);
            }
            let woken = self.poll(process, ended.is_some())?;
            if woken.nothing {
                match (&mut self.terminal, ended) {
                    (_, Some(code)) => return Ok(code),
                    (Some(terminal), None) => terminal.listen_again(),
                    (None, None) => {}
                }
            }
            if woken.readiness {
                self.hear_readiness();
            }
            if woken.signal && self.serve_signals(process, ended.is_some()) {
                self.terminal = None;
            }
            for end in woken.ends {
                if let Some(terminal) = &mut self.terminal {
                    terminal.serve(end, &self.files);
                }
            }
            // Once nobody has the terminal open and its last bytes are out, there is no more to come.
            if ended.is_some() && self.terminal.as_ref().is_some_and(|t| t.is_silent() && !t.has_output()) {
                self.terminal = None;
            }
            if woken.process
                && let Some(status) = process.try_wait()?
            {
                ended = Some(u8::try_from(status.shell_code()).unwrap_or(u8::MAX));
            }
        }
    }

    fn poll(&self, process: &Process, ended: bool) -> Result<Woken, Failure> {
        let mut ends = Vec::new();
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if !ended {
            fds.push(PollFd::new(process.pidfd(), PollFlags::POLLIN));
        }
        let readiness = self.readiness.as_ref().map(|readiness| {
            fds.push(PollFd::new(readiness.as_fd(), PollFlags::POLLIN));
            fds.len() - 1
        });
        let fixed = fds.len();
        let mut timeout = PollTimeout::NONE;
        if let Some(terminal) = &self.terminal {
            terminal.watch(&self.files, &mut fds, &mut ends);
            if terminal.is_silent() || (ended && !terminal.has_output()) {
                timeout = PollTimeout::from(PAUSE_MS);
            }
        }
        let count = match poll(&mut fds, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => return Ok(Woken::default()),
            Err(errno) => return Err(Failure::system("cannot wait for the process", errno)),
        };
        let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        Ok(Woken {
            nothing: count == 0,
            signal: ready(&fds[0]),
            process: !ended && ready(&fds[1]),
            readiness: readiness.is_some_and(|at| ready(&fds[at])),
            ends: fds[fixed..].iter().zip(ends).filter(|(fd, _)| ready(fd)).map(|(_, end)| end).collect(),
        })
    }

    /// Passes on what came. After the process's end a signal that ends programs ends the wait for output: true.
    fn serve_signals(&mut self, process: &Process, ended: bool) -> bool {
        let mut stop = false;
        while let Some(number) = self.signals.take() {
            match number {
                libc::SIGCHLD => reap_others(process.pid()),
                libc::SIGWINCH => self.terminal.iter().for_each(Terminal::resize),
                // The kernel sends it for urgent data on sockets, of which there are none.
                libc::SIGURG => {}
                libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM if ended => stop = true,
                _ if ended => {}
                // It has ended in this moment: its status is next.
                _ => drop(process.kill(number)),
            }
        }
        stop
    }
}

#[derive(Debug, Default)]
struct Woken {
    nothing: bool,
    signal: bool,
    process: bool,
    readiness: bool,
    ends: Vec<End>,
}

/// Buries orphans that were left to us. The process itself is not touched: its status is the library's to read.
fn reap_others(own: i32) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, peek) {
        match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) if pid.as_raw() != own => {
                if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
