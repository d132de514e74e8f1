//! The few messages of rtnetlink(7) that moving a device takes, over a socket of one network namespace.
//!
//! Written out here because the crates that know all of rtnetlink bring a hundred message types, and a logger, for five.

use crate::sys::{self, Call, Failed, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A socket that talks about the network namespace in which it was made.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

/// A device as the kernel describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) is_up: bool,
}

/// An address to give to a device once more.
#[derive(Debug, Clone)]
pub(super) struct Address {
    family: u8,
    prefix_length: u8,
    /// The attributes that belong to the address and not to its place: `(type, value)`.
    attributes: Vec<(u16, Vec<u8>)>,
}

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
const IFA_F_PERMANENT: u32 = 0x80;
/// Flags that a user sets; the others tell what the kernel found.
const IFA_F_SETTABLE: u32 = IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_NOPREFIXROUTE;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const RT_SCOPE_UNIVERSE: u8 = 0;
const IFF_UP: u32 = 1;

/// A part of a dump is at most this long (netlink(7)).
const LONGEST_ANSWER: usize = 32 * 1024;
/// `struct nlmsghdr`, `struct ifinfomsg`, `struct ifaddrmsg`.
const HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;

impl Netlink {
    /// For the network namespace of the caller.
    pub(super) fn open() -> Result<Netlink> {
        let kind =
            (AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        socket(kind.0, kind.1, kind.2, kind.3).map(Netlink).map_err(Failed::from(Call::Socket))
    }

    /// For another one. A socket stays with the namespace in which it was made, so a thread that ends at once makes it
    /// there, and the caller stays where it is.
    pub(super) fn open_in(namespace: BorrowedFd<'_>) -> Result<Netlink> {
        let made_there = || {
            sys::setns(namespace, libc::CLONE_NEWNET)?;
            Netlink::open()
        };
        std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, made_there) {
            Ok(thread) => thread.join().unwrap_or(Err(Failed::new(Call::Setns, Errno::EIO))),
            Err(error) => {
                Err(Failed::new(Call::Clone3, Errno::from_raw(error.raw_os_error().unwrap_or(libc::EAGAIN))))
            }
        })
    }

    /// RTM_GETLINK: the device of this name; `None` where there is none.
    pub(super) fn link(&self, name: &CStr) -> Result<Option<Link>> {
        let request =
            Message::new(libc::RTM_GETLINK, 0, &[0; LINK_HEADER]).with(IFLA_IFNAME, name.to_bytes_with_nul());
        let mut found = None;
        let asked = self.ask(request, Call::RtmGetlink, |body| {
            let word = |at: usize| {
                body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes)
            };
            if let (Some(index), Some(flags)) = (word(4), word(8)) {
                found = Some(Link { index, is_up: flags & IFF_UP != 0 });
            }
        });
        match asked {
            Err(Failed { errno: Errno::ENODEV, .. }) => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// RTM_GETADDR: the addresses of a device that somebody gave it for good and for everywhere. Those of a lease or of
    /// one link belong to the network that it leaves.
    pub(super) fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        let mut addresses = Vec::new();
        let request = Message::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; ADDRESS_HEADER]);
        self.ask(request, Call::RtmGetaddr, |body| addresses.extend(Address::read(body, index)))?;
        Ok(addresses)
    }

    /// RTM_NEWLINK: moves a device into a namespace and renames it, both or neither.
    pub(super) fn move_link(&self, index: u32, namespace: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let request = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &link_header(index, 0))
            .with(IFLA_IFNAME, name.to_bytes_with_nul())
            .with(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
        self.ask(request, Call::RtmNewlink, |_| {})
    }

    /// RTM_NEWLINK: the device goes up.
    pub(super) fn set_up(&self, index: u32) -> Result<()> {
        let request = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &link_header(index, IFF_UP));
        self.ask(request, Call::RtmNewlink, |_| {})
    }

    /// RTM_NEWADDR. That it is there already is no failure: the device may have come with it.
    pub(super) fn add_address(&self, index: u32, address: &Address) -> Result<()> {
        let index = index.to_ne_bytes();
        let head = [address.family, address.prefix_length, 0, RT_SCOPE_UNIVERSE];
        let header = [head, index].concat();
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let request = Message::new(libc::RTM_NEWADDR, flags, &header);
        let request =
            address.attributes.iter().fold(request, |request, (kind, value)| request.with(*kind, value));
        self.ask(request, Call::RtmNewaddr, |_| {})
    }

    /// Sends a request, and hands over the body of each message that answers it.
    fn ask(&self, request: Message, call: Call, mut each: impl FnMut(&[u8])) -> Result<()> {
        let failed = |errno: Errno| Failed::new(call, errno);
        let is_dump = request.is_dump();
        let wants_ack = request.wants_ack();
        let fd = self.0.as_raw_fd();
        send(fd, &request.finished(), MsgFlags::empty()).map_err(failed)?;
        let mut buffer = vec![0; LONGEST_ANSWER];
        loop {
            let length = match recv(fd, &mut buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            let mut rest = &buffer[..length];
            while let Some((kind, body, after)) = next_message(rest) {
                rest = after;
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => {
                        let number =
                            body.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
                        return match number {
                            Some(0) => Ok(()),
                            number => Err(failed(Errno::from_raw(-number.unwrap_or(-libc::EIO)))),
                        };
                    }
                    _ => each(body),
                }
            }
            if !is_dump && !wants_ack {
                return Ok(());
            }
        }
    }
}

