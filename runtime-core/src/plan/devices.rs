//! Device nodes and the links beside them (runtime-spec config-linux.md, "Devices" and "Default Devices").

use std::ffi::CString;

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
