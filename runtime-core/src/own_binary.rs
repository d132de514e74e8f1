//! The runtime's own executable, out of the container's reach.
//!
//! A process that enters a container can be made to execute, or to hold open, the very file it was started from, and
//! a container that may write to that file owns the host the next time it runs (CVE-2019-5736). So the program
//! runs from a detached read-only mount of its own file: what a container reaches through `/proc/PID/exe` then
//! cannot be opened for writing, whoever asks. No byte is copied.
//!
//! Three ways lead there, the cheapest first: to map the program anew from that mount, which takes a process of one
//! thread and a kernel with checkpoint/restore; to execute it once more from that mount, which takes a whole start
//! of a program; and without the privilege to mount, to execute a sealed copy in memory.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, CStrings, Failed, MOUNT_ATTR_RDONLY};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

const SELF: &std::ffi::CStr = c"/proc/self/exe";

/// This image was mapped anew from a read-only mount: nothing that one could ask the kernel tells it as surely.
static MAPPED_ANEW: AtomicBool = AtomicBool::new(false);

/// Whether this program runs from a file that nobody can write through `/proc/PID/exe`.
#[must_use]
pub fn is_sealed() -> bool {
    if MAPPED_ANEW.load(Ordering::Relaxed) {
        return true;
    }
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

/// Puts this program's own file where no container can write to it. Call it first thing in `main`, before there are
/// threads: where the program cannot be moved in place it is executed again, with the same arguments and environment,
/// and the second time this returns at once.
///
/// # Errors
/// [`ErrorKind::System`] when neither a mount nor a copy can be made, for example because `/proc` is missing.
pub fn seal_own_binary() -> Result<()> {
    if is_sealed() {
        name_after_argument();
        return Ok(());
    }
    let cannot = |failed: Failed| {
        Error::os("cannot protect the runtime's own binary", failed.call.name(), failed.errno)
            .with_hint("husk needs /proc mounted, and either CAP_SYS_ADMIN or memfd_create(2)")
    };
    let file = match readonly_mount() {
        Ok(mount) if map_anew(mount.as_fd()).is_ok() => return Ok(()),
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

/// Nobody can remount it: it is in no mount namespace, and lasts as long as this program runs.
fn readonly_mount() -> sys::Result<OwnedFd> {
    let mount = sys::open_tree(sys::cwd(), SELF, false)?;
    sys::mount_setattr(mount.as_fd(), false, MOUNT_ATTR_RDONLY, 0, 0)?;
    Ok(mount)
}

/// Goes on in this very process, from the mount. A failure leaves a program that works as it did before.
fn map_anew(mount: BorrowedFd<'_>) -> std::io::Result<()> {
    // Two links for the directory, one for each thread.
    if std::fs::metadata("/proc/self/task")?.nlink() != 3 {
        return Err(std::io::ErrorKind::ResourceBusy.into());
    }
    let file = File::open(format!("/proc/self/fd/{}", mount.as_raw_fd()))?;
    sys::run_from(file.as_fd()).map_err(|failed| failed.errno)?;
    MAPPED_ANEW.store(true, Ordering::Relaxed);
    Ok(())
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

/// For [`crate::Runtime`]: refuses to go on without protection.
pub(crate) fn check() -> Result<()> {
    if is_sealed() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidState, "this program's own binary could be overwritten from within a container")
        .with_hint("call husk_core::seal_own_binary() first thing in main, or Runtime::allow_unsealed_binary() if no container can harm it"))
}
