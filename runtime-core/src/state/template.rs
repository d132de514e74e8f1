//! The template: a mount namespace of one empty directory, from which new containers get theirs.
//!
//! CLONE_NEWNS copies every mount of the namespace that the caller lives in, and the pivot takes them all away again:
//! with thousands of mounts that is most of a start. The kernel copies nothing else (before Linux 7.0, which has
//! OPEN_TREE_NAMESPACE), so on hosts with [`MANY`] mounts there has to be something small to copy: a new process enters
//! this namespace, copies it, and only then gets its rootfs, which was opened before.
//!
//! A mount namespace outlives its processes only as a mount, and such a mount must lie on a private one. So these are
//! two mounts, both at `@template` below the runtime's root. They are made for the second container of that root, and go with
//! its last; whoever makes them has claimed an id, so that there always is a last one. Nobody tries twice: what a crash or a
//! refusal leaves of them, or another mount namespace shows, is no template, and goes with the last container, too.
//!
//! Invariants: nothing of the host's lies in it, and nobody stays in it. A container gets a copy, and the kernel copies no
//! mount of a mount namespace, so none ever sees the template itself. It is used only if the directory belongs to this
//! user and nobody else may write to it.

use crate::process::channel::{Word, hear};
use crate::process::runtime::channel;
use crate::process::template;
use crate::sys;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "@template";
const NAMESPACE: &str = "namespace";

/// From here on the copy of the mounts costs more than all that is done here.
const MANY: usize = 256;

/// Each try costs a copy of the mounts.
const MOST_TRIES: usize = 8;

/// What its maker does waits for nobody; in milliseconds.
const MADE_WITHIN_MS: u16 = 10_000;

/// The template of one root.
#[derive(Debug)]
pub(crate) struct Template<'a> {
    root: &'a Path,
    directory: PathBuf,
}

impl Template<'_> {
    pub(crate) fn of(root: &Path) -> Template<'_> {
        Template { root, directory: root.join(DIRECTORY) }
    }

    /// The namespace; `None` where there is none, and none is worth the making.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        if !has_many_mounts() {
            return None;
        }
        match self.directory() {
            Some(_) => self.kept(),
            None if self.has_containers(2) => self.make().ok(),
            None => None,
        }
    }

    /// To be called when a container is gone: takes the template away with the last one.
    pub(crate) fn let_go(&self) {
        let Some(directory) = self.directory() else { return };
        // Who has the lock is making it, for a container that is there.
        if directory.try_lock().is_ok() && !self.has_containers(1) {
            self.unmount();
            let _ = fs::remove_file(self.directory.join(NAMESPACE));
            let _ = fs::remove_dir(&self.directory);
        }
    }

    /// Its directory, if that is nobody else's.
    fn directory(&self) -> Option<File> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
        let directory = File::options().read(true).custom_flags(flags.bits()).open(&self.directory).ok()?;
        let found = directory.metadata().ok()?;
        let is_ours = found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o022 == 0;
        is_ours.then_some(directory)
    }

    fn kept(&self) -> Option<OwnedFd> {
        let path = self.directory.join(NAMESPACE);
        let file = File::options().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).ok()?;
        // Otherwise it is no more than the file.
        let is_kept = fstatfs(&file).is_ok_and(|found| found.filesystem_type() == NSFS_MAGIC);
        is_kept.then(|| file.into())
    }

    /// Whether the root holds this many containers.
    fn has_containers(&self, count: usize) -> bool {
        let entries = fs::read_dir(self.root).into_iter().flatten().flatten();
        let is_container = |name: &std::ffi::OsStr| !name.as_encoded_bytes().starts_with(b"@");
        entries.filter(|entry| is_container(&entry.file_name())).take(count).count() == count
    }

    fn make(&self) -> io::Result<OwnedFd> {
        // Who was faster makes the same; this container is born as ever.
        DirBuilder::new().mode(0o700).create(&self.directory)?;
        let directory = self.directory().ok_or(io::ErrorKind::PermissionDenied)?;
        directory.try_lock()?;
        let mut made = self.make_on(None);
        // The kernel mounts only a namespace that is newer than the one it is mounted in (ELOOP), which it tells by their
        // numbers; and as of Linux 6.18 each processor has a supply of its own.
        for processor in 0..MOST_TRIES {
            match &made {
                Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                    made = self.make_on(Some(processor));
                }
                _ => break,
            }
        }
        made
    }

    fn make_on(&self, processor: Option<usize>) -> io::Result<OwnedFd> {
        let namespace = make_namespace(processor)?;
        self.keep(namespace.as_fd()).inspect_err(|_| self.unmount())?;
        Ok(namespace)
    }

    /// Mounts the directory on itself, privately, and the namespace in it.
    fn keep(&self, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let path = CString::new(self.directory.as_os_str().as_bytes())?;
        let private = sys::open_tree(sys::cwd(), &path, false)?;
        sys::move_mount_to(private.as_fd(), sys::cwd(), &path)?;
        // Only now: on a shared mount it has just become a shared one.
        sys::mount_setattr(private.as_fd(), false, 0, 0, libc::MS_PRIVATE)?;
        let file = self.directory.join(NAMESPACE);
        let place = File::options().create(true).append(true).mode(0o400).open(file)?;
        let copy = sys::open_tree(namespace, c"", false)?;
        Ok(sys::move_mount(copy.as_fd(), place.as_fd())?)
    }

    /// Whatever is mounted, or half mounted, there. Who uses it still has it.
    fn unmount(&self) {
        for path in [&self.directory.join(NAMESPACE), &self.directory] {
            let _ = umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
        }
    }
}

/// Whether a copy of this program's mounts is worth avoiding.
fn has_many_mounts() -> bool {
    sys::has_mounts(MANY).unwrap_or_else(|_| {
        let table = File::open("/proc/self/mountinfo").map(BufReader::new);
        table.is_ok_and(|table| table.lines().take(MANY).count() == MANY)
    })
}

/// A new namespace, which lives by its fd alone.
fn make_namespace(processor: Option<usize>) -> io::Result<OwnedFd> {
    let (ours, theirs) = channel()?;
    let maker = sys::clone3(0, None, || template::run(theirs.as_fd(), processor))?;
    drop(theirs);
    let ready =
        || match poll(&mut [PollFd::new(ours.as_fd(), PollFlags::POLLIN)], PollTimeout::from(MADE_WITHIN_MS))
        {
            Ok(1) => Ok(hear(ours.as_fd())?.0 == Some(Word::Ready)),
            Ok(_) => Ok(false),
            Err(errno) => Err(io::Error::from(errno)),
        };
    let namespace = match ready() {
        Ok(true) => File::open(format!("/proc/{}/ns/mnt", maker.pid)).map(OwnedFd::from),
        Ok(false) => Err(io::ErrorKind::Other.into()),
        Err(error) => Err(error),
    };
    let _ = sys::pidfd_send_signal(maker.pidfd.as_fd(), libc::SIGKILL);
    let _ = sys::waitid(maker.pidfd.as_fd(), true);
    namespace
}
