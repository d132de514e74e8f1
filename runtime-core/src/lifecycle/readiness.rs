//! Readiness: a container tells the service manager that started its runtime when it is ready (sd_notify(3)).
//!
//! The manager's socket stays on the host. The container gets one of its own, in a directory of the state directory that
//! is mounted into it; what comes over it is the word of whoever runs in there, so one message is believed, READY=1, and
//! nothing else of it reaches the manager: it could name another main process, or hand in files.
//!
//! Order: `create` makes the directory, [`Container::readiness`] the socket before `start`, so that no word is lost.

use crate::bundle::Bundle;
use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::socket;
use crate::spec::{MountBuilder, Process, Spec};
use crate::state::{NOTIFY, StateDirectory};
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, recv, send, socket as new_socket,
};
use std::fs::{self, DirBuilder, File, Permissions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// In its directory in the state directory.
const SOCKET: &str = "notify.sock";
/// In the container, as runc has it.
const INSIDE: &str = "/run/notify";

/// How long the manager may take to say that it has seen everything, in milliseconds.
const BARRIER_WITHIN_MS: u16 = 30_000;

/// The bundle as it is with a socket in the container.
pub(super) fn offer(bundle: &Bundle, state_directory: &Path) -> Bundle {
    bundle.changed(|spec: &mut Spec| {
        let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned);
        let mount = MountBuilder::default()
            .destination(INSIDE)
            .source(state_directory.join(NOTIFY))
            .options(options)
            .build();
        let mut mounts = spec.mounts().clone().unwrap_or_default();
        mounts.extend(mount);
        spec.set_mounts(Some(mounts));
        let change = |process: &mut Process| {
            let mut env = process.env().clone().unwrap_or_default();
            env.push(format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}"));
            process.set_env(Some(env));
        };
        spec.process_mut().as_mut().map(change);
    })
}

/// Makes the directory, which is mounted into the container and holds nothing yet.
pub(super) fn make_directory(directory: &StateDirectory) -> Result<()> {
    let path = directory.path().join(NOTIFY);
    DirBuilder::new()
        .mode(0o755)
        .create(&path)
        .map_err(|error| Error::io(format!("cannot make {}", path.display()), "mkdir", &error))
}

/// Waits for a container to say that it is ready, and tells the service manager.
#[derive(Debug)]
pub struct Readiness {
    inside: OwnedFd,
    manager: OwnedFd,
}

pub(crate) fn listen(container: &Container, manager: &Path) -> Result<Readiness> {
    let manager = socket::connect_to(SockType::Datagram, manager, "cannot connect to NOTIFY_SOCKET")?;
    let path = container.directory().path().join(NOTIFY);
    let directory = File::open(&path).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => {
            let sentence = format!("container {} was created without a NOTIFY_SOCKET", container.id());
            Error::new(ErrorKind::InvalidState, sentence)
        }
        _ => Error::io(format!("cannot open {}", path.display()), "open", &error),
    })?;
    // By the directory's fd, since an address holds only 107 bytes of path.
    let name = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(SOCKET);
    let cannot = |call: &'static str| {
        move |errno: Errno| Error::os("cannot listen for the container's readiness", call, errno)
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let inside =
        new_socket(AddressFamily::Unix, SockType::Datagram, flags, None).map_err(cannot("socket"))?;
    // One that an earlier start has left.
    let _ = fs::remove_file(&name);
    let address = UnixAddr::new(&name).map_err(cannot("bind"))?;
    bind(inside.as_raw_fd(), &address).map_err(cannot("bind"))?;
    // For every user of the container.
    fs::set_permissions(&name, Permissions::from_mode(0o777))
        .map_err(|error| Error::io("cannot open the readiness socket to all", "chmod", &error))?;
    Ok(Readiness { inside, manager })
}

impl Readiness {
    /// Takes in what the container has said; true once it has said that it is ready. Never waits.
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System) when the socket cannot be read.
    pub fn is_ready(&self) -> Result<bool> {
        let mut message = [0; 4096];
        loop {
            match recv(self.inside.as_raw_fd(), &mut message, MsgFlags::empty()) {
                Ok(length) => {
                    let mut lines = message[..length].split(|byte| *byte == b'\n');
                    if lines.any(|line| line == b"READY=1") {
                        return Ok(true);
                    }
                }
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    return Err(Error::os("cannot hear of the container's readiness", "recv", errno));
                }
            }
        }
    }

    /// Waits until the container is ready (true), or until its init has ended.
    ///
    /// # Errors
    /// As [`is_ready`](Readiness::is_ready).
    pub fn wait(&self, container: &Container) -> Result<bool> {
        let Some(init) = container.status()?.1 else { return self.is_ready() };
        loop {
            let mut fds = [
                PollFd::new(self.inside.as_fd(), PollFlags::POLLIN),
                PollFd::new(init.pidfd.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::os("cannot wait for the container", "poll", errno)),
            }
            let ended = fds[1].any().unwrap_or(true);
            // What was said before the end is heard before the end is seen.
            if self.is_ready()? {
                return Ok(true);
            }
            if ended {
                return Ok(false);
            }
        }
    }

    /// Tells the manager: ready, and `main_pid` is the process to look at.
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System) when the manager has gone.
    pub fn tell(&self, main_pid: i32) -> Result<()> {
        let message = format!("READY=1\nMAINPID={main_pid}\n");
        send(self.manager.as_raw_fd(), message.as_bytes(), MsgFlags::MSG_NOSIGNAL)
            .map(drop)
            .map_err(|errno| Error::os("cannot tell NOTIFY_SOCKET", "send", errno))
    }

    /// Waits until the manager has seen what it was told, for a caller who ends then: once a process has gone, a manager
    /// cannot say whose message it was (sd_notify_barrier(3)). False when it does not say so within 30 seconds.
    ///
    /// # Errors
    /// As [`tell`](Readiness::tell).
    pub fn barrier(&self) -> Result<bool> {
        let cannot =
            |call: &'static str| move |errno| Error::os("cannot wait for NOTIFY_SOCKET", call, errno);
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(cannot("pipe2"))?;
        sys::send_fd(self.manager.as_fd(), writer.as_fd(), b"BARRIER=1")
            .map_err(|failed| cannot(failed.call.name())(failed.errno))?;
        drop(writer);
        let mut closed = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut closed, PollTimeout::from(BARRIER_WITHIN_MS)) {
                Ok(count) => return Ok(count == 1),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(cannot("poll")(errno)),
            }
        }
    }
}

/// Readable when the container has said something.
impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inside.as_fd()
    }
}
