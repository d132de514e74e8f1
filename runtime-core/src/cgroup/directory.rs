//! One directory of a cgroup hierarchy. It is opened once, when it is first needed, and then held: whatever happens to
//! its name, every read and write goes to the same cgroup. Also the walk over the directories below it.

#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    fd: OnceLock<OwnedFd>,
}

/// Which call failed on a file, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) call: &'static str,
    pub(super) errno: Errno,
}

/// Whether the cgroup was removed: its name first, then what is reached through open fds.
pub(super) fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENODEV)
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

impl Directory {
    /// One that exists, opened now.
    pub(super) fn open(path: &Path) -> nix::Result<Directory> {
        let directory = Directory::at(path);
        directory.fd()?;
        Ok(directory)
    }

    /// One that may be gone, opened when it is used.
    pub(super) fn at(path: &Path) -> Directory {
        Directory { path: path.to_owned(), fd: OnceLock::new() }
    }

    pub(super) fn fd(&self) -> nix::Result<BorrowedFd<'_>> {
        if let Some(fd) = self.fd.get() {
            return Ok(fd.as_fd());
        }
        let fd = nix::fcntl::open(&self.path, DIRECTORY, Mode::empty())?;
        // Another thread's, if that was faster, is as good.
        Ok(self.fd.get_or_init(|| fd).as_fd())
    }

    /// [`Directory::fd`] for those who report which call failed.
    fn opened(&self) -> Result<BorrowedFd<'_>, Failed> {
        self.fd().map_err(|errno| Failed { call: "open", errno })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file of it, for messages.
    pub(super) fn file_path(&self, file: &str) -> String {
        self.path.join(file).display().to_string()
    }

    pub(super) fn open_file(&self, file: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        open_in(self.fd()?, file, flags)
    }

    pub(super) fn read(&self, file: &str) -> Result<String, Failed> {
        read_in(self.opened()?, file)
    }

    /// One write(2): the kernel takes each as one request.
    pub(super) fn write(&self, file: &str, value: &str) -> Result<(), Failed> {
        let fd = self.open_file(file, OFlag::O_WRONLY).map_err(|errno| Failed { call: "open", errno })?;
        nix::unistd::write(&fd, value.as_bytes()).map(drop).map_err(|errno| Failed { call: "write", errno })
    }

    /// The number behind `key` in a file of `KEY NUMBER` lines.
    pub(super) fn read_number(&self, file: &str, key: &str) -> Result<Option<u64>, Failed> {
        let text = self.read(file)?;
        Ok(text.lines().find_map(|line| {
            let (name, number) = line.split_once(' ')?;
            if name == key { number.trim().parse().ok() } else { None }
        }))
    }

    /// The processes in it and below it. A process that is in another pid namespace and has no number here is left
    /// out; so is a cgroup that vanishes meanwhile.
    pub(super) fn pids(&self) -> Result<Vec<i32>, Failed> {
        let mut pids = Vec::new();
        let root = match self.fd() {
            Ok(root) => root,
            Err(errno) if is_gone(errno) => return Ok(pids),
            Err(errno) => return Err(Failed { call: "open", errno }),
        };
        let mut visit = |directory: BorrowedFd<'_>| {
            // A threaded cgroup has no list (EOPNOTSUPP): its processes stand in that of its domain, which is above.
            let text = match read_in(directory, "cgroup.procs") {
                Ok(text) => text,
                Err(failed) if is_gone(failed.errno) || failed.errno == Errno::EOPNOTSUPP => return Ok(()),
                Err(failed) => return Err(failed),
            };
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
            Ok(())
        };
        walk(root, &mut visit, &mut |_, _| Ok(()))?;
        Ok(pids)
    }

    /// The directory in or below this one that has this process.
    pub(super) fn find(&self, pid: i32) -> Result<Option<OwnedFd>, Failed> {
        let line = pid.to_string();
        let mut found = None;
        let root = self.opened()?;
        let mut visit = |directory: BorrowedFd<'_>| {
            if found.is_none()
                && let Ok(text) = read_in(directory, "cgroup.procs")
                && text.lines().any(|pid| pid == line)
            {
                let fd = directory
                    .try_clone_to_owned()
                    .map_err(|e| Failed { call: "fcntl", errno: errno_of(&e) })?;
                found = Some(fd);
            }
            Ok(())
        };
        walk(root, &mut visit, &mut |_, _| Ok(()))?;
        Ok(found)
    }

    /// Removes the cgroups below it, the deepest first.
    pub(super) fn remove_children(&self) -> Result<(), Failed> {
        walk(self.opened()?, &mut |_| Ok(()), &mut |parent, name| match unlinkat(
            parent,
            name,
            UnlinkatFlags::RemoveDir,
        ) {
            Ok(()) => Ok(()),
            Err(errno) if is_gone(errno) => Ok(()),
            Err(errno) => Err(Failed { call: "rmdir", errno }),
        })
    }
}

