//! The file system: the rootfs and what is mounted into it, in order (runtime-spec config.md, "Mounts").
//!
//! What a config calls one mount may take several steps here (the cgroup hierarchies of a v1 or hybrid host, for
//! example): they are spelled out in the plan, so that the child has no decisions to make.

use std::ffi::CString;

/// The container's root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootfsPlan {
    /// Absolute path on the host.
    pub path: CString,
    /// Whether it ends up read-only.
    pub readonly: bool,
    /// Propagation of the root mount at the end (`MS_SHARED`, `MS_SLAVE`, … with `MS_REC`); 0 to leave it.
    pub propagation: u64,
    /// `chroot` in place of pivot_root(2) (`--no-pivot`), for a root on the initial ramfs.
    pub no_pivot: bool,
}

/// Attributes for mount_setattr(2), as `MOUNT_ATTR_*` bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttributes {
    /// Bits to set. An access-time mode stands here together with `MOUNT_ATTR__ATIME` in `clear`.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
}

impl MountAttributes {
    /// Nothing to change.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }
}

/// A key for fsconfig(2): a flag when there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// For example `size`.
    pub key: CString,
    /// For example `65536k`.
    pub value: Option<CString>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A file or directory of the host; opened as a detached copy before the container exists.
    Bind {
        /// Absolute path on the host.
        path: CString,
        /// With everything mounted below it (`rbind`).
        recursive: bool,
    },
    /// A new instance of a file system.
    Filesystem {
        /// Its type, for fsopen(2).
        fstype: CString,
        /// Its source, as mount(8) shows it.
        source: CString,
        /// Its parameters, superblock flags (`ro`, `sync`, …) included.
        parameters: Vec<Parameter>,
        /// Copy what the rootfs has at the target into it (`tmpcopyup`).
        copy_up: bool,
    },
    /// Not a mount: a symbolic link inside one that was made before (the `cpu` and `cpuacct` of cgroup v1).
    Symlink {
        /// What the link says.
        text: CString,
    },
    /// Change the attributes of what is mounted at the target already (`remount`).
    Existing,
}

/// One step of filling the rootfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPlan {
    /// Its index in `/mounts`.
    pub item: u32,
    /// Absolute, inside the container. It is resolved in the rootfs and never leaves it.
    pub target: CString,
    /// What.
    pub source: MountSource,
    /// Attributes of this mount.
    pub attributes: MountAttributes,
    /// Attributes of this mount and all below (`rro`, `rnosuid`, …).
    pub recursive_attributes: MountAttributes,
    /// Propagation types to set in turn (`MS_PRIVATE`, `MS_SLAVE | MS_REC`, …).
    pub propagation: Vec<u64>,
    /// Read-only, but only once everything is in place, since later steps still create entries in it.
    pub seal_readonly: bool,
}

/// What is hidden or made read-only after all mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskPlan {
    /// `/linux/readonlyPaths`.
    pub readonly: Vec<CString>,
    /// `/linux/maskedPaths`.
    pub masked: Vec<CString>,
}
