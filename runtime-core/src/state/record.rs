//! The record of a container.

use crate::cgroup::{CgroupRecord, UnitRecord};
use crate::plan::NamespaceKind;
use crate::resctrl::RdtGroup;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What `create` knew. Written once before the process is made, so that a crash leaves nothing unknown behind, and
/// once when it is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// RFC 3339.
    pub(crate) created: String,
    /// The effective user of the runtime that made it.
    pub(crate) owner: u32,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) cgroup: CgroupRecord,
    /// The unit of systemd whose directory it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<UnitRecord>,
    /// Its group of the resctrl file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rdt: Option<RdtGroup>,
    /// The kinds of namespaces in which it does not share the runtime's, by their names in config.json.
    pub(crate) namespaces: Vec<String>,
    /// Its root is not the root of its mount namespace (`--no-pivot`, or a mount namespace that is not its own).
    pub(crate) chrooted: bool,
    pub(crate) session_keyring: Option<String>,
    /// The agent that the caller named for it, for a config that names none.
    #[serde(default)]
    pub(crate) seccomp_receiver: Option<PathBuf>,
    /// Whether `start` and `delete` owe hooks, for which the config is read again.
    pub(crate) has_poststart: bool,
    pub(crate) has_last_hooks: bool,
    /// `None` until the process is ready.
    pub(crate) init: Option<InitRecord>,
}

/// Which process is the container's init: an id alone could have been used again since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InitRecord {
    pub(crate) pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub(crate) start_time: u64,
}

impl Record {
    pub(crate) fn private_namespaces(&self) -> impl Iterator<Item = NamespaceKind> + '_ {
        NamespaceKind::ALL
            .into_iter()
            .filter(|kind| self.namespaces.iter().any(|name| name == kind.spec_name()))
    }
}
