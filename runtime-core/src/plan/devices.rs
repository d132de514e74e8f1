//! Device nodes and the links beside them (runtime-spec config-linux.md, "Devices" and "Default Devices").

use super::mounts::clean;
use super::problems::{Pointer, Problems};
use super::{NamespaceKind, NamespacePlan};
use crate::host::Host;
use crate::spec::{LinuxDevice, LinuxDeviceType, Mount};
use std::ffi::CString;
use std::path::Path;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// Absolute, inside the container, for example `/dev/null`.
    pub path: CString,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, with the permission bits.
    pub mode: u32,
    /// Major number; 0 for a fifo.
    pub major: u32,
    /// Minor number; 0 for a fifo.
    pub minor: u32,
    /// Owner inside the container.
    pub uid: u32,
    /// Group inside the container.
    pub gid: u32,
    /// Index in `/linux/devices`; `None` for a default device.
    pub item: Option<u32>,
}

/// A symbolic link in `/dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLink {
    /// Absolute, inside the container, for example `/dev/fd`.
    pub path: CString,
    /// What the link says, for example `/proc/self/fd`.
    pub text: CString,
}

/// The content of `/dev`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevicePlan {
    /// Default nodes first, listed ones after; a listed node replaces the default of the same path.
    /// Empty when `/dev` is a bind mount of the host's.
    pub nodes: Vec<DeviceNode>,
    /// Nodes cannot be made inside a user namespace: the host's are bound in place of them.
    pub bind: bool,
    /// `fd`, `stdin`, `stdout`, `stderr`, `ptmx`, `core`.
    pub links: Vec<DeviceLink>,
}

/// Path, major and minor number of what every container has; all may be used by everyone.
const DEFAULT_NODES: [(&std::ffi::CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/zero", 1, 5),
    (c"/dev/full", 1, 7),
    (c"/dev/random", 1, 8),
    (c"/dev/urandom", 1, 9),
    (c"/dev/tty", 5, 0),
];

/// Read and write for all: what a device without `fileMode` gets.
const DEFAULT_MODE: u32 = 0o666;

/// The largest numbers that a device can have (`MINORBITS`, linux/kdev_t.h).
const MAJOR_MAX: i64 = (1 << 12) - 1;
const MINOR_MAX: i64 = (1 << 20) - 1;

/// `/linux/devices`, and what is there without being listed.
pub(super) fn plan(
    listed: &[LinuxDevice],
    mounts: &[Mount],
    namespaces: &NamespacePlan,
    host: &Host,
    problems: &mut Problems,
) -> DevicePlan {
    if !namespaces.is_new(NamespaceKind::Mount) {
        // The directory is somebody else's: what is in its `/dev` is what there is.
        return DevicePlan::default();
    }
    let bind = namespaces.is_private(NamespaceKind::User) || host.in_user_namespace;
    let linux = Pointer::ROOT.key("linux");
    let list = linux.key("devices");
    let mut nodes: Vec<DeviceNode> = Vec::with_capacity(DEFAULT_NODES.len() + listed.len());
    for (path, major, minor) in DEFAULT_NODES {
        let mode = libc::S_IFCHR | DEFAULT_MODE;
        nodes.push(DeviceNode { path: path.to_owned(), mode, major, minor, uid: 0, gid: 0, item: None });
    }
    for (index, device) in listed.iter().enumerate() {
        let Some(node) = node(index, device, &list.item(index), namespaces, bind, problems) else { continue };
        match nodes.iter().position(|other| other.path == node.path) {
            None => nodes.push(node),
            Some(other) => {
                if nodes[other].item.is_some() && !same_device(&nodes[other], &node) {
                    problems
                        .add(&list.item(index).key("path"), "another device of this list has the same path");
                }
                nodes[other] = node;
            }
        }
    }
    // What replaced a default stands in its place; listed ones come after all defaults.
    nodes.sort_by_key(|node| node.item);
    if dev_is_bound(mounts) {
        return DevicePlan { nodes: Vec::new(), bind, links: Vec::new() };
    }
    DevicePlan { nodes, bind, links: links(host) }
}

fn same_device(one: &DeviceNode, other: &DeviceNode) -> bool {
    (one.mode & libc::S_IFMT, one.major, one.minor) == (other.mode & libc::S_IFMT, other.major, other.minor)
}

/// A `/dev` of the host's is complete, and not for a container to change.
fn dev_is_bound(mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| {
        let options = mount.options().as_deref().unwrap_or_default();
        clean(mount.destination()) == Path::new("/dev")
            && options.iter().any(|option| option == "bind" || option == "rbind")
    })
}

fn node(
    index: usize,
    device: &LinuxDevice,
    place: &Pointer<'_>,
    namespaces: &NamespacePlan,
    bind: bool,
    problems: &mut Problems,
) -> Option<DeviceNode> {
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => {
            problems.add(&place.key("type"), "invalid device type \"a\": a node is one of c, u, b, p");
            return None;
        }
    };
    let path = device.path();
    if !path.is_absolute() {
        problems.add(&place.key("path"), format!("must be an absolute path in the container, not {path:?}"));
        return None;
    }
    let path = clean(path);
    if path == Path::new("/dev/ptmx") {
        // Always the link to the container's own devpts: the host's would hand out the host's terminals.
        return None;
    }
    let is_fifo = kind == libc::S_IFIFO;
    let mut number = |key: &str, value: i64, max: i64| match u32::try_from(value) {
        Ok(_) if is_fifo => 0,
        Ok(number) if value <= max => number,
        _ => {
            problems.add(&place.key(key), format!("{value} is no device number: 0 to {max}"));
            0
        }
    };
    let major = number("major", device.major(), MAJOR_MAX);
    let minor = number("minor", device.minor(), MINOR_MAX);
    let (uid, gid) = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
    if !bind {
        namespaces.check_uid(uid, &place.key("uid"), problems);
        namespaces.check_gid(gid, &place.key("gid"), problems);
    }
    Some(DeviceNode {
        path: problems.path(&place.key("path"), &path),
        mode: kind | device.file_mode().unwrap_or(DEFAULT_MODE) & 0o7777,
        major,
        minor,
        uid,
        gid,
        item: Some(u32::try_from(index).unwrap_or(u32::MAX)),
    })
}

fn links(host: &Host) -> Vec<DeviceLink> {
    let always = [
        (c"/dev/fd", c"/proc/self/fd"),
        (c"/dev/stdin", c"/proc/self/fd/0"),
        (c"/dev/stdout", c"/proc/self/fd/1"),
        (c"/dev/stderr", c"/proc/self/fd/2"),
        (c"/dev/ptmx", c"pts/ptmx"),
    ];
    let core = host.has_kcore.then_some((c"/dev/core", c"/proc/kcore"));
    always
        .into_iter()
        .chain(core)
        .map(|(path, text)| DeviceLink { path: path.to_owned(), text: text.to_owned() })
        .collect()
}
