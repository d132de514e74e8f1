//! Which namespaces are new, which are joined, and who maps whose ids
//! (runtime-spec config-linux.md, "Namespaces" and "User namespace mappings").

use super::problems::{Pointer, Problems};
use crate::host::Host;
use crate::spec::{Linux, LinuxIdMapping, LinuxNamespaceType, LinuxTimeOffset};
use std::collections::HashMap;
use std::ffi::CString;
use std::fmt::Write as _;

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamespaceKind {
    /// Users and capabilities.
    User,
    /// The tree of mounts.
    Mount,
    /// Network devices, addresses, ports.
    Network,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host name and domain name.
    Uts,
    /// Process ids.
    Pid,
    /// What counts as the root of the cgroup tree.
    Cgroup,
    /// Offsets of the monotonic and boot clocks.
    Time,
}

impl NamespaceKind {
    /// Every kind.
    pub const ALL: [NamespaceKind; 8] = [
        NamespaceKind::User,
        NamespaceKind::Mount,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Pid,
        NamespaceKind::Cgroup,
        NamespaceKind::Time,
    ];

    /// The `CLONE_NEW…` flag (clone(2), setns(2)).
    #[must_use]
    pub const fn clone_flag(self) -> i32 {
        match self {
            NamespaceKind::User => libc::CLONE_NEWUSER,
            NamespaceKind::Mount => libc::CLONE_NEWNS,
            NamespaceKind::Network => libc::CLONE_NEWNET,
            NamespaceKind::Ipc => libc::CLONE_NEWIPC,
            NamespaceKind::Uts => libc::CLONE_NEWUTS,
            NamespaceKind::Pid => libc::CLONE_NEWPID,
            NamespaceKind::Cgroup => libc::CLONE_NEWCGROUP,
            NamespaceKind::Time => 0x80, // CLONE_NEWTIME, since Linux 5.6
        }
    }

    /// The file under `/proc/PID/ns`.
    #[must_use]
    pub const fn proc_name(self) -> &'static str {
        match self {
            NamespaceKind::User => "user",
            NamespaceKind::Mount => "mnt",
            NamespaceKind::Network => "net",
            NamespaceKind::Ipc => "ipc",
            NamespaceKind::Uts => "uts",
            NamespaceKind::Pid => "pid",
            NamespaceKind::Cgroup => "cgroup",
            NamespaceKind::Time => "time",
        }
    }

    /// The name in config.json, `/linux/namespaces/N/type`.
    #[must_use]
    pub const fn spec_name(self) -> &'static str {
        match self {
            NamespaceKind::Mount => "mount",
            NamespaceKind::Network => "network",
            other => other.proc_name(),
        }
    }
}

/// A namespace that exists already and is entered by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// What it must be; the kernel checks it (setns(2)).
    pub kind: NamespaceKind,
    /// Where it is, on the host.
    pub path: CString,
    /// Its index in `/linux/namespaces`.
    pub item: u32,
}

/// One line of a `uid_map` or `gid_map` (user_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapping {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The namespaces of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespacePlan {
    /// The kinds that are made new, each once.
    pub new: Vec<NamespaceKind>,
    /// Those that are entered, in the order of entering: user first, then as listed, mount last.
    pub joined: Vec<Join>,
    /// Maps of a new user namespace; empty when there is none.
    pub uid_mappings: Vec<IdMapping>,
    /// Likewise for groups.
    pub gid_mappings: Vec<IdMapping>,
    /// Lines for `/proc/self/timens_offsets`, empty for none: `monotonic SECS NANOSECS\n…`.
    pub time_offsets: Vec<u8>,
}

impl NamespacePlan {
    /// Whether this kind is made new.
    #[must_use]
    pub fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether this kind is entered by path.
    #[must_use]
    pub fn is_joined(&self, kind: NamespaceKind) -> bool {
        self.joined.iter().any(|join| join.kind == kind)
    }

    /// Whether the container has one of its own, new or joined, rather than the runtime's.
    #[must_use]
    pub fn is_private(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.is_joined(kind)
    }
}

