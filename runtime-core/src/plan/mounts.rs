//! What is mounted into the root file system, in order (runtime-spec config.md, "Mounts").
//!
//! What a config calls one mount may take several steps here (the cgroup hierarchies of a v1 or hybrid host, for
//! example): they are spelled out in the plan, so that the child has no decisions to make.

use super::id_maps::{self, IdMapPlan};
use super::mount_label::{self, Labelled};
use super::mount_options::{BindLinks, MountAttributes, MountOptions, Parameter};
use super::problems::{Pointer, Problems};
use super::{CgroupPlan, NamespaceKind, NamespacePlan};
use crate::host::Host;
use crate::spec;
use std::ffi::CString;
use std::path::{Component, Path, PathBuf};

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A file or directory of the host, opened as a detached copy before the container exists; or one of the
    /// rootfs, opened when its turn comes, with what was mounted there until then.
    Bind {
        /// Absolute path on the host, or in the rootfs.
        path: CString,
        /// Whether it is one of the rootfs, in which it is resolved and which it never leaves.
        in_rootfs: bool,
        /// With everything mounted below it (`rbind`).
        recursive: bool,
        /// What happens where either end is a symbolic link.
        links: BindLinks,
    },
    /// A new instance of a file system.
    Filesystem {
        /// Its type, for fsopen(2).
        fstype: CString,
        /// Its source, as mount(8) shows it.
        source: CString,
        /// Its parameters, superblock flags (`ro`, `sync`, …) included.
        parameters: Vec<Parameter>,
        /// `MS_…` flags that have no other name: `silent` and `iversion`. With any of them mount(2) makes the mount.
        flags: u64,
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

impl MountSource {
    /// A file system into which nobody but the kernel puts anything: what a path leads to in one stays the same.
    pub(crate) fn is_of_the_kernel(&self) -> bool {
        matches!(self, MountSource::Filesystem { fstype, .. } if [c"proc", c"sysfs"].contains(&fstype.as_c_str()))
    }
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
    /// Other ids than the files have.
    pub id_map: Option<IdMapPlan>,
    /// The security label of its root directory, for a file system that has no parameter for it.
    pub label: Option<CString>,
    /// Attributes of this mount.
    pub attributes: MountAttributes,
    /// Attributes of this mount and all below (`rro`, `rnosuid`, …).
    pub recursive_attributes: MountAttributes,
    /// Propagation types to set in turn (`MS_PRIVATE`, `MS_SLAVE | MS_REC`, …).
    pub propagation: Vec<u64>,
    /// Whether flags of what is bound, which a user namespace could not clear, may not be cleared from outside either.
    pub keeps_locked: bool,
    /// Read-only, but only once everything is in place, since later steps still create entries in it.
    pub seal_readonly: bool,
    /// Which of the cgroup plan's directories it shows, if it shows one. Where the container gets none there, a bind
    /// mount becomes an empty read-only directory, and a file system read-only.
    pub cgroup: Option<usize>,
}

/// What the mounts of a config depend on besides themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct MountContext<'a> {
    pub(super) bundle: &'a Path,
    pub(super) rootfs: &'a Path,
    pub(super) namespaces: &'a NamespacePlan,
    pub(super) cgroup: &'a CgroupPlan,
    pub(super) host: &'a Host,
    /// The parameter that labels file systems.
    pub(super) label: Option<&'a Parameter>,
}

/// `/mounts`, in order.
pub(super) fn plan(
    mounts: &[spec::Mount],
    context: MountContext<'_>,
    problems: &mut Problems,
) -> Vec<MountPlan> {
    let list = Pointer::ROOT.key("mounts");
    let mut plans = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.iter().enumerate() {
        plan_one(index, mount, context, &list.item(index), &mut plans, problems);
    }
    plans
}

