//! Network devices of the host that move into the container's network namespace
//! (runtime-spec config-linux.md, "Network Devices").
//!
//! The kernel takes a device's addresses away when it moves, so they are given to it again on the other side, and it goes
//! up there. From then on it is the namespace's: with that it ends, or comes back if there is hardware behind it. Only a
//! creation that fails brings it back itself.

#![forbid(unsafe_code)]

mod netlink;

use crate::error::{Error, Result};
use crate::plan::{NetDevicePlan, Step};
use crate::sys::{self, Call, Failed};
use netlink::{Address, Link, Netlink};
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// A device in a container that is being made.
#[derive(Debug)]
pub(crate) struct MovedDevice {
    /// What it was called outside.
    name: CString,
    /// What it is called inside.
    inside: CString,
    was_up: bool,
    addresses: Vec<Address>,
}

/// The two namespaces between which devices move.
#[derive(Debug)]
pub(crate) struct Crossing {
    outside: Netlink,
    inside: Netlink,
    outer_namespace: File,
    inner_namespace: File,
    moved: Vec<MovedDevice>,
}

impl Crossing {
    /// From the caller's network namespace to the one of this path.
    pub(crate) fn open(namespace: &Path) -> Result<Crossing> {
        let file = |path: &Path| {
            File::open(path).map_err(|error| {
                Error::io(format!("cannot open the network namespace {}", path.display()), "open", &error)
            })
        };
        let inner_namespace = file(namespace)?;
        let cannot = |failed: Failed| {
            let message = "cannot reach the container's network namespace (/linux/netDevices)";
            Error::os(message, failed.call.name(), failed.errno)
        };
        Ok(Crossing {
            outside: Netlink::open().map_err(cannot)?,
            inside: Netlink::open_in(inner_namespace.as_fd()).map_err(cannot)?,
            outer_namespace: file(Path::new("/proc/thread-self/ns/net"))?,
            inner_namespace,
            moved: Vec::new(),
        })
    }

    /// Moves a device inside, with its addresses, and sets it up.
    pub(crate) fn carry(&mut self, device: &NetDevicePlan) -> Result<()> {
        let name = device.name.to_string_lossy();
        let cannot = |what: String| move |failed| failure(device, &what, failed);
        let Link { index, is_up } = self
            .outside
            .link(&device.name)
            .and_then(|link| link.ok_or(Failed::new(Call::RtmGetlink, Errno::ENODEV)))
            .map_err(cannot(format!("link not found for interface {name} on runtime namespace")))?;
        // Before it moves, since a device that goes down loses some.
        let addresses = self
            .outside
            .addresses(index)
            .map_err(cannot(format!("cannot read the addresses of network device {name}")))?;
        let inside = self.free_name(&device.inside).map_err(cannot(format!(
            "cannot name network device {name} {} in the container",
            device.inside.to_string_lossy()
        )))?;
        let shown = inside.to_string_lossy().into_owned();
        let went = self.outside.move_link(index, self.inner_namespace.as_fd(), &inside);
        let mut moved = MovedDevice { name: device.name.clone(), inside, was_up: is_up, addresses };
        if let Err(failed) = went {
            // The kernel moves first and renames then.
            if matches!(self.outside.link(&device.name), Ok(None)) {
                moved.inside.clone_from(&device.name);
                self.moved.push(moved);
            }
            return Err(cannot(format!("cannot move network device {name} into the container as {shown}"))(
                failed,
            ));
        }
        self.moved.push(moved);
        let Some(moved) = self.moved.last() else { return Ok(()) };
        settle(&self.inside, &moved.inside, &moved.addresses, true)
            .map_err(cannot(format!("cannot set up network device {shown} in the container")))
    }

    /// The name inside, which nothing may have yet. One that ends with `%d` stands for the first that is free.
    fn free_name(&self, name: &CStr) -> sys::Result<CString> {
        let Some(stem) = name.to_bytes().strip_suffix(b"%d") else {
            return match self.inside.link(name)? {
                None => Ok(name.to_owned()),
                Some(_) => Err(Failed::new(Call::RtmGetlink, Errno::EEXIST)),
            };
        };
        let mut number = 0u32;
        loop {
            let candidate = [stem, number.to_string().as_bytes()].concat();
            let candidate = CString::new(candidate).unwrap_or_default();
            if self.inside.link(&candidate)?.is_none() {
                return Ok(candidate);
            }
            number += 1;
        }
    }

    /// Brings all devices back, as they were. What fails now cannot be helped.
    pub(crate) fn undo(self) {
        for device in self.moved.iter().rev() {
            let Ok(Some(link)) = self.inside.link(&device.inside) else { continue };
            let back = self.inside.move_link(link.index, self.outer_namespace.as_fd(), &device.name);
            if back.is_ok() {
                let _ = settle(&self.outside, &device.name, &device.addresses, device.was_up);
            }
        }
    }
}

fn failure(device: &NetDevicePlan, what: &str, failed: Failed) -> Error {
    let what = format!("{what} ({})", device.pointer());
    let error = Error::os(what, failed.call.name(), failed.errno).at(Step::NetDevice);
    match failed.errno {
        Errno::EEXIST => error.with_hint("a device of that name is there already; give another name"),
        Errno::EINVAL | Errno::EOPNOTSUPP => {
            error.with_hint("not every device can leave its namespace (ip -d link shows netns-immutable)")
        }
        _ => error,
    }
}

/// Gives a device that has just come its addresses, and sets it up. Its number may be another one here.
fn settle(there: &Netlink, name: &CStr, addresses: &[Address], up: bool) -> sys::Result<()> {
    let link = there.link(name)?.ok_or(Failed::new(Call::RtmGetlink, Errno::ENODEV))?;
    addresses.iter().try_for_each(|address| there.add_address(link.index, address))?;
    if up { there.set_up(link.index) } else { Ok(()) }
}

/// Reads an answer of the kernel as if it were about addresses.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_anything(bytes: &[u8]) {
    netlink::read_anything(bytes);
}
