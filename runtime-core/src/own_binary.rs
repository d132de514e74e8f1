//! The runtime's own executable, out of the container's reach.
//!
//! A process that enters a container can be made to execute, or to hold open, the very file it was started from, and
//! a container that may write to that file owns the host the next time it runs (CVE-2019-5736). So every process that
//! is made for a container runs, before it does anything else, from a detached read-only mount of that file: what a
//! container reaches through `/proc/PID/exe` then cannot be opened for writing, whoever asks. No byte is copied, and
//! the program that makes the process stays as it is: it is in no container.
//!
//! Where that cannot be (a kernel without checkpoint/restore, or no privilege to mount) the program itself has to be moved
//! first, with a start of its own: it is executed once more from such a mount, or from a sealed copy in memory.

use crate::error::{Error, Result};
use crate::sys::{self, CStrings, Failed, MOUNT_ATTR_RDONLY, NewImage};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, PoisonError};

const SELF: &std::ffi::CStr = c"/proc/self/exe";

/// What [`seal_own_binary`] has found to work.
static FOUND: Mutex<Option<Shelter>> = Mutex::new(None);

/// What a new process runs from. To be kept until that is so, and better let go of then than before: it may be the last
/// hold on the mount as such, whose end takes the kernel a while. The file in it goes on without.
#[derive(Debug)]
pub(crate) struct Shelter {
    pub(crate) image: Arc<NewImage>,
    _mount: Option<OwnedFd>,
}

impl Shelter {
    /// From a mount that nobody can remount: it is in no mount namespace.
    fn make() -> sys::Result<Shelter> {
        let mount = readonly_mount()?;
        let path = CString::new(format!("/proc/self/fd/{}", mount.as_raw_fd())).unwrap_or_default();
        let file = sys::openat2(sys::cwd(), &path, libc::O_RDONLY, 0, 0)?;
        Ok(Shelter { image: Arc::new(NewImage::of(file)?), _mount: Some(mount) })
    }
}

/// Whether this program itself runs from a file that nobody can write through `/proc/PID/exe`. It need not, where the
/// processes that it makes do: see [`seal_own_binary`].
#[must_use]
pub fn is_sealed() -> bool {
    // What execveat(2) with an fd leaves in the auxiliary vector: it cannot be a path that somebody may write to.
    sys::executed_from_fd() && (is_on_readonly_mount() || has_all_seals())
}

fn is_on_readonly_mount() -> bool {
    let own = sys::openat2(sys::cwd(), SELF, libc::O_PATH, 0, 0);
    own.is_ok_and(|own| sys::is_on_readonly_mount(own.as_fd()))
}

fn has_all_seals() -> bool {
    let Ok(own) = File::open("/proc/self/exe") else { return false };
    let wanted =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&own, FcntlArg::F_GET_SEALS).is_ok_and(|seals| seals & wanted.bits() == wanted.bits())
}

/// Sees to it that no container can write to this program's own file. Call it first thing in `main`.
///
/// As root, on a kernel with checkpoint/restore, there is nothing to do: each process that is made for a container
/// leaves the file by itself. Otherwise the program is executed again, with the same arguments and environment, from
/// where nobody can write, and the second time this returns at once.
///
/// # Errors
/// [`crate::ErrorKind::System`] when neither a mount nor a copy can be made, for example because `/proc` is missing.
pub fn seal_own_binary() -> Result<()> {
    if is_sealed() {
        name_after_argument();
        return Ok(());
    }
    if let Ok(shelter) = Shelter::make() {
        *FOUND.lock().unwrap_or_else(PoisonError::into_inner) = Some(shelter);
        return Ok(());
    }
    let cannot = |failed: Failed| {
        Error::os("cannot protect the runtime's own binary", failed.call.name(), failed.errno)
            .with_hint("husk needs /proc mounted, and either CAP_SYS_ADMIN or memfd_create(2)")
    };
    let file = match readonly_mount() {
        Ok(mount) => mount,
        Err(_) => sealed_copy()?,
    };
    let strings =
        |values: Vec<Vec<u8>>| values.into_iter().filter_map(|value| CString::new(value).ok()).collect();
    let arguments: Vec<CString> = strings(std::env::args_os().map(OsStringExt::into_vec).collect());
    let environment: Vec<CString> = strings(
        std::env::vars_os()
            .map(|(key, value)| [key.into_vec(), b"=".to_vec(), value.into_vec()].concat())
            .collect(),
    );
    let argv = CStrings::new(arguments.iter().map(CString::as_c_str));
    let envp = CStrings::new(environment.iter().map(CString::as_c_str));
    Err(cannot(sys::execve_fd(file.as_fd(), &argv, &envp)))
}

fn readonly_mount() -> sys::Result<OwnedFd> {
    let mount = sys::open_tree(sys::cwd(), SELF, false)?;
    sys::mount_setattr(mount.as_fd(), false, MOUNT_ATTR_RDONLY, 0, 0)?;
    Ok(mount)
}

fn sealed_copy() -> Result<OwnedFd> {
    let cannot =
        |error: std::io::Error| Error::io("cannot copy the runtime's own binary", "memfd_create", &error);
    let memfd = sys::sealable_memfd(c"husk").map_err(|failed| cannot(failed.errno.into()))?;
    let mut copy = File::from(memfd);
    let mut own = File::open("/proc/self/exe").map_err(cannot)?;
    std::io::copy(&mut own, &mut copy).map_err(cannot)?;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(SealFlag::all())).map_err(|errno| cannot(errno.into()))?;
    Ok(copy.into())
}

/// An execution by fd is named after the fd's number on kernels before 6.14.
fn name_after_argument() {
    let Some(argument) = std::env::args_os().next() else { return };
    let path = std::path::PathBuf::from(argument);
    if let Some(name) = path.file_name()
        && let Ok(name) = CString::new(name.to_owned().into_vec())
    {
        let _ = sys::set_name(&name);
    }
}

/// What the next process that is made for a container has to run from; `None` where this program does so itself.
pub(crate) fn shelter() -> Result<Option<Shelter>> {
    if let Some(Shelter { image, _mount: mount }) = &mut *FOUND.lock().unwrap_or_else(PoisonError::into_inner)
    {
        return Ok(Some(Shelter { image: image.clone(), _mount: mount.take() }));
    }
    if is_sealed() {
        return Ok(None);
    }
    Shelter::make().map(Some).map_err(|failed| {
        let message = "this program's own binary could be overwritten from within a container";
        Error::os(message, failed.call.name(), failed.errno).with_hint(
            "call husk_core::seal_own_binary() first thing in main, or Runtime::allow_unsealed_binary() if no container can harm it",
        )
    })
}