fn link_header(index: u32, flags: u32) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    // Which of the flags are meant.
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

impl Address {
    /// From the body of an RTM_NEWADDR, if it is one of this device's that is to be kept.
    fn read(body: &[u8], index: u32) -> Option<Address> {
        let header = body.get(..ADDRESS_HEADER)?;
        let &[family, prefix_length, flags, scope, ..] = header else { return None };
        let its_index = u32::from_ne_bytes(header.get(4..8)?.try_into().ok()?);
        let mut flags = u32::from(flags);
        let mut attributes = Vec::new();
        let mut rest = body.get(ADDRESS_HEADER..)?;
        while let Some((kind, value, after)) = next_attribute(rest) {
            rest = after;
            match kind {
                IFA_FLAGS => flags = u32::from_ne_bytes(value.get(..4)?.try_into().ok()?),
                IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST | IFA_RT_PRIORITY => {
                    attributes.push((kind, value.to_vec()))
                }
                _ => {}
            }
        }
        attributes.push((IFA_FLAGS, (flags & IFA_F_SETTABLE).to_ne_bytes().to_vec()));
        let is_kept = its_index == index && scope == RT_SCOPE_UNIVERSE && flags & IFA_F_PERMANENT != 0;
        is_kept.then_some(Address { family, prefix_length, attributes })
    }
}

/// A request that is being written.
#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    flags: i32,
}

impl Message {
    fn new(kind: u16, flags: i32, header: &[u8]) -> Message {
        let flags = flags | libc::NLM_F_REQUEST;
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        // All flags are among the lower 16 bits; number and sender stay 0: one request is under way at a time.
        bytes.extend(u16::try_from(flags).unwrap_or(0).to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(header);
        Message { bytes, flags }
    }

    fn with(mut self, kind: u16, value: &[u8]) -> Message {
        // A name, an address or a number: never long.
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    fn is_dump(&self) -> bool {
        self.flags & libc::NLM_F_DUMP == libc::NLM_F_DUMP
    }

    fn wants_ack(&self) -> bool {
        self.flags & libc::NLM_F_ACK != 0
    }

    fn finished(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }
}

/// Messages and attributes start at multiples of four.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The type and the body of the first message, and what follows it.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(aligned(length)..).unwrap_or(&[])))
}

/// The type and the value of the first attribute, and what follows it.
fn next_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
    let value = bytes.get(4..length)?;
    Some((kind, value, bytes.get(aligned(length)..).unwrap_or(&[])))
}

/// Takes an answer apart as [`Netlink::addresses`] does.
#[cfg(feature = "fuzzing")]
pub(super) fn read_anything(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((_, body, after)) = next_message(rest) {
        assert!(after.len() < rest.len(), "every message takes us further");
        rest = after;
        let _ = Address::read(body, 1);
    }
}
