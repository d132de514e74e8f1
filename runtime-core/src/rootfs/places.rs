//! Where a path of the config is looked up once everything is mounted.
//!
//! A name in the root may lead elsewhere from one moment to the next, and what is mounted there goes along with the
//! directory, not with its name: somebody who renames `/proc` for that moment would have its masks put over nothing.
//! So a path below a procfs or sysfs of the config is looked up in that very mount.

use super::input::MountInput;
use super::resolve::{first_component, open};
use crate::plan::{MountPlan, MountSource};
use crate::sys::{self, Result};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The root, and what was mounted in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) root: BorrowedFd<'a>,
    pub(crate) mounts: &'a [MountPlan],
    pub(crate) inputs: &'a [MountInput],
    /// What [`Mounter::mount`](super::Mounter::mount) gave back.
    pub(crate) attached: &'a [Option<OwnedFd>],
}

impl Places<'_> {
    /// Opens what is at `path`.
    pub(super) fn open(&self, path: &CStr) -> Result<OwnedFd> {
        match self.in_a_mount(path) {
            Some((mount, rest)) => open(mount, rest),
            None => open(self.root, path),
        }
    }

    /// The last mount that the path leads into, if nothing but the kernel puts files there, and the rest of the path.
    fn in_a_mount<'p>(&self, path: &'p CStr) -> Option<(BorrowedFd<'_>, &'p CStr)> {
        let rows = self.mounts.iter().zip(self.inputs).zip(self.attached).enumerate().rev();
        for (index, ((plan, input), attached)) in rows {
            let Some(rest) = below(path, &plan.target) else { continue };
            let mount = match (&plan.source, attached, &input.source) {
                (source, Some(mount), _) if source.is_of_the_kernel() => mount,
                // As a user without privileges binds the host's.
                (MountSource::Bind { .. }, _, Some(source)) if shows_the_kernel(source.as_fd()) => source,
                _ => continue,
            };
            let is_covered = || {
                let later = self.mounts.get(index + 1..).unwrap_or(&[]);
                later.iter().any(|later| below(&plan.target, &later.target).is_some())
            };
            if !is_covered() {
                return Some((mount.as_fd(), rest));
            }
        }
        None
    }
}

fn shows_the_kernel(mount: BorrowedFd<'_>) -> bool {
    sys::filesystem_magic(mount)
        .is_ok_and(|magic| magic == libc::PROC_SUPER_MAGIC || magic == libc::SYSFS_MAGIC)
}

/// What follows in `path` behind `target`, with the slash between them; `None` if it does not lie there.
fn below<'p>(path: &'p CStr, target: &CStr) -> Option<&'p CStr> {
    let (mut rest, mut wanted) = (path.to_bytes(), target.to_bytes());
    while let Some((name, after)) = first_component(wanted) {
        let (found, left) = first_component(rest)?;
        if found != name || name == b".." {
            return None;
        }
        (rest, wanted) = (left, after);
    }
    let has_way_up = rest.split(|&byte| byte == b'/').any(|name| name == b"..");
    let start = path.to_bytes().len() - rest.len();
    let rest = path.to_bytes_with_nul().get(start..).and_then(|rest| CStr::from_bytes_with_nul(rest).ok());
    match rest {
        _ if has_way_up => None,
        Some(rest) if rest.is_empty() => Some(c"/"),
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn paths_are_compared_by_components() {
        assert_eq!(below(c"/proc/sys/kernel", c"/proc"), Some(c"/sys/kernel"));
        assert_eq!(below(c"//proc//sys", c"/proc/"), Some(c"//sys"));
        assert_eq!(below(c"/proc", c"/proc"), Some(c"/"));
        assert_eq!(below(c"/proc2/sys", c"/proc"), None);
        assert_eq!(below(c"/pro", c"/proc"), None);
        // Where this leads is not for a comparison of names to say.
        assert_eq!(below(c"/proc/../etc/passwd", c"/proc"), None);
        assert_eq!(below(c"/a/../proc/x", c"/a/.."), None);
    }
}
