//! One step of filling the rootfs: make or take a mount, find its target, attach.

use super::copy_up::copy_up;
use super::mask::empty_directory;
use super::resolve::{self, Make};
use super::source::{propagate, set_attributes};
use crate::plan::{MountPlan, MountSource, Parameter};
use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// fsconfig(2) takes values of less than 256 bytes; an overlay of many layers has longer ones.
const LONGEST_VALUE: usize = 255;

/// What mounting needs beside the plan.
#[derive(Debug)]
pub(crate) struct Mounter<'a> {
    /// The container's root.
    pub(crate) root: BorrowedFd<'a>,
    /// Our procfs, as long as it lies nowhere: the first plain `proc` mount is it.
    pub(crate) proc: Option<BorrowedFd<'a>>,
}

/// What is there for one mount before it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<'a> {
    /// The bind source, opened.
    pub(crate) source: Option<BorrowedFd<'a>>,
    /// The parameters, if mount(2) has to be used.
    pub(crate) data: Option<&'a CStr>,
    /// It would show a cgroup, and the container has none.
    pub(crate) lacks_cgroup: bool,
}

/// The parameters as one string for mount(2), for those that fsconfig(2) cannot take. Made before the clone.
pub(crate) fn legacy_data(plan: &MountPlan) -> Option<CString> {
    let MountSource::Filesystem { parameters, .. } = &plan.source else { return None };
    let value_length =
        |parameter: &Parameter| parameter.value.as_ref().map_or(0, |value| value.as_bytes().len());
    if parameters.iter().all(|parameter| value_length(parameter) <= LONGEST_VALUE) {
        return None;
    }
    let mut data = Vec::new();
    for parameter in parameters {
        if !data.is_empty() {
            data.push(b',');
        }
        data.extend_from_slice(parameter.key.as_bytes());
        if let Some(value) = &parameter.value {
            data.push(b'=');
            data.extend_from_slice(value.as_bytes());
        }
    }
    CString::new(data).ok()
}

