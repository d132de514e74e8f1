//! A process that changes the mounts of a running container, and ends.
//!
//! Who runs here: a copy of the runtime inside the container's namespaces, root of its user namespace. The container's
//! processes run at the same time and may change every path while it is looked at: what is mounted goes onto the very
//! thing that was opened in the root (see [`rootfs::resolve`](crate::rootfs)), and none of them can look in here.

use super::channel::{Word, say};
use crate::plan::{MountPlan, MountSource, Step};
use crate::recorder::Recorder;
use crate::rootfs::{self, MountInput, Mounter};
use crate::sys::{self, Result};
use nix::sys::stat::{Mode, umask};
use std::os::fd::{AsFd, BorrowedFd};

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// Mount these, one input each.
    Add(&'a [MountInput]),
    /// Take away what is mounted at the targets.
    Remove,
}

/// Everything that the process has, laid out before the clone.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) change: Change<'a>,
    pub(crate) mounts: &'a [MountPlan],
    pub(crate) recorder: &'a Recorder,
    pub(crate) channel: BorrowedFd<'a>,
    /// The container has a user namespace of its own.
    pub(crate) become_root: bool,
    /// The container's root.
    pub(crate) root: BorrowedFd<'a>,
}

/// The whole life of the process; see [`super::init`] for the rules.
pub(crate) fn run(live: &Live<'_>) -> i32 {
    match work(live) {
        Ok(()) => 0,
        Err(failed) => {
            live.recorder.fail(failed);
            1
        }
    }
}

fn work(live: &Live<'_>) -> Result<()> {
    if live.become_root {
        live.recorder.at(Step::BecomeRoot)?;
        sys::setresgid(0)?;
        sys::setresuid(0)?;
    }
    // From here on nobody in the container can look into this process (CVE-2016-9962).
    sys::set_dumpable(false)?;
    umask(Mode::empty());
    match live.change {
        Change::Add(inputs) => {
            for (done, (plan, input)) in live.mounts.iter().zip(inputs).enumerate() {
                live.recorder.at_item(Step::Mount, plan.item)?;
                if let Err(failed) = add(live.root, plan, input) {
                    // All or none.
                    for plan in live.mounts.iter().take(done).rev() {
                        let _ = rootfs::unmount(live.root, &plan.target);
                    }
                    return Err(failed);
                }
            }
        }
        Change::Remove => {
            for plan in live.mounts {
                live.recorder.at_item(Step::Unmount, plan.item)?;
                rootfs::unmount(live.root, &plan.target)?;
            }
        }
    }
    live.recorder.at(Step::Ready)?;
    say(live.channel, Word::Ready)
}

fn add(root: BorrowedFd<'_>, plan: &MountPlan, input: &MountInput) -> Result<()> {
    let inside = match &plan.source {
        MountSource::Bind { in_rootfs: true, .. } => Some(rootfs::open_inside(root, plan)?),
        _ => None,
    };
    let source = inside.as_ref().or(input.source.as_ref()).map(AsFd::as_fd);
    match (Mounter { root, proc: None }).mount(plan, source, input)? {
        Some(mount) if plan.seal_readonly => {
            sys::mount_setattr(mount.as_fd(), false, sys::MOUNT_ATTR_RDONLY, 0, 0)
        }
        _ => Ok(()),
    }
}
