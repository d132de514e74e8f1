//! The config that `husk spec` writes: the same as runc's, but for the host name, so that what works with one of
//! them works with the other.

#![forbid(unsafe_code)]

use crate::host;
use crate::spec::{
    LinuxIdMappingBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, MountBuilder, Spec,
};
use std::path::{Path, PathBuf};

/// A shell in namespaces of its own, with the root at `rootfs` beside `config.json`. Where cgroup v2 is mounted it
/// has a cgroup namespace too.
///
/// With `rootless` it suits a caller who is not root: a user namespace in which the caller is root, the host's
/// network, and no limits.
#[must_use]
#[expect(clippy::expect_used, reason = "the file is part of this program, and a test parses it")]
pub fn default_spec(rootless: bool) -> Spec {
    let mut spec: Spec =
        serde_json::from_slice(include_bytes!("default_spec.json")).expect("the embedded config");
    if host::is_unified(Path::new("/sys/fs/cgroup")) {
        add_namespace(&mut spec, LinuxNamespaceType::Cgroup);
    }
    if rootless {
        make_rootless(&mut spec);
    }
    spec
}

#[expect(clippy::expect_used, reason = "builders without required fields")]
fn add_namespace(spec: &mut Spec, kind: LinuxNamespaceType) {
    let namespace = LinuxNamespaceBuilder::default().typ(kind).build().expect("a complete namespace");
    if let Some(list) = spec.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut()) {
        list.push(namespace);
    }
}

#[expect(clippy::expect_used, reason = "builders without required fields")]
fn make_rootless(spec: &mut Spec) {
    add_namespace(spec, LinuxNamespaceType::User);
    let own = |id: u32| {
        let mapping = LinuxIdMappingBuilder::default().container_id(0u32).host_id(id).size(1u32).build();
        Some(vec![mapping.expect("a complete mapping")])
    };
    if let Some(linux) = spec.linux_mut() {
        if let Some(list) = linux.namespaces_mut() {
            list.retain(|namespace| namespace.typ() != LinuxNamespaceType::Network);
        }
        linux.set_uid_mappings(own(nix::unistd::geteuid().as_raw()));
        linux.set_gid_mappings(own(nix::unistd::getegid().as_raw()));
        linux.set_resources(None);
    }
    for mount in spec.mounts_mut().iter_mut().flatten() {
        if mount.destination() == Path::new("/sys") {
            *mount = host_sys();
        } else if let Some(options) = mount.options_mut() {
            // An id that the namespace does not map cannot own anything in it.
            options.retain(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
        }
    }
}

/// A sysfs of one's own takes a network namespace of one's own.
#[expect(clippy::expect_used, reason = "builders without required fields")]
fn host_sys() -> Mount {
    let options: Vec<String> = ["rbind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).into();
    MountBuilder::default()
        .destination(PathBuf::from("/sys"))
        .typ("none")
        .source(PathBuf::from("/sys"))
        .options(options)
        .build()
        .expect("a complete mount")
}
