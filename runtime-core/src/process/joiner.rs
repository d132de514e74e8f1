//! Entering namespaces that exist: for `exec`, and for a container that joins a user or pid namespace by path.
//!
//! Who runs here: a copy of the runtime, as [`super::init`] describes, with the runtime's privileges. It enters the
//! namespaces, and since a pid namespace is only ever entered by a child, makes that child: a sibling of its own
//! (CLONE_PARENT), so that the runtime can wait for it. Then it ends.

use super::channel::{Word, say};
use super::init::{close_foreign_fds, leave_own_file};
use crate::credentials::{execution, limits};
use crate::plan::{AffinityPlan, NamespaceKind, RlimitPlan, Step};
use crate::recorder::Recorder;
use crate::sys::{self, Failed, NewImage, Result};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What to enter and how.
#[derive(Debug)]
pub(crate) struct Joiner<'a> {
    pub(crate) recorder: &'a Recorder,
    pub(crate) channel: BorrowedFd<'a>,
    /// What it runs from, and its child after it.
    pub(crate) image: Option<&'a NewImage>,
    /// `cgroup.procs` of each hierarchy that it was not born in.
    pub(crate) cgroup_procs: &'a [OwnedFd],
    /// The processors of an executed process; a container's init sees to its own.
    pub(crate) affinity: Option<&'a AffinityPlan>,
    /// A namespace, or a pidfd, and the `CLONE_NEW*` flags to enter of it; in this order.
    pub(crate) targets: &'a [(BorrowedFd<'a>, i32)],
    /// Limits whose hard values may have to be raised while this process has the runtime's privileges.
    pub(crate) limits: &'a [RlimitPlan],
    /// `CLONE_NEW*` flags for the child.
    pub(crate) new: u64,
    /// Whether a child is needed.
    pub(crate) second_clone: bool,
    /// The fds that this process and its child need, ascending.
    pub(crate) needed_fds: &'a [RawFd],
}

/// Enters, and goes on as `then`, in this process or in its child.
pub(crate) fn run(joiner: &Joiner<'_>, then: impl FnOnce() -> i32) -> i32 {
    let failed = match enter(joiner) {
        Err(failed) => failed,
        Ok(()) if !joiner.second_clone => return then(),
        Ok(()) => match sys::clone3(joiner.new | libc::CLONE_PARENT as u64, None, then) {
            Err(failed) => failed,
            Ok(born) => match say(joiner.channel, Word::Born(born.pid)) {
                Err(failed) => failed,
                Ok(()) => return 0,
            },
        },
    };
    joiner.recorder.fail(failed);
    1
}

fn enter(joiner: &Joiner<'_>) -> Result<()> {
    close_foreign_fds(joiner.needed_fds)?;
    leave_own_file(joiner.image, joiner.recorder)?;
    // Before the first namespace: nobody in there can look into this process (CVE-2016-9962).
    sys::set_dumpable(false)?;
    if let Some(cpus) = joiner.affinity.and_then(|affinity| affinity.initial.as_ref()) {
        joiner.recorder.at(Step::InitialAffinity)?;
        execution::bind(Some(cpus))?;
    }
    joiner.recorder.at(Step::EnterCgroup)?;
    for procs in joiner.cgroup_procs {
        sys::write_all(procs.as_fd(), b"0")?;
        // Of the host, and of no use any more: a container that may trace must not find it in here.
        let number = procs.as_raw_fd();
        sys::close_range(number, number)?;
    }
    if let Some(affinity) = joiner.affinity {
        joiner.recorder.at(Step::Affinity)?;
        execution::bind(affinity.last.as_ref())?;
    }
    for limit in joiner.limits {
        joiner.recorder.at_item(Step::RaiseLimits, limit.item)?;
        limits::raise(0, limit)?;
    }
    join(joiner)
}

/// One may belong to the user namespace that is joined with it, or to the host, whose privileges are gone in there: so
/// each is tried with these, and what they do not suffice for is entered afterwards.
fn join(joiner: &Joiner<'_>) -> Result<()> {
    let is_user = |kinds: i32| kinds & NamespaceKind::User.clone_flag() != 0;
    let mut entered = 0u64;
    if joiner.targets.iter().any(|(_, kinds)| is_user(*kinds)) {
        for (item, (fd, kinds)) in (0..).zip(joiner.targets).filter(|(_, (_, kinds))| !is_user(*kinds)) {
            joiner.recorder.at_item(Step::JoinNamespace, item)?;
            match sys::setns(*fd, *kinds) {
                Ok(()) => entered |= 1 << item,
                Err(Failed { errno: Errno::EPERM, .. }) => {}
                Err(failed) => return Err(failed),
            }
        }
    }
    for (item, (fd, kinds)) in (0..).zip(joiner.targets).filter(|(item, _)| entered >> item & 1 == 0) {
        joiner.recorder.at_item(Step::JoinNamespace, item)?;
        sys::setns(*fd, *kinds)?;
    }
    Ok(())
}