pub(super) fn open_in(directory: BorrowedFd<'_>, file: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(directory, file, flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
}

fn read_in(directory: BorrowedFd<'_>, file: &str) -> Result<String, Failed> {
    let fd = open_in(directory, file, OFlag::O_RDONLY).map_err(|errno| Failed { call: "open", errno })?;
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        match nix::unistd::read(&fd, &mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed { call: "read", errno }),
        }
    }
}

/// Visits `root` and everything below it, depth first: `enter` on the way down, `leave` (with the parent and the
/// name) on the way up, not for the root.
///
/// A container may have nested its cgroups deeper than a path or a table of fds is long: two fds are open at a time,
/// and the way up is `..`, which cgroup file systems cannot be tricked about (no links, no moves between parents).
fn walk(
    root: BorrowedFd<'_>,
    enter: &mut dyn FnMut(BorrowedFd<'_>) -> Result<(), Failed>,
    leave: &mut dyn FnMut(BorrowedFd<'_>, &std::ffi::CStr) -> Result<(), Failed>,
) -> Result<(), Failed> {
    enter(root)?;
    let mut pending = vec![children(root)?];
    let mut names: Vec<CString> = Vec::new();
    let mut current: Option<OwnedFd> = None;
    loop {
        let here = current.as_ref().map_or(root, |fd| fd.as_fd());
        let next = pending.last_mut().and_then(Vec::pop);
        if let Some(name) = next {
            match openat(here, name.as_c_str(), DIRECTORY, Mode::empty()) {
                Ok(child) => {
                    enter(child.as_fd())?;
                    pending.push(children(child.as_fd())?);
                    names.push(name);
                    current = Some(child);
                }
                Err(errno) if is_gone(errno) => {}
                Err(errno) => return Err(Failed { call: "open", errno }),
            }
            continue;
        }
        pending.pop();
        let Some(name) = names.pop() else { return Ok(()) };
        let parent = if names.is_empty() {
            None
        } else {
            match openat(here, "..", DIRECTORY, Mode::empty()) {
                Ok(parent) => Some(parent),
                // Everything here was removed by someone else.
                Err(errno) if is_gone(errno) => return Ok(()),
                Err(errno) => return Err(Failed { call: "open", errno }),
            }
        };
        leave(parent.as_ref().map_or(root, |fd| fd.as_fd()), &name)?;
        current = parent;
    }
}

/// The directories directly below. The link count of a cgroup is 2 and one for each of them (kernfs), so most of
/// the time nothing has to be listed.
fn children(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Failed> {
    let list = |errno| Failed { call: "getdents", errno };
    let stat = match fstat(directory) {
        Ok(stat) => stat,
        Err(errno) => return Err(Failed { call: "fstat", errno }),
    };
    if stat.st_nlink <= 2 {
        return Ok(Vec::new());
    }
    let fd = match openat(directory, ".", DIRECTORY, Mode::empty()) {
        Ok(fd) => fd,
        Err(errno) if is_gone(errno) => return Ok(Vec::new()),
        Err(errno) => return Err(Failed { call: "open", errno }),
    };
    let mut names = Vec::new();
    for entry in nix::dir::Dir::from_fd(fd).map_err(list)?.iter() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(errno) if is_gone(errno) => break,
            Err(errno) => return Err(list(errno)),
        };
        let name = entry.file_name();
        if entry.file_type() == Some(nix::dir::Type::Directory) && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
