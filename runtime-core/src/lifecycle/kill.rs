//! `kill`: a signal to the container's init, or to all of its processes.

use crate::cgroup::Cgroup;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::NamespaceKind;
use crate::state::find_init;
use crate::sys;
use nix::errno::Errno;
use std::os::fd::AsFd;

fn not_running() -> Error {
    Error::new(ErrorKind::InvalidState, "container not running")
}

pub(crate) fn kill(container: &Container, signal: i32) -> Result<()> {
    let record = container.record()?;
    let init = find_init(&record)?;
    let cgroup = Cgroup::open(&record.cgroup)?;
    let shares_pids = !record.private_namespaces().any(|kind| kind == NamespaceKind::Pid);
    if signal == libc::SIGKILL && shares_pids && cgroup.exists() {
        // Without a pid namespace the kernel does not end the others with the init, which may be gone already.
        let somebody = init.is_some() || !cgroup.pids()?.is_empty();
        return if somebody { cgroup.kill(signal) } else { Err(not_running()) };
    }
    let Some(init) = init else { return Err(not_running()) };
    match sys::pidfd_send_signal(init.pidfd.as_fd(), signal) {
        Ok(()) => {}
        Err(failed) if failed.errno == Errno::ESRCH => return Err(not_running()),
        Err(failed) => {
            return Err(Error::os(
                format!("cannot send signal {signal} to {}", record.id),
                failed.call.name(),
                failed.errno,
            ));
        }
    }
    // A v1 freezer holds back even SIGKILL; a v2 one does not, and is thawed all the same so that nothing stays behind.
    if signal == libc::SIGKILL && cgroup.is_frozen()? { cgroup.thaw() } else { Ok(()) }
}

pub(crate) fn kill_all(container: &Container, signal: i32) -> Result<()> {
    let cgroup = Cgroup::open(&container.record()?.cgroup)?;
    if cgroup.exists() {
        return cgroup.kill(signal);
    }
    // Where the others end with the init it is enough to kill that; and who is gone gets no signal.
    if signal == libc::SIGKILL || find_init(&container.record()?)?.is_none() {
        return kill(container, signal);
    }
    cgroup.required_to("signal all its processes")
}