impl From<LinuxNamespaceType> for NamespaceKind {
    fn from(name: LinuxNamespaceType) -> NamespaceKind {
        match name {
            LinuxNamespaceType::User => NamespaceKind::User,
            LinuxNamespaceType::Mount => NamespaceKind::Mount,
            LinuxNamespaceType::Network => NamespaceKind::Network,
            LinuxNamespaceType::Ipc => NamespaceKind::Ipc,
            LinuxNamespaceType::Uts => NamespaceKind::Uts,
            LinuxNamespaceType::Pid => NamespaceKind::Pid,
            LinuxNamespaceType::Cgroup => NamespaceKind::Cgroup,
            LinuxNamespaceType::Time => NamespaceKind::Time,
        }
    }
}

/// `/linux/namespaces`, `/linux/uidMappings`, `/linux/gidMappings` and `/linux/timeOffsets`.
pub(super) fn plan(linux: &Linux, host: &Host, problems: &mut Problems) -> NamespacePlan {
    let mut plan = NamespacePlan::default();
    let at = Pointer::ROOT.key("linux");
    let list = at.key("namespaces");
    for (index, namespace) in linux.namespaces().as_deref().unwrap_or_default().iter().enumerate() {
        let place = list.item(index);
        let kind = NamespaceKind::from(namespace.typ());
        if plan.is_private(kind) {
            let name = kind.spec_name();
            problems.add(&place, format!("the namespace {name:?} is listed twice (duplicated ns)"));
            continue;
        }
        match namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty()) {
            None => plan.new.push(kind),
            Some(path) => {
                let place = place.key("path");
                if !path.is_absolute() {
                    problems.add(&place, format!("must be an absolute path, not {path:?}"));
                }
                let path = problems.path(&place, path);
                plan.joined.push(Join { kind, path, item: u32::try_from(index).unwrap_or(u32::MAX) });
            }
        }
    }
    // The user namespace first, since it gives the privilege to enter those that it owns; the mount namespace last,
    // since the paths of the others are the host's. The sort is stable: the rest stays as listed.
    plan.joined.sort_by_key(|join| match join.kind {
        NamespaceKind::User => 0,
        NamespaceKind::Mount => 2,
        _ => 1,
    });
    if !host.sys_admin && !plan.is_private(NamespaceKind::User) {
        let message = "rootless containers require user namespaces: without root, namespaces can be made only in a user \
                       namespace of one's own; add {\"type\":\"user\"} and mappings, as husk spec --rootless does";
        problems.add(&list, message);
    }
    plan_mappings(&mut plan, linux, &at, problems);
    if let Some(offsets) = linux.time_offsets().as_ref().filter(|offsets| !offsets.is_empty()) {
        plan_time_offsets(&mut plan, offsets, &at.key("timeOffsets"), problems);
    }
    plan
}

fn plan_mappings(plan: &mut NamespacePlan, linux: &Linux, at: &Pointer<'_>, problems: &mut Problems) {
    let uids = linux.uid_mappings().as_deref().unwrap_or_default();
    let gids = linux.gid_mappings().as_deref().unwrap_or_default();
    let is_new = plan.is_new(NamespaceKind::User);
    for (key, list) in [("uidMappings", uids), ("gidMappings", gids)] {
        let place = at.key(key);
        if !list.is_empty() && !plan.is_private(NamespaceKind::User) {
            let message =
                "user namespace mappings specified, but there is no user namespace in /linux/namespaces";
            problems.add(&place, message);
        }
        if list.is_empty() && is_new {
            problems.add(&place, "a new user namespace needs mappings, at least one");
        }
        let mappings = plan_mapping(list, &place, problems);
        if is_new && !mappings.is_empty() && inside_to_outside(&mappings, 0).is_none() {
            problems.add(&place, "container id 0 is not mapped, as which the container is set up");
        }
        // Engines repeat the mappings of a user namespace that is joined by its path: they describe it then, and
        // are not to be written.
        if is_new {
            match key {
                "uidMappings" => plan.uid_mappings = mappings,
                _ => plan.gid_mappings = mappings,
            }
        }
    }
}

