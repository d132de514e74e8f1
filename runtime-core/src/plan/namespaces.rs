//! Which namespaces are new, which are joined, and who maps whose ids
//! (runtime-spec config-linux.md, "Namespaces" and "User namespace mappings").

use std::ffi::CString;

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
