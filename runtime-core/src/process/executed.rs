//! A further process in a running container, from inside its namespaces to its execve.

use super::channel::{Word, say, wait_for_go};
use super::entry::{self, Program};
use super::filter;
use super::init::close_foreign_fds;
use crate::credentials;
use crate::plan::{SeccompPoint, Step};
use crate::recorder::Recorder;
use crate::rootfs;
use crate::sys::{self, Failed, Result};
use crate::terminal;
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

/// Everything that the process has, laid out before the clone.
#[derive(Debug)]
pub(crate) struct Executed<'a> {
    pub(crate) program: Program<'a>,
    pub(crate) recorder: &'a Recorder,
    pub(crate) channel: BorrowedFd<'a>,
    /// The container has a user namespace of its own, whose root this process becomes first.
    pub(crate) become_root: bool,
    /// The container's root, where it is not that of its mount namespace.
    pub(crate) root: Option<BorrowedFd<'a>>,
    pub(crate) session_keyring: Option<&'a CString>,
    pub(crate) console_socket: Option<BorrowedFd<'a>>,
    /// The fds that it needs to the end, ascending.
    pub(crate) late_fds: &'a [RawFd],
}

/// The whole life of the process as far as it is ours; see [`super::init`] for the rules.
pub(crate) fn run(process: &mut Executed<'_>) -> i32 {
    let Err(failed) = assemble(process);
    process.recorder.fail(failed);
    1
}

fn assemble(process: &mut Executed<'_>) -> Result<Infallible> {
    let recorder = process.recorder;

    // Who: a copy of the runtime inside the container's namespaces and cgroup.
    if process.become_root {
        recorder.at(Step::BecomeRoot)?;
        sys::setresgid(0)?;
        sys::setresuid(0)?;
    }
    sys::set_dumpable(false)?;
    nix::unistd::setsid().map_err(Failed::from(sys::Call::Setsid))?;
    if let Some(name) = process.session_keyring {
        recorder.at(Step::Keyring)?;
        credentials::join_keyring(name, process.program.plan.selinux.as_deref())?;
    }
    if let Some(root) = process.root {
        recorder.at(Step::Pivot)?;
        rootfs::change_root(root)?;
    }
    let mut slave = None;
    if let (Some(plan), Some(socket)) = (process.program.plan.terminal, process.console_socket) {
        recorder.at(Step::Terminal)?;
        let root = sys::openat2(sys::cwd(), c"/", libc::O_PATH | libc::O_DIRECTORY, 0, 0)?;
        slave = Some(terminal::open(root.as_fd(), plan, socket, false)?);
    }
    entry::connect_stdio(&process.program, slave.as_ref().map(AsFd::as_fd), recorder)?;
    drop(slave);
    // What the container's own paths could lead to, as `/proc/self/fd/N`, is gone before the first of them is used.
    close_foreign_fds(process.late_fds)?;
    let index = entry::prepare(&mut process.program, process.channel, recorder)?;

    // Who: the process's user.
    recorder.at(Step::Ready)?;
    say(process.channel, Word::Ready)?;
    sys::reset_signals()?;
    wait_for_go(process.channel)?;
    filter::install_at(SeccompPoint::BeforeStart, process.program.plan, process.channel, recorder)?;
    entry::execute(&process.program, process.channel, index, recorder)
}