fn plan_one(
    index: usize,
    mount: &spec::Mount,
    context: MountContext<'_>,
    place: &Pointer<'_>,
    plans: &mut Vec<MountPlan>,
    problems: &mut Problems,
) {
    let options = mount.options().as_deref().unwrap_or_default();
    let options = MountOptions::read(options, &place.key("options"), problems);
    let id_map = id_maps::plan(mount, &options, context.namespaces, context.host, place, problems);
    let Some(target) = target(mount.destination(), context.rootfs, place, problems) else { return };
    let fstype = mount.typ().as_deref().unwrap_or("");
    let is_bind = options.bind.is_some();
    check_proc(&target, fstype, is_bind, &place.key("destination"), problems);
    if options.copy_up && (is_bind || fstype != "tmpfs") {
        problems.add(&place.key("options"), "\"tmpcopyup\" is for a tmpfs");
    }
    check_links(options.links, is_bind, place, problems);

    let base = MountPlan {
        item: u32::try_from(index).unwrap_or(u32::MAX),
        target: problems.path(&place.key("destination"), &target),
        source: MountSource::Existing,
        id_map,
        label: None,
        attributes: options.attributes,
        recursive_attributes: options.recursive_attributes,
        propagation: options.propagation.clone(),
        keeps_locked: false,
        seal_readonly: false,
        cgroup: None,
    };
    if options.remount {
        plans.push(existing(base, &options, place, problems));
    } else if let Some(recursive) = options.bind {
        let source = mount.source().as_deref();
        plans.extend(bind(base, &target, source, recursive, &options, context, place, problems));
    } else {
        match fstype {
            "" | "bind" | "none" => problems.add(
                &place.key("type"),
                format!(
                    "{fstype:?} is no file system; for a bind mount add the option \"bind\" or \"rbind\""
                ),
            ),
            "cgroup" => {
                super::cgroup_mounts::plan(base, &target, mount, &options, context, place, plans, problems)
            }
            "sysfs" if !may_mount_sysfs(context) => plans.push(host_sys(base)),
            _ => {
                check_owners(&options, context.namespaces, &place.key("options"), problems);
                plans.push(filesystem(base, &target, fstype, mount, options, context.label, place, problems));
            }
        }
    }
}

/// A destination as an absolute path in the container. A relative one is meant from the root, as it always was in
/// practice; and one that starts with the rootfs's own path on the host is meant inside it, as runc has it.
fn target(
    destination: &Path,
    rootfs: &Path,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let place = place.key("destination");
    if destination.as_os_str().is_empty() {
        problems.add(&place, "is empty: it must be an absolute path in the container");
        return None;
    }
    let mut target = clean(&Path::new("/").join(destination));
    if let Some(inside) = below(rootfs, &target) {
        target = inside;
    }
    if target == Path::new("/") {
        problems.add(&place, "is the root itself; /root/path says what that is");
        return None;
    }
    Some(target)
}

/// An absolute path without `.`, `..` and doubled slashes. Purely textual.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

/// What a path of the host that lies in the rootfs is called in the container.
fn below(rootfs: &Path, path: &Path) -> Option<PathBuf> {
    // A rootfs that is `/` itself has no other names for its paths.
    if rootfs == Path::new("/") || rootfs.as_os_str().is_empty() {
        return None;
    }
    path.strip_prefix(rootfs).ok().map(|inside| Path::new("/").join(inside))
}

/// A container's /proc must be a proc: security labels are written through it, and whatever else stands there could
/// swallow them (CVE-2019-16884). Inside it only these may be covered, for what lxcfs does.
fn check_proc(target: &Path, fstype: &str, is_bind: bool, place: &Pointer<'_>, problems: &mut Problems) {
    const MAY_BE_COVERED: [&str; 10] = [
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/crypto/fips_enabled",
    ];
    let proc = Path::new("/proc");
    if target == proc {
        // What a bind mount brings is looked at when it is opened.
        if !is_bind && fstype != "proc" {
            problems.add(place, "\"/proc\" cannot be mounted because it is not of type proc");
        }
    } else if target.starts_with(proc) && !MAY_BE_COVERED.iter().any(|path| target == Path::new(path)) {
        problems.add(place, format!("{target:?} cannot be mounted because it is inside /proc"));
    }
}

fn check_links(links: BindLinks, is_bind: bool, place: &Pointer<'_>, problems: &mut Problems) {
    if links != BindLinks::default() && !is_bind {
        let message = "\"copy-symlink\", \"src-nofollow\" and \"dest-nofollow\" are for bind mounts";
        problems.add(&place.key("options"), message);
    }
    if links.copy && (links.keep_source || links.keep_target) {
        let message = "\"copy-symlink\" is mutually exclusive with \"src-nofollow\" and \"dest-nofollow\"";
        problems.add(&place.key("options"), message);
    }
}

/// What belongs to a file system, where none is made.
fn refuse_parameters(options: &MountOptions, why: &str, place: &Pointer<'_>, problems: &mut Problems) {
    for (index, parameter) in &options.parameters {
        let message = format!("{why}: {:?}", parameter.key.to_string_lossy());
        problems.add(&place.key("options").item(*index), message);
    }
    // Nothing is said about a mount of what is mounted already, so "silent" is what it is in any case.
    if options.flags & libc::MS_I_VERSION != 0 {
        problems.add(&place.key("options"), format!("{why}: \"iversion\""));
    }
}

