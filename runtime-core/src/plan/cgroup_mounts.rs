//! A mount of type `cgroup`: what a container sees of its own cgroups (runtime-spec config.md, "Mounts";
//! cgroups(7), cgroup_namespaces(7)).
//!
//! With a cgroup namespace of its own it gets the file system itself, since the kernel shows no more than the
//! container's part. Without one it gets, under v2, a bind mount of all that the runtime sees, where the path in its
//! `/proc/PID/cgroup` leads to its cgroup. On a v1 or hybrid host there is one mount for each hierarchy, on a tmpfs;
//! without a namespace a bind mount of its own cgroup, and nothing above that.

use super::mount_options::{BindLinks, MountAttributes, MountOptions, NODEV, NOEXEC, NOSUID, Parameter};
use super::mounts::{MountContext, MountPlan, MountSource};
use super::problems::{Pointer, Problems};
use super::{CgroupDirectory, NamespaceKind};
use crate::host::CgroupLayout;
use crate::spec;
use std::ffi::CString;
use std::path::Path;

#[expect(clippy::too_many_arguments, reason = "one call, and every argument is its own thing")]
pub(super) fn plan(
    base: MountPlan,
    target: &Path,
    mount: &spec::Mount,
    options: &MountOptions,
    context: MountContext<'_>,
    place: &Pointer<'_>,
    plans: &mut Vec<MountPlan>,
    problems: &mut Problems,
) {
    let own_namespace = context.namespaces.is_private(NamespaceKind::Cgroup);
    let readonly = options.readonly == Some(true);
    match context.cgroup.directories.as_slice() {
        [] => {
            // Also when the cgroup itself could not be planned, which is a problem of its own.
            if context.host.cgroups == CgroupLayout::None {
                problems.add(&place.key("type"), "this host has no cgroup file system mounted");
            }
        }
        [directory] if directory.is_v2() => {
            let mut plan = MountPlan { cgroup: Some(0), ..base };
            if readonly {
                plan.attributes.set_readonly(true);
            }
            // A user's container gets no more than its own cgroup: what is above may be the user's to write as well
            // (CVE-2023-25809).
            let is_users = !context.host.privileged || context.namespaces.is_private(NamespaceKind::User);
            plan.source = if own_namespace {
                let source = mount.source().as_deref().unwrap_or(Path::new("cgroup"));
                let source = problems.path(&place.key("source"), source);
                let parameters = options.parameters.iter().map(|(_, parameter)| parameter.clone()).collect();
                let (fstype, flags) = (c"cgroup2".to_owned(), options.flags);
                MountSource::Filesystem { fstype, source, parameters, flags, copy_up: false }
            } else {
                refuse_parameters(options, place, problems);
                // Mounted anew from here, the file system would lose the options that it has on the host.
                let own = context.cgroup.birthplace_in(&directory.path);
                bind(if is_users { &own } else { &directory.mountpoint }, place, problems)
            };
            plans.push(plan);
        }
        directories => {
            refuse_parameters(options, place, problems);
            plans.push(tmpfs(&base, context.label, readonly));
            let hierarchies = || directories.iter().enumerate().filter(|(_, directory)| !directory.is_v2());
            for (index, directory) in hierarchies() {
                let Some(name) = directory.mountpoint.file_name() else { continue };
                let target = problems.path(place, &target.join(name));
                let mut plan = MountPlan { target, cgroup: Some(index), ..base.clone() };
                plan.source = if own_namespace {
                    plan.attributes = MountAttributes { set: NOSUID | NODEV | NOEXEC, clear: 0 };
                    of_controllers(directory)
                } else {
                    bind(&directory.path, place, problems)
                };
                if readonly {
                    plan.attributes.set_readonly(true);
                }
                plans.push(plan);
            }
            for (_, directory) in hierarchies() {
                plans.extend(links(&base, target, directory, place, problems));
            }
        }
    }
}

/// What belongs to a file system, where it is not ours alone.
fn refuse_parameters(options: &MountOptions, place: &Pointer<'_>, problems: &mut Problems) {
    for (index, parameter) in &options.parameters {
        let key = parameter.key.to_string_lossy();
        problems.add(
            &place.key("options").item(*index),
            format!(
                "{key:?} cannot be applied: the cgroup mounts of this container are bind mounts or cgroup v1"
            ),
        );
    }
    if options.flags & libc::MS_I_VERSION != 0 {
        problems.add(&place.key("options"), "\"iversion\" cannot be applied: a cgroup has no such counters");
    }
}

fn bind(directory: &Path, place: &Pointer<'_>, problems: &mut Problems) -> MountSource {
    let path = problems.path(place, directory);
    MountSource::Bind { path, in_rootfs: false, recursive: false, links: BindLinks::default() }
}

/// Holds the mount points; the hierarchies are mounted in it, so it can be sealed only at the end.
fn tmpfs(base: &MountPlan, label: Option<&Parameter>, readonly: bool) -> MountPlan {
    let mut parameters = vec![Parameter { key: c"mode".to_owned(), value: Some(c"755".to_owned()) }];
    parameters.extend(label.cloned());
    MountPlan {
        source: MountSource::Filesystem {
            fstype: c"tmpfs".to_owned(),
            source: c"tmpfs".to_owned(),
            parameters,
            flags: 0,
            copy_up: false,
        },
        attributes: MountAttributes { set: NOSUID | NODEV | NOEXEC, clear: 0 },
        recursive_attributes: MountAttributes::default(),
        seal_readonly: readonly,
        ..base.clone()
    }
}

/// A v1 hierarchy is named by its controllers, or by its name where it has none.
fn of_controllers(hierarchy: &CgroupDirectory) -> MountSource {
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let mut source = c"cgroup".to_owned();
    let parameters = hierarchy
        .controllers
        .iter()
        .map(|controller| match controller.split_once('=') {
            Some((key, name)) => {
                source = text(name);
                Parameter { key: text(key), value: Some(text(name)) }
            }
            None => Parameter { key: text(controller), value: None },
        })
        .collect();
    MountSource::Filesystem { fstype: c"cgroup".to_owned(), source, parameters, flags: 0, copy_up: false }
}

/// Where `cpu,cpuacct` is one hierarchy, `cpu` and `cpuacct` lead to it.
fn links<'a>(
    base: &'a MountPlan,
    target: &'a Path,
    hierarchy: &'a CgroupDirectory,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Vec<MountPlan> {
    let Some(directory) = hierarchy.mountpoint.file_name() else { return Vec::new() };
    if hierarchy.controllers.len() < 2 {
        return Vec::new();
    }
    let names = hierarchy.controllers.iter().filter(|name| directory != name.as_str() && !name.contains('='));
    names
        .map(|name| MountPlan {
            target: problems.path(place, &target.join(name)),
            source: MountSource::Symlink { text: problems.path(place, Path::new(directory)) },
            attributes: MountAttributes::default(),
            recursive_attributes: MountAttributes::default(),
            propagation: Vec::new(),
            ..base.clone()
        })
        .collect()
}