/// The lines of one map.
pub(super) fn plan_mapping(
    list: &[LinuxIdMapping],
    place: &Pointer<'_>,
    problems: &mut Problems,
) -> Vec<IdMapping> {
    let mut mappings: Vec<IdMapping> = Vec::with_capacity(list.len());
    for (index, mapping) in list.iter().enumerate() {
        let place = place.item(index);
        let mapping =
            IdMapping { inside: mapping.container_id(), outside: mapping.host_id(), count: mapping.size() };
        if mapping.count == 0 {
            problems.add(&place, "size is 0: it must map at least one id");
            continue;
        }
        let fits = |first: u32| first.checked_add(mapping.count - 1).is_some_and(|last| last != u32::MAX);
        if !fits(mapping.inside) || !fits(mapping.outside) {
            problems.add(&place, "reaches beyond the largest id, 4294967294");
            continue;
        }
        let overlaps =
            |a: u32, b: u32, count: u32| a < b.saturating_add(count) && b < a.saturating_add(mapping.count);
        let other = mappings.iter().position(|other| {
            overlaps(mapping.inside, other.inside, other.count)
                || overlaps(mapping.outside, other.outside, other.count)
        });
        if let Some(other) = other {
            problems.add(&place, format!("overlaps mapping {other} of the list"));
        }
        mappings.push(mapping);
    }
    mappings
}

/// The id outside that an id inside stands for.
pub(super) fn inside_to_outside(mappings: &[IdMapping], id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.inside)?;
        (offset < mapping.count).then(|| mapping.outside + offset)
    })
}

fn plan_time_offsets(
    plan: &mut NamespacePlan,
    offsets: &HashMap<String, LinuxTimeOffset>,
    place: &Pointer<'_>,
    problems: &mut Problems,
) {
    if plan.is_joined(NamespaceKind::Time) {
        let message = "both a time namespace to join and time offsets: a namespace that exists keeps its own";
        problems.add(place, message);
    } else if !plan.is_new(NamespaceKind::Time) {
        problems.add(
            place,
            "time namespace offsets specified, but there is no time namespace in /linux/namespaces",
        );
    }
    for clock in offsets.keys().filter(|clock| !CLOCKS.contains(&clock.as_str())) {
        problems.add(&place.key(clock), "is no clock of a time namespace: monotonic or boottime");
    }
    let mut lines = String::new();
    for (clock, offset) in CLOCKS.iter().filter_map(|clock| Some((clock, offsets.get(*clock)?))) {
        let (secs, nanosecs) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        if nanosecs > 999_999_999 {
            problems.add(&place.key(clock).key("nanosecs"), format!("{nanosecs} is more than 999999999"));
        }
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{clock} {secs} {nanosecs}");
    }
    plan.time_offsets = lines.into_bytes();
}

/// What a time namespace can shift (time_namespaces(7)), as `/proc/PID/timens_offsets` spells it.
const CLOCKS: [&str; 2] = ["monotonic", "boottime"];

impl NamespacePlan {
    /// Whether the container's user namespace has this id, of a `uid` or `gid`. One that is joined may have any.
    pub(super) fn is_mapped(&self, kind: &str, id: u32) -> bool {
        let mappings = if kind == "uid" { &self.uid_mappings } else { &self.gid_mappings };
        mappings.is_empty() || inside_to_outside(mappings, id).is_some()
    }

    /// The host's number of a user of the container, as far as the config tells.
    pub(super) fn outside_uid(&self, uid: u32) -> Option<u32> {
        if self.is_private(NamespaceKind::User) {
            inside_to_outside(&self.uid_mappings, uid)
        } else {
            Some(uid)
        }
    }

    /// A problem if the container's user namespace has no such user.
    pub(super) fn check_uid(&self, uid: u32, place: &Pointer<'_>, problems: &mut Problems) {
        self.check(uid, &self.uid_mappings, "uidMappings", place, problems);
    }

    /// A problem if the container's user namespace has no such group.
    pub(super) fn check_gid(&self, gid: u32, place: &Pointer<'_>, problems: &mut Problems) {
        self.check(gid, &self.gid_mappings, "gidMappings", place, problems);
    }

    fn check(
        &self,
        id: u32,
        mappings: &[IdMapping],
        key: &str,
        place: &Pointer<'_>,
        problems: &mut Problems,
    ) {
        if id == u32::MAX {
            problems.add(place, "4294967295 is no id, it means \"none\" to the kernel");
        } else if !mappings.is_empty() && inside_to_outside(mappings, id).is_none() {
            problems.add(place, format!("{id} is not mapped by /linux/{key}"));
        }
    }
}
