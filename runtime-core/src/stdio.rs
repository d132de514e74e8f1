//! Preparing stdio and the console socket for a new process, in the runtime.

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Console, Stdio};
use crate::socket;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair,
};
use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// The fds to become stdio, numbered 3 or more, so that putting one into its place cannot overwrite another.
#[derive(Debug)]
pub(crate) struct PreparedStdio(Option<[OwnedFd; 3]>);

impl PreparedStdio {
    pub(crate) fn new(stdio: &Stdio) -> Result<PreparedStdio> {
        let high = |fd: &dyn AsFd| -> Result<OwnedFd> {
            let number = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(3))
                .map_err(|errno| Error::os("cannot duplicate stdio", "fcntl", errno))?;
            Ok(crate::sys::adopt(number))
        };
        match stdio {
            Stdio::Inherit => Ok(PreparedStdio(None)),
            Stdio::Null => {
                let null = File::options()
                    .read(true)
                    .write(true)
                    .open("/dev/null")
                    .map_err(|error| Error::io("cannot open /dev/null", "open", &error))?;
                Ok(PreparedStdio(Some([high(&null)?, high(&null)?, high(&null)?])))
            }
            Stdio::Fds(fds) => {
                let [input, output, error] = fds.as_ref();
                Ok(PreparedStdio(Some([high(input)?, high(output)?, high(error)?])))
            }
        }
    }

    pub(crate) fn numbers(&self) -> Option<[RawFd; 3]> {
        self.0.as_ref().map(|fds| fds.each_ref().map(|fd| fd.as_raw_fd()))
    }
}

/// The ends of the socket over which the terminal's master travels.
#[derive(Debug)]
pub(crate) struct PreparedConsole {
    /// For the new process.
    pub(crate) child: OwnedFd,
    /// Where the master arrives, if it comes back to the caller.
    parent: Option<OwnedFd>,
}

impl PreparedConsole {
    pub(crate) fn new(console: &Console) -> Result<PreparedConsole> {
        match console {
            Console::Return => {
                let (parent, child) =
                    socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
                        .map_err(|errno| Error::os("cannot make a console socket", "socketpair", errno))?;
                Ok(PreparedConsole { child, parent: Some(parent) })
            }
            Console::Socket(path) => Ok(PreparedConsole {
                child: socket::connect(path, "cannot connect to console socket")?,
                parent: None,
            }),
        }
    }

    /// The master, once the new process has sent it.
    pub(crate) fn receive(self) -> Result<Option<OwnedFd>> {
        let Some(parent) = self.parent else { return Ok(None) };
        drop(self.child);
        let mut data = [0u8; 64];
        let mut parts = [IoSliceMut::new(&mut data)];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let message =
            recvmsg::<()>(parent.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
                .map_err(|errno| Error::os("cannot receive the terminal", "recvmsg", errno))?;
        let messages =
            message.cmsgs().map_err(|errno| Error::os("cannot receive the terminal", "recvmsg", errno))?;
        for message in messages {
            if let ControlMessageOwned::ScmRights(fds) = message
                && let Some(&fd) = fds.first()
            {
                return Ok(Some(crate::sys::adopt(fd)));
            }
        }
        Err(Error::new(ErrorKind::System, "the new process sent no terminal"))
    }
}