fn existing(
    mut plan: MountPlan,
    options: &MountOptions,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> MountPlan {
    refuse_parameters(
        options,
        "a remount changes the mount alone, not its file system, which others may have mounted too",
        place,
        problems,
    );
    if let Some(readonly) = options.readonly {
        plan.attributes.set_readonly(readonly);
    }
    plan
}

#[expect(clippy::too_many_arguments, reason = "one call, and every argument is its own thing")]
fn bind(
    mut plan: MountPlan,
    target: &Path,
    source: Option<&Path>,
    recursive: bool,
    options: &MountOptions,
    context: MountContext<'_>,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Option<MountPlan> {
    let why = "bind mounts cannot have any filesystem-specific options applied";
    refuse_parameters(options, why, place, problems);
    let Some(source) = source.filter(|source| !source.as_os_str().is_empty()) else {
        problems.add(&place.key("source"), "a bind mount needs the path of what is bound");
        return None;
    };
    // Not cleaned: on the host `a/..` is resolved by the kernel, symbolic links included.
    let path = context.bundle.join(source);
    let inside = below(context.rootfs, &path);
    if inside.is_some() && target == Path::new("/proc") {
        problems.add(
            &place.key("source"),
            "is in the rootfs: \"/proc\" cannot be mounted because it is not of type proc",
        );
    }
    if inside.is_some() && options.links.copy {
        problems
            .add(&place.key("source"), "is in the rootfs, where \"copy-symlink\" has nothing to copy from");
    }
    let path = problems.path(&place.key("source"), inside.as_deref().unwrap_or(&path));
    plan.source = MountSource::Bind { path, in_rootfs: inside.is_some(), recursive, links: options.links };
    match options.readonly {
        Some(true) if target == Path::new("/dev") => plan.seal_readonly = true,
        Some(readonly) => plan.attributes.set_readonly(readonly),
        None => {}
    }
    plan.keeps_locked = context.namespaces.is_private(NamespaceKind::User);
    let may_be_locked = plan.keeps_locked || !context.host.privileged;
    plan.attributes.clear_the_rest(may_be_locked);
    Some(plan)
}

#[expect(clippy::too_many_arguments, reason = "one call, and every argument is its own thing")]
fn filesystem(
    mut plan: MountPlan,
    target: &Path,
    fstype: &str,
    mount: &spec::Mount,
    options: MountOptions,
    label: Option<&Parameter>,
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> MountPlan {
    let mut parameters: Vec<Parameter> = Vec::with_capacity(options.parameters.len() + 1);
    parameters.extend(options.parameters.into_iter().map(|(_, parameter)| parameter));
    if options.readonly == Some(true) {
        if fstype == "tmpfs" || target == Path::new("/dev") {
            plan.seal_readonly = true;
        } else {
            plan.attributes.set_readonly(true);
            parameters.push(Parameter { key: c"ro".to_owned(), value: None });
        }
    }
    match mount_label::of(fstype, label, &parameters) {
        Labelled::Never => {}
        Labelled::ByAttribute(label) => plan.label = Some(label),
        Labelled::ByParameter(label) => parameters.push(label),
    }
    let source = match mount.source() {
        Some(source) if !source.as_os_str().is_empty() => problems.path(&place.key("source"), source),
        _ => c"none".to_owned(),
    };
    let fstype = problems.text(&place.key("type"), fstype);
    let (flags, copy_up) = (options.flags, options.copy_up);
    plan.source = MountSource::Filesystem { fstype, source, parameters, flags, copy_up };
    plan
}

/// The kernel says EINVAL where a user or group that is to own something has no mapping.
fn check_owners(
    options: &MountOptions,
    namespaces: &NamespacePlan,
    place: &Pointer<'_>,
    problems: &mut Problems,
) {
    for (index, Parameter { key, value }) in &options.parameters {
        let id = value.as_ref().and_then(|value| value.to_str().ok()?.parse().ok());
        let (Some(id), Ok(key @ ("uid" | "gid"))) = (id, key.to_str()) else { continue };
        if !namespaces.is_mapped(key, id) {
            let message = format!(
                "cannot specify {key}= with an unmapped id: {id} is not mapped by /linux/{key}Mappings"
            );
            problems.add(&place.item(*index), message);
        }
    }
}

/// The kernel makes a sysfs only for one who owns the network namespace that it shows (sysfs(5)).
fn may_mount_sysfs(context: MountContext<'_>) -> bool {
    let namespaces = context.namespaces;
    if namespaces.is_new(NamespaceKind::User) {
        namespaces.is_new(NamespaceKind::Network)
    } else if namespaces.is_joined(NamespaceKind::User) {
        namespaces.is_private(NamespaceKind::Network)
    } else {
        true
    }
}

/// The host's /sys in place of one's own, read-only to the last mount in it.
fn host_sys(mut plan: MountPlan) -> MountPlan {
    let links = BindLinks::default();
    plan.source = MountSource::Bind { path: c"/sys".to_owned(), in_rootfs: false, recursive: true, links };
    let mut readonly = MountAttributes::default();
    readonly.set_readonly(true);
    plan.recursive_attributes.set |= readonly.set;
    plan
}
