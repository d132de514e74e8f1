//! The listening `AF_UNIX` sockets of callers (unix(7)): reaching one by its path, and the one that gets a pidfd.

use crate::error::{Error, Result};
use crate::step::Step;
use crate::sys;
use nix::errno::Errno;
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How long a listener may leave others waiting, in seconds.
const CONNECT_WITHIN_S: i64 = 10;

/// Connects; EAGAIN when the listener takes nobody in time; `cannot` begins the sentence about a failure. A path with `@` at
/// its front is the name of an abstract socket, as engines written in Go have it.
pub(crate) fn connect(path: &Path, cannot: &str) -> Result<OwnedFd> {
    connect_to(SockType::Stream, path, cannot)
}

/// The same to a socket of another kind.
pub(crate) fn connect_to(kind: SockType, path: &Path, cannot: &str) -> Result<OwnedFd> {
    let cannot = |call: &'static str| {
        move |errno: Errno| Error::os(format!("{cannot} {}", path.display()), call, errno)
    };
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).map_err(cannot("socket"))?;
    // An address holds 107 bytes of path; a longer one is reached through its directory's fd.
    let directory;
    let name = path.as_os_str().as_bytes().strip_prefix(b"@");
    let address = match name.map_or_else(|| UnixAddr::new(path), UnixAddr::new_abstract) {
        Ok(address) => address,
        Err(errno) if name.is_some() => return Err(cannot("connect")(errno)),
        Err(_) => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            directory = File::open(parent)
                .map_err(|error| Error::io(format!("cannot open {}", parent.display()), "open", &error))?;
            let file = path.file_name().unwrap_or_default();
            let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(file);
            UnixAddr::new(&short).map_err(cannot("connect"))?
        }
    };
    // Whoever listens and never accepts would keep a creation waiting, and its init, which sends over this socket.
    setsockopt(&socket, SendTimeout, &TimeVal::seconds(CONNECT_WITHIN_S)).map_err(cannot("setsockopt"))?;
    nix::sys::socket::connect(socket.as_raw_fd(), &address).map_err(cannot("connect"))?;
    Ok(socket)
}

/// Whose pidfd it is: the message's data, in runc's words, so that one receiver can tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A container's first process.
    Init,
    /// A further one.
    Executed,
}

impl Whose {
    fn word(self) -> &'static [u8] {
        match self {
            Whose::Init => b"standard",
            Whose::Executed => b"setns",
        }
    }
}

/// A connected receiver of a pidfd.
#[derive(Debug)]
pub(crate) struct PidfdSocket(OwnedFd);

impl PidfdSocket {
    /// Before there is a process, so that a receiver who is not there costs nothing.
    pub(crate) fn connect(path: &Path) -> Result<PidfdSocket> {
        let connected = connect(path, "cannot connect to pidfd socket").map(PidfdSocket);
        connected.map_err(|error| error.at(Step::PidfdSocket))
    }

    /// Sends one message with one fd.
    pub(crate) fn send(self, pidfd: BorrowedFd<'_>, whose: Whose) -> Result<()> {
        sys::send_fd(self.0.as_fd(), pidfd, whose.word()).map_err(|failed| {
            Error::os("cannot send the pidfd", failed.call.name(), failed.errno).at(Step::PidfdSocket)
        })
    }
}
