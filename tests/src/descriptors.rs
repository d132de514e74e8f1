//! Open files that a runtime sends: the socket that receives them.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::Stop;

/// How long whatever is awaited may stay silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// A listening socket that gets one descriptor a connection.
#[derive(Debug)]
pub struct DescriptorSocket {
    /// Where it listens.
    pub path: PathBuf,
    listener: UnixListener,
}

impl DescriptorSocket {
    /// Listens as `name` in `directory`.
    pub fn listen(directory: &Path, name: &str) -> Result<DescriptorSocket, Stop> {
        let path = directory.join(name);
        let listener = UnixListener::bind(&path)?;
        Ok(DescriptorSocket { path, listener })
    }

    /// Receives the one descriptor, and the text that came with it.
    pub fn receive(&self) -> Result<(OwnedFd, String), Stop> {
        readable(&self.listener)?;
        receive(&self.listener.accept()?.0)
    }
}

/// Receives one descriptor, and the text that comes with it.
pub(crate) fn receive(stream: &UnixStream) -> Result<(OwnedFd, String), Stop> {
    readable(&stream)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 4096];
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    assert_eq!(fds.len(), 1, "descriptors that came over the socket");
    let fd = fds.pop().ok_or_else(|| Stop::Failed("no descriptor came".into()))?;
    Ok((fd, String::from_utf8_lossy(&text[..received.bytes]).into_owned()))
}

/// Waits until there is something to read, or to accept.
pub(crate) fn readable(fd: &impl AsFd) -> Result<(), Stop> {
    let timeout = PollTimeout::try_from(SILENCE).unwrap_or(PollTimeout::NONE);
    match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout)? {
        0 => Err(Stop::Failed(format!("nothing came over a terminal or a socket within {SILENCE:?}"))),
        _ => Ok(()),
    }
}
