//! The root file system, and what is hidden in it after all mounts (runtime-spec config.md, "Root";
//! config-linux.md, "Rootfs Mount Propagation", "Masked Paths", "Readonly Paths").

use super::mount_options::{self, Parameter};
use super::mounts::clean;
use super::problems::{Pointer, Problems};
use crate::spec;
use std::collections::HashSet;
use std::ffi::CString;
use std::path::Path;

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
    /// Who opens it, and the bind sources: the runtime, with its privileges, or, where it has none, the new process,
    /// as the caller still, but with every capability in its namespaces.
    pub opened_inside: bool,
}

/// What is hidden or made read-only after all mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskPlan {
    /// `/linux/readonlyPaths`.
    pub readonly: Vec<CString>,
    /// `/linux/maskedPaths`, each with its index there, without those that stood there before.
    pub masked: Vec<(u32, CString)>,
    /// The label of the file system that covers masked directories.
    pub label: Option<Parameter>,
}

/// The rootfs, from `/root` and `/linux/rootfsPropagation`.
pub(super) fn plan(
    spec: &spec::Spec,
    bundle: &Path,
    opened_inside: bool,
    no_pivot: bool,
    problems: &mut Problems,
) -> RootfsPlan {
    let place = Pointer::ROOT.key("root");
    let (path, readonly) = match spec.root() {
        Some(root) if !root.path().as_os_str().is_empty() => {
            let path = clean(&bundle.join(root.path()));
            (problems.path(&place.key("path"), &path), root.readonly().unwrap_or(false))
        }
        Some(_) => {
            problems.add(
                &place.key("path"),
                "is empty: it must be the path of the root file system, absolute or from the bundle",
            );
            (CString::default(), false)
        }
        None => {
            problems.add(&place, "root must be specified: {\"path\": \"rootfs\"}");
            (CString::default(), false)
        }
    };
    let linux = Pointer::ROOT.key("linux");
    let place = linux.key("rootfsPropagation");
    let name = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or("");
    let propagation = match mount_options::propagation(name) {
        _ if name.is_empty() => 0,
        Some(flags) if no_pivot && flags & libc::MS_PRIVATE != 0 => {
            problems.add(&place, "rootfsPropagation of [r]private is not safe without pivot_root");
            0
        }
        Some(flags) => flags,
        None => {
            problems.add(
                &place,
                format!(
                    "rootfsPropagation={name} is not supported; it is one of shared, slave, private, unbindable, \
                     each also with an r before it"
                ),
            );
            0
        }
    };
    RootfsPlan { path, readonly, propagation, no_pivot, opened_inside }
}

/// `/linux/maskedPaths` and `/linux/readonlyPaths`.
pub(super) fn plan_masks(
    linux: &spec::Linux,
    label: Option<&Parameter>,
    problems: &mut Problems,
) -> MaskPlan {
    let place = Pointer::ROOT.key("linux");
    let mut absolute = |key: &str, list: &Option<Vec<String>>| {
        let place = place.key(key);
        let list = list.as_deref().unwrap_or_default().iter().enumerate();
        list.map(|(index, path)| {
            if !path.starts_with('/') {
                problems
                    .add(&place.item(index), format!("{path:?} must be an absolute path in the container"));
            }
            problems.text(&place.item(index), path.as_str())
        })
        .collect::<Vec<CString>>()
    };
    let readonly = absolute("readonlyPaths", linux.readonly_paths());
    let mut masked: Vec<(u32, CString)> = (0..).zip(absolute("maskedPaths", linux.masked_paths())).collect();
    // Once is enough, and engines name some paths twice.
    let mut seen = HashSet::new();
    masked.retain(|(_, path)| seen.insert(path.clone()));
    MaskPlan { readonly, masked, label: label.cloned() }
}
