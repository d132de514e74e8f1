//! Passing an fd over a connected socket, without nix's allocating control buffer.

use super::{Call, Result, check};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A cmsghdr and one fd, aligned as a cmsghdr.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: i32,
}

/// `sendmsg(socket, {data, SCM_RIGHTS fd}, MSG_NOSIGNAL)`, sendmsg(2), unix(7).
pub(crate) fn send_fd(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>, data: &[u8]) -> Result<()> {
    let mut control = Control {
        header: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<i32>(),
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        fd: fd.as_raw_fd(),
    };
    let mut part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: a msghdr is plain pointers and numbers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: all pointers lead to locals that outlive the call; the kernel only reads them.
    let value = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    check(Call::Sendmsg, i64::try_from(value).unwrap_or(-1)).map(drop)
}

/// `recvmsg(socket, {data, one fd}, MSG_CMSG_CLOEXEC)`, recvmsg(2), unix(7): how many bytes came, and the fd if one
/// did. The kernel closes further ones, for which there is no room.
pub(crate) fn receive_fd(socket: BorrowedFd<'_>, data: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    // SAFETY: both structures are plain pointers and numbers, for which zero is a value.
    let (mut control, mut message): (Control, libc::msghdr) = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: all pointers lead to locals, or to `data`, that outlive the call and are as long as the kernel is told.
    let value = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let length = check(Call::Recvmsg, i64::try_from(value).unwrap_or(-1))?;
    let has_fd = control.header.cmsg_level == libc::SOL_SOCKET
        && control.header.cmsg_type == libc::SCM_RIGHTS
        && control.header.cmsg_len == size_of::<libc::cmsghdr>() + size_of::<i32>();
    let fd = has_fd.then(|| super::files::owned(control.fd.into()));
    Ok((usize::try_from(length).unwrap_or(0), fd))
}

/// Brings the loopback device of this network namespace up; `ioctl(socket, SIOCSIFFLAGS, &{"lo", IFF_UP})`,
/// netdevice(7). The kernel gives it its addresses.
pub(crate) fn bring_up_loopback() -> Result<()> {
    // SAFETY: numbers only.
    let socket = check(
        Call::Socket,
        i64::from(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }),
    )
    .map(super::files::owned)?;
    // SAFETY: an ifreq is plain numbers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (room, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        // A char is signed on x86_64 and unsigned on aarch64; both letters are ASCII.
        *room = libc::c_char::try_from(*byte).unwrap_or_default();
    }
    request.ifr_ifru.ifru_flags = IFF_UP;
    // SAFETY: the kernel reads an ifreq.
    check(
        Call::Ioctl,
        i64::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }),
    )
    .map(drop)
}

/// `IFF_UP`, which fits the field's 16 bits.
const IFF_UP: libc::c_short = 1;
