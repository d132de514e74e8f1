//! `delete`: what `create` made goes away. Works on whatever a crash has left, too.

use super::hooks;
use crate::cgroup::{Cgroup, UnitRecord};
use crate::container::{Container, Deleted, Force};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{HookKind, Step};
use crate::process::runtime::KILL_WITHIN_MS;
use crate::recorder::Recorder;
use crate::state::{Record, StateDirectory, Status, status};
use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

pub(crate) fn delete(container: &Container, force: Force) -> Result<Deleted> {
    let directory = container.directory();
    let _lock = match directory.try_lock()? {
        Ok(lock) => lock,
        Err(_) => {
            if force == Force::Yes {
                end_what_hangs(container);
            }
            directory.lock()?
        }
    };
    let record = match directory.read_record() {
        Ok(record) => record,
        // Damaged, only its directory is known; what else there was, its owner has been told of. One that cannot be
        // read now, for lack of memory or fds, says where the processes are the next time.
        Err(error) if force == Force::Yes && is_damage(&error) => None,
        Err(error) => return Err(error),
    };
    let Some(record) = record else {
        directory.remove()?;
        return Ok(Deleted { warnings: Vec::new() });
    };
    let (status, alive) = status(directory, Some(&record))?;
    if force == Force::No && !matches!(status, Status::Stopped | Status::Created | Status::Creating) {
        return Err(Error::new(
            ErrorKind::InvalidState,
            format!("cannot delete container {} that is not stopped: {status}", record.id),
        )
        .with_hint("husk kill ID KILL ends it; delete --force does both"));
    }
    let cgroup = Cgroup::open(&record.cgroup)?;
    if record.init.is_none() && !has_own_cgroup(directory) {
        cgroup.remove_unused();
        directory.remove()?;
        return Ok(Deleted { warnings: Vec::new() });
    }
    // Whoever is left, in a pid namespace that was shared for example, and whoever is frozen.
    cgroup.kill(libc::SIGKILL)?;
    if let Some(init) = alive {
        let _ = sys::pidfd_send_signal(init.pidfd.as_fd(), libc::SIGKILL);
        let mut fds = [PollFd::new(init.pidfd.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(KILL_WITHIN_MS)) == Ok(0) {
            return Err(Error::new(ErrorKind::TimedOut, "container init still running"));
        }
    }
    cgroup.destroy()?;
    if let Some(rdt) = &record.rdt {
        rdt.remove();
    }
    // With its directory gone systemd lets go of the unit in any case; asked, it has done so before the next one of
    // that name is started.
    let stopped = record.unit.as_ref().map_or(Ok(()), UnitRecord::stop);
    let last_hooks = container.poststop_hooks(&record);
    directory.remove()?;
    let mut warnings = run_last_hooks(&record, last_hooks);
    warnings.extend(stopped.err());
    Ok(Deleted { warnings })
}

/// A record that can be read and makes no sense.
fn is_damage(error: &Error) -> bool {
    error.kind() == ErrorKind::System && error.errno().is_none()
}

/// Somebody else changes the container: a `create` or a `start` that may wait for its process for ever. When that has
/// ended they give up.
fn end_what_hangs(container: &Container) {
    let Ok(Some(record)) = container.directory().read_record() else { return };
    let Ok(cgroup) = Cgroup::open(&record.cgroup) else { return };
    if record.init.is_some() || has_own_cgroup(container.directory()) {
        let _ = cgroup.kill(libc::SIGKILL);
    }
}

/// Whether its runtime came far enough to have made the cgroup, and to have seen that nobody else uses it.
fn has_own_cgroup(directory: &StateDirectory) -> bool {
    let recorder = directory.recorder_file(false).ok().and_then(|file| Recorder::read(&file));
    recorder.is_some_and(|recorder| recorder.times().iter().any(|&(step, _)| step == Step::LimitCgroup))
}

/// The container is gone whatever these do: a failure is a warning, and the next one runs.
fn run_last_hooks(record: &Record, hooks: Result<Vec<crate::plan::HookPlan>>) -> Vec<Error> {
    let hooks = match hooks {
        Ok(hooks) => hooks,
        Err(error) => return vec![error],
    };
    let state = hooks::state_json(&record.id, Status::Stopped, 0, &record.bundle, &record.annotations);
    let run =
        |hook| hooks::run_all(HookKind::Poststop, std::slice::from_ref(hook), &record.bundle, &state).err();
    hooks.iter().filter_map(run).collect()
}
