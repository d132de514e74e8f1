//! A container whose mounts are somebody else's: its mount namespace is inherited, or joined by path.
//!
//! Its root is then only a directory to change into. Whatever would mount something, or make files for it, would do
//! that to the owner of the namespace, so it is refused by name.

use super::namespaces::{NamespaceKind, NamespacePlan};
use super::problems::{Pointer, Problems};
use crate::spec::{Linux, Spec};

const MESSAGE: &str = "changes mounts, and the mount namespace is not the container's own: add {\"type\": \"mount\"} to /linux/namespaces";

pub(super) fn check(spec: &Spec, linux: &Linux, namespaces: &NamespacePlan, problems: &mut Problems) {
    if namespaces.is_new(NamespaceKind::Mount) {
        return;
    }
    let root = Pointer::ROOT.key("root");
    let section = Pointer::ROOT.key("linux");
    let filled = |list: Option<usize>| list.is_some_and(|length| length > 0);
    let readonly = spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false);
    let wishes = [
        (readonly, root.key("readonly")),
        (filled(spec.mounts().as_ref().map(Vec::len)), Pointer::ROOT.key("mounts")),
        (filled(linux.devices().as_ref().map(Vec::len)), section.key("devices")),
        (filled(linux.masked_paths().as_ref().map(Vec::len)), section.key("maskedPaths")),
        (filled(linux.readonly_paths().as_ref().map(Vec::len)), section.key("readonlyPaths")),
        (linux.rootfs_propagation().is_some(), section.key("rootfsPropagation")),
    ];
    for (_, place) in wishes.iter().filter(|(wished, _)| *wished) {
        problems.add(place, MESSAGE);
    }
}