impl Mounter<'_> {
    /// A mount can be attached once.
    pub(crate) fn forget_proc_if_used(&mut self, plan: &MountPlan) {
        if let MountSource::Filesystem { fstype, parameters, .. } = &plan.source
            && fstype.as_c_str() == c"proc"
            && parameters.is_empty()
        {
            self.proc = None;
        }
    }

    /// Carries out one step. What has to be made read-only at the end comes back.
    pub(crate) fn mount(&self, plan: &MountPlan, prepared: Prepared<'_>) -> Result<Option<OwnedFd>> {
        match &plan.source {
            MountSource::Bind { .. } => {
                let nothing;
                let mount = match prepared.source {
                    Some(source) => source,
                    // Not the cgroup of the caller, whose processes it would hand to the container (CVE-2023-25809).
                    None if prepared.lacks_cgroup => {
                        nothing = empty_directory()?;
                        nothing.as_fd()
                    }
                    None => return Err(Failed::new(Call::OpenTree, Errno::EBADF)),
                };
                let is_directory = sys::fstat(mount)?.is_dir();
                let make = if is_directory { Make::Directory } else { Make::File };
                let target = resolve::open_or_make(self.root, &plan.target, make)?;
                if sys::fstat(target.as_fd())?.is_dir() != is_directory {
                    // The kernel says EINVAL; mount(2) said this, and engines know it.
                    return Err(Failed::new(Call::MoveMount, Errno::ENOTDIR));
                }
                sys::move_mount(mount, target.as_fd())?;
                Ok(None)
            }
            MountSource::Filesystem { fstype, source, parameters, copy_up } => match prepared.data {
                Some(data) => self.mount_legacy(plan, fstype, source, data),
                None => {
                    let set = if prepared.lacks_cgroup { sys::MOUNT_ATTR_RDONLY } else { 0 };
                    let set = plan.attributes.set | set;
                    self.mount_filesystem(plan, fstype, source, parameters, set, *copy_up)
                }
            },
            MountSource::Symlink { text } => {
                let (parent, name) = resolve::parent_and_name(self.root, &plan.target)?;
                match nix::unistd::symlinkat(text.as_c_str(), parent.as_fd(), name.as_cstr()) {
                    Ok(()) | Err(Errno::EEXIST) => Ok(None),
                    Err(errno) => Err(Failed::new(Call::Symlinkat, errno)),
                }
            }
            MountSource::Existing => {
                let target = resolve::open(self.root, &plan.target)?;
                set_attributes(target.as_fd(), plan)?;
                for &flags in &plan.propagation {
                    propagate(target.as_fd(), flags)?;
                }
                Ok(None)
            }
        }
    }

    fn mount_filesystem(
        &self,
        plan: &MountPlan,
        fstype: &CStr,
        source: &CStr,
        parameters: &[Parameter],
        set: u64,
        copy: bool,
    ) -> Result<Option<OwnedFd>> {
        let own;
        let mount = match self.proc {
            Some(proc) if fstype == c"proc" && parameters.is_empty() => {
                // Ours has no attributes that a config would want away but these.
                let all = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
                sys::mount_setattr(proc, false, 0, all & !plan.attributes.set, 0)?;
                sys::mount_setattr(proc, false, plan.attributes.set, plan.attributes.clear, 0)?;
                proc
            }
            _ => {
                let fs = sys::fsopen(fstype)?;
                sys::fsconfig_set(fs.as_fd(), c"source", Some(source))?;
                for parameter in parameters {
                    sys::fsconfig_set(fs.as_fd(), &parameter.key, parameter.value.as_deref())?;
                }
                sys::fsconfig_create(fs.as_fd())?;
                own = sys::fsmount(fs.as_fd(), set)?;
                own.as_fd()
            }
        };
        let target = if fstype == c"proc" || fstype == c"sysfs" {
            self.ordinary_directory(&plan.target)?
        } else {
            resolve::open_or_make(self.root, &plan.target, Make::Directory)?
        };
        if fstype == c"tmpfs" && !parameters.iter().any(|parameter| parameter.key.as_c_str() == c"mode") {
            keep_mode(mount, target.as_fd())?;
        }
        if copy {
            copy_up(target.as_fd(), mount)?;
        }
        sys::move_mount(mount, target.as_fd())?;
        let all = plan.recursive_attributes;
        if !all.is_empty() {
            sys::mount_setattr(mount, true, all.set, all.clear, 0)?;
        }
        for &flags in &plan.propagation {
            propagate(mount, flags)?;
        }
        if !plan.seal_readonly {
            return Ok(None);
        }
        // The fd outlives this step: no path has to be walked again once things lie in it (CVE-2026-115521).
        Ok(Some(mount.try_clone_to_owned().map_err(|_| Failed::new(Call::Fcntl, Errno::EMFILE))?))
    }

    /// For a `proc` or `sysfs`: a symbolic link in the image must not decide where these go (CVE-2019-19921).
    fn ordinary_directory(&self, target: &CStr) -> Result<OwnedFd> {
        let found = match resolve::open_plain(self.root, target) {
            Err(Failed { errno: Errno::ENOENT, .. }) => {
                drop(resolve::open_or_make(self.root, target, Make::Directory)?);
                resolve::open_plain(self.root, target)
            }
            found => found,
        };
        match found {
            Ok(found) if sys::fstat(found.as_fd())?.is_dir() => Ok(found),
            Ok(_) => Err(Failed::new(Call::NotADirectory, Errno::ENOTDIR)),
            Err(Failed { errno: Errno::ELOOP, .. }) => Err(Failed::new(Call::NotADirectory, Errno::ELOOP)),
            Err(failed) => Err(failed),
        }
    }

    /// mount(2), onto the working directory, which is the target itself and not a path to it.
    fn mount_legacy(
        &self,
        plan: &MountPlan,
        fstype: &CStr,
        source: &CStr,
        data: &CStr,
    ) -> Result<Option<OwnedFd>> {
        use nix::mount::{MsFlags, mount};
        let target = resolve::open_or_make(self.root, &plan.target, Make::Directory)?;
        nix::unistd::fchdir(target.as_fd()).map_err(Failed::from(Call::Fchdir))?;
        mount(Some(source), c".", Some(fstype), MsFlags::empty(), Some(data))
            .map_err(Failed::from(Call::Mount))?;
        let mounted = resolve::open(self.root, &plan.target)?;
        set_attributes(mounted.as_fd(), plan)?;
        for &flags in &plan.propagation {
            propagate(mounted.as_fd(), flags)?;
        }
        Ok(plan.seal_readonly.then_some(mounted))
    }
}

/// A tmpfs without `mode=` has the permissions of the directory that it covers.
fn keep_mode(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
    let mode = Mode::from_bits_truncate(sys::fstat(target)?.mode);
    fchmodat(mount, c".", mode, FchmodatFlags::FollowSymlink).map_err(Failed::from(Call::Fchmod))
}
