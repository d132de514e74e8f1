//! One step of filling the rootfs: make or take a mount, find its target, attach.

use super::copy_up::copy_up;
use super::input::MountInput;
use super::legacy::Legacy;
use super::mask::empty_directory;
use super::resolve::{self, Make};
use super::source::{propagate, set_attributes};
use crate::plan::{BindLinks, MountPlan, MountSource, Parameter};
use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use nix::mount::MsFlags;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What mounting needs beside the plan.
#[derive(Debug)]
pub(crate) struct Mounter<'a> {
    /// The container's root.
    pub(crate) root: BorrowedFd<'a>,
    /// Our procfs, as long as it lies nowhere: the first plain `proc` mount is it.
    pub(crate) proc: Option<BorrowedFd<'a>>,
}

impl Mounter<'_> {
    /// A mount can be attached once.
    pub(crate) fn forget_proc_if_used(&mut self, plan: &MountPlan) {
        if let MountSource::Filesystem { fstype, parameters, flags: 0, .. } = &plan.source
            && fstype.as_c_str() == c"proc"
            && parameters.is_empty()
        {
            self.proc = None;
        }
    }

    /// Carries out one step. `source` is the bind source if it is open by now. A mount that is needed once more comes
    /// back: to be made read-only at the end, or for what is masked in it.
    pub(crate) fn mount(
        &self,
        plan: &MountPlan,
        source: Option<BorrowedFd<'_>>,
        input: &MountInput,
    ) -> Result<Option<OwnedFd>> {
        match &plan.source {
            MountSource::Bind { links, .. } => {
                match &input.link {
                    Some(link) => self.make_link(plan, link, true)?,
                    None => self.bind(plan, source, input.lacks_cgroup, *links)?,
                }
                Ok(None)
            }
            MountSource::Filesystem { fstype, source, parameters, copy_up, .. } => {
                self.mount_filesystem(plan, fstype, source, parameters, *copy_up, input)
            }
            MountSource::Symlink { text } => {
                self.make_link(plan, text, false)?;
                Ok(None)
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

    fn bind(
        &self,
        plan: &MountPlan,
        source: Option<BorrowedFd<'_>>,
        lacks_cgroup: bool,
        links: BindLinks,
    ) -> Result<()> {
        let nothing;
        let mount = match source {
            Some(source) => source,
            // Not the cgroup of the caller, whose processes it would hand to the container (CVE-2023-25809).
            None if lacks_cgroup => {
                nothing = empty_directory(None)?;
                nothing.as_fd()
            }
            None => return Err(Failed::new(Call::OpenTree, Errno::EBADF)),
        };
        let is_directory = sys::fstat(mount)?.is_dir();
        let make = if is_directory { Make::Directory } else { Make::File };
        let target = self.target(&plan.target, make, links.keep_target)?;
        if sys::fstat(target.as_fd())?.is_dir() != is_directory {
            // The kernel says EINVAL; mount(2) said this, and engines know it.
            return Err(Failed::new(Call::MoveMount, Errno::ENOTDIR));
        }
        sys::move_mount(mount, target.as_fd())
    }

    /// A symbolic link in place of a mount. What is there already has to be the same one, if it is `exact`.
    fn make_link(&self, plan: &MountPlan, text: &CStr, exact: bool) -> Result<()> {
        let (parent, name) = resolve::parent_and_name(self.root, &plan.target)?;
        match nix::unistd::symlinkat(text, parent.as_fd(), name.as_cstr()) {
            Err(Errno::EEXIST) if exact => {
                let mut there = [0u8; 4096];
                let length = sys::readlinkat(parent.as_fd(), name.as_cstr(), &mut there)
                    .map_err(|_| Failed::new(Call::Symlinkat, Errno::EEXIST))?;
                match there.get(..length) == Some(text.to_bytes()) {
                    true => Ok(()),
                    false => Err(Failed::new(Call::Symlinkat, Errno::EEXIST)),
                }
            }
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(Failed::new(Call::Symlinkat, errno)),
        }
    }

    fn mount_filesystem(
        &self,
        plan: &MountPlan,
        fstype: &CStr,
        source: &CStr,
        parameters: &[Parameter],
        copy: bool,
        input: &MountInput,
    ) -> Result<Option<OwnedFd>> {
        let legacy = input.legacy.as_ref();
        let set = plan.attributes.set | if input.lacks_cgroup { sys::MOUNT_ATTR_RDONLY } else { 0 };
        let (target, was_there) = self.directory(&plan.target, fstype == c"proc" || fstype == c"sysfs")?;
        // A tmpfs without `mode=` has the permissions of the directory that it covers.
        let has_mode = || parameters.iter().any(|parameter| parameter.key.as_c_str() == c"mode");
        let mode = match was_there && fstype == c"tmpfs" && !has_mode() {
            true => Some(sys::fstat(target.as_fd())?.mode & 0o7777),
            false => None,
        };
        let (mounted, is_detached) = match (self.proc, legacy) {
            (_, Some(_)) => (mount_legacy(target.as_fd(), fstype, source, legacy)?, false),
            (Some(proc), None) if fstype == c"proc" && parameters.is_empty() => {
                // Ours has no attributes that a config would want away but these.
                let all = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
                sys::mount_setattr(proc, false, 0, all & !plan.attributes.set, 0)?;
                sys::mount_setattr(proc, false, plan.attributes.set, plan.attributes.clear, 0)?;
                let copy = proc.try_clone_to_owned();
                (copy.map_err(|_| Failed::new(Call::Fcntl, Errno::EMFILE))?, true)
            }
            _ => (make_filesystem(fstype, source, parameters, mode, set)?, true),
        };
        let mount = mounted.as_fd();
        if !is_detached {
            if set != 0 || plan.attributes.clear != 0 {
                sys::mount_setattr(mount, false, set, plan.attributes.clear, 0)?;
            }
            if let Some(mode) = mode {
                change_mode(mount, mode)?;
            }
        }
        if let Some(label) = &plan.label {
            let root = sys::openat2(mount, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, 0)?;
            sys::fsetxattr(root.as_fd(), c"security.selinux", label)?;
        }
        if copy {
            copy_up(target.as_fd(), mount)?;
        }
        if is_detached {
            sys::move_mount(mount, target.as_fd())?;
        }
        let all = plan.recursive_attributes;
        if !all.is_empty() {
            sys::mount_setattr(mount, true, all.set, all.clear, 0)?;
        }
        for &flags in &plan.propagation {
            propagate(mount, flags)?;
        }
        // The fd outlives this step: no path has to be walked again once things lie in it (CVE-2026-115521).
        Ok((plan.seal_readonly || plan.source.is_of_the_kernel()).then_some(mounted))
    }

    /// Where to mount; with `itself` a link at the end is not followed. The plan lets nothing be mounted into `/proc`, and
    /// no link of the image leads there either: what lies in it would be believed (CVE-2019-16884, CVE-2023-28642).
    fn target(&self, path: &CStr, make: Make, itself: bool) -> Result<OwnedFd> {
        let found = match resolve::open_plain(self.root, path) {
            Ok(found) => return Ok(found),
            // No link was met on the way to what is missing.
            Err(Failed { errno: Errno::ENOENT, .. }) => resolve::make_and_open(self.root, path, make)?,
            Err(_) if itself => resolve::open_itself_or_make(self.root, path, make)?,
            Err(_) => resolve::open_or_make(self.root, path, make)?,
        };
        outside_proc(found)
    }

    /// The directory to mount onto, and whether it was there.
    fn directory(&self, target: &CStr, plain: bool) -> Result<(OwnedFd, bool)> {
        if plain {
            return Ok((self.ordinary_directory(target)?, true));
        }
        match resolve::open_plain(self.root, target) {
            Ok(found) => Ok((found, true)),
            Err(Failed { errno: Errno::ENOENT, .. }) => {
                let made = resolve::make_and_open(self.root, target, Make::Directory)?;
                Ok((outside_proc(made)?, false))
            }
            Err(_) => {
                let was_there = resolve::open(self.root, target).is_ok();
                Ok((self.target(target, Make::Directory, false)?, was_there))
            }
        }
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
}

/// No link of the image has led into a procfs.
fn outside_proc(found: OwnedFd) -> Result<OwnedFd> {
    if sys::filesystem_magic(found.as_fd())? == libc::PROC_SUPER_MAGIC {
        return Err(Failed::new(Call::InsideProc, Errno::EPERM));
    }
    Ok(found)
}

/// mount(2), onto the working directory, which is the target itself and not a path to it. Gives what is mounted.
fn mount_legacy(
    target: BorrowedFd<'_>,
    fstype: &CStr,
    source: &CStr,
    legacy: Option<&Legacy>,
) -> Result<OwnedFd> {
    let (flags, data) = legacy.map_or((0, c""), |legacy| (legacy.flags, legacy.data.as_c_str()));
    nix::unistd::fchdir(target).map_err(Failed::from(Call::Fchdir))?;
    let flags = MsFlags::from_bits_retain(flags);
    nix::mount::mount(Some(source), c".", Some(fstype), flags, Some(data))
        .map_err(Failed::from(Call::Mount))?;
    // The name of the target may lead elsewhere by now. From a root there is no way up, so this stays where it is, but
    // for going over to what lies there on top.
    resolve::open(target, c"..")
}

/// A new file system, as a mount that lies nowhere yet.
fn make_filesystem(
    fstype: &CStr,
    source: &CStr,
    parameters: &[Parameter],
    mode: Option<u32>,
    attributes: u64,
) -> Result<OwnedFd> {
    let fs = sys::fsopen(fstype)?;
    sys::fsconfig_set(fs.as_fd(), c"source", Some(source))?;
    for parameter in parameters {
        sys::fsconfig_set(fs.as_fd(), &parameter.key, parameter.value.as_deref())?;
    }
    if let Some(mode) = mode {
        let digit = |shift: u32| b'0' + u8::try_from(mode >> shift & 7).unwrap_or(0);
        let text = [digit(9), digit(6), digit(3), digit(0), 0];
        let text = CStr::from_bytes_until_nul(&text).unwrap_or(c"755");
        sys::fsconfig_set(fs.as_fd(), c"mode", Some(text))?;
    }
    sys::fsconfig_create(fs.as_fd())?;
    sys::fsmount(fs.as_fd(), attributes)
}

fn change_mode(mount: BorrowedFd<'_>, mode: u32) -> Result<()> {
    use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
    let mode = Mode::from_bits_truncate(mode);
    fchmodat(mount, c".", mode, FchmodatFlags::FollowSymlink).map_err(Failed::from(Call::Fchmod))
}
