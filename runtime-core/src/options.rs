//! What a caller says beside the config: [`CreateOptions`], [`ExecOptions`], [`Stdio`], [`SystemdManager`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a process's standard input, output and error lead.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// The caller's own.
    #[default]
    Inherit,
    /// `/dev/null` of the host.
    Null,
    /// These three, in order. The fds are shared: the caller's copies stay open.
    Fds(Arc<[OwnedFd; 3]>),
}

/// Where the master end of a process's terminal goes, when its config asks for a terminal.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Console {
    /// To the caller: [`Process::take_terminal`](crate::Process::take_terminal).
    #[default]
    Return,
    /// Over the listening `AF_UNIX` socket at this path, as `SCM_RIGHTS`, as engines want it.
    Socket(PathBuf),
}

/// Programs that write the maps of a user namespace for those who may not ([`CreateOptions::map_helpers`]).
#[derive(Debug, Clone, Default)]
pub(crate) struct MapHelpers {
    pub(crate) newuidmap: Option<PathBuf>,
    pub(crate) newgidmap: Option<PathBuf>,
}

/// A running systemd, and where it is reached. Its own socket comes first: it needs no message bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemdManager {
    pub(crate) user: bool,
    pub(crate) sockets: Vec<SystemdSocket>,
}

/// One of its sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SystemdSocket {
    /// A path, or the name of an abstract socket behind an `@`.
    pub(crate) address: String,
    /// A message bus answers, which has to be asked to pass messages on.
    pub(crate) is_bus: bool,
}

impl SystemdManager {
    /// The machine's, for root.
    #[must_use]
    pub fn system() -> SystemdManager {
        let sockets = [("/run/systemd/private", false), ("/run/dbus/system_bus_socket", true)];
        let sockets = sockets.map(|(path, is_bus)| SystemdSocket { address: path.to_owned(), is_bus });
        SystemdManager { user: false, sockets: sockets.into() }
    }

    /// A user's, by the user's runtime directory (`$XDG_RUNTIME_DIR`) and, if there is one, the address of the
    /// session's bus (`$DBUS_SESSION_BUS_ADDRESS`), of whose transports `unix:` is understood.
    #[must_use]
    pub fn user(runtime_directory: &str, bus_address: Option<&str>) -> SystemdManager {
        let mut sockets =
            vec![SystemdSocket { address: format!("{runtime_directory}/systemd/private"), is_bus: false }];
        let transports =
            bus_address.unwrap_or_default().split(';').filter_map(|one| one.strip_prefix("unix:"));
        for parameter in transports.flat_map(|one| one.split(',')) {
            let address = match parameter.split_once('=') {
                Some(("path", path)) => path.to_owned(),
                Some(("abstract", name)) => format!("@{name}"),
                _ => continue,
            };
            sockets.push(SystemdSocket { address, is_bus: true });
        }
        sockets.push(SystemdSocket { address: format!("{runtime_directory}/bus"), is_bus: true });
        SystemdManager { user: true, sockets }
    }

    pub(crate) fn is_user(&self) -> bool {
        self.user
    }
}

/// How to make a container. Built by chaining:
///
/// ```
/// use husk_core::{CreateOptions, Stdio};
/// let options = CreateOptions::new().stdio(Stdio::Null).preserve_fds(2);
/// ```
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    pub(crate) stdio: Stdio,
    pub(crate) console: Console,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) pidfd_socket: Option<PathBuf>,
    pub(crate) preserve_fds: u32,
    pub(crate) listen_fds: u32,
    pub(crate) listen_fd_names: Option<String>,
    pub(crate) notify_socket: bool,
    pub(crate) seccomp_receiver: Option<PathBuf>,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    pub(crate) systemd: Option<SystemdManager>,
    pub(crate) no_cgroup: bool,
    pub(crate) rootless: Option<bool>,
    pub(crate) map_helpers: MapHelpers,
    pub(crate) trace: Option<PathBuf>,
    #[cfg(feature = "fault-injection")]
    pub(crate) fault: Option<crate::fault::Fault>,
}

impl CreateOptions {
    /// The defaults: stdio inherited, a terminal's master returned, nothing else passed on.
    #[must_use]
    pub fn new() -> CreateOptions {
        CreateOptions::default()
    }

    /// Where stdio leads when there is no terminal.
    #[must_use]
    pub fn stdio(mut self, stdio: Stdio) -> Self {
        self.stdio = stdio;
        self
    }

    /// Where the terminal's master goes.
    #[must_use]
    pub fn console(mut self, console: Console) -> Self {
        self.console = console;
        self
    }

    /// A file that gets the init's pid, replaced atomically, before `create` returns.
    #[must_use]
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// A listening `AF_UNIX` socket that gets the init's pidfd, as `SCM_RIGHTS`, before `create` returns; the message's
    /// data is `standard`.
    #[must_use]
    pub fn pidfd_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.pidfd_socket = Some(path.into());
        self
    }

    /// How many of the caller's fds from 3 on the container's process keeps.
    #[must_use]
    pub fn preserve_fds(mut self, count: u32) -> Self {
        self.preserve_fds = count;
        self
    }

    /// How many of the caller's fds from 3 on are sockets to activate (sd_listen_fds(3)): they come before the
    /// preserved ones, and the process gets `LISTEN_FDS` and `LISTEN_PID=1`.
    #[must_use]
    pub fn listen_fds(mut self, count: u32) -> Self {
        self.listen_fds = count;
        self
    }

    /// The names of the sockets to activate, separated by colons: the process's `LISTEN_FDNAMES`.
    #[must_use]
    pub fn listen_fd_names(mut self, names: impl Into<String>) -> Self {
        self.listen_fd_names = Some(names.into());
        self
    }

    /// Give the process a socket at which to say that it is ready (sd_notify(3)), with `NOTIFY_SOCKET` in its environment.
    /// [`Container::readiness`](crate::Container::readiness) hears it.
    #[must_use]
    pub fn notify_socket(mut self, yes: bool) -> Self {
        self.notify_socket = yes;
        self
    }

    /// The listening `AF_UNIX` socket of the agent that answers notified system calls, for a config that names none
    /// (`/linux/seccomp/listenerPath`). Processes that are executed later in the container get the same.
    #[must_use]
    pub fn seccomp_receiver(mut self, path: impl Into<PathBuf>) -> Self {
        self.seccomp_receiver = Some(path.into());
        self
    }

    /// `chroot` in place of pivot_root(2).
    #[must_use]
    pub fn no_pivot(mut self, yes: bool) -> Self {
        self.no_pivot = yes;
        self
    }

    /// Keep the caller's session keyring.
    #[must_use]
    pub fn no_new_keyring(mut self, yes: bool) -> Self {
        self.no_new_keyring = yes;
        self
    }

    /// Read `/linux/cgroupsPath` as `slice:prefix:name` and let this systemd make the cgroup, as a unit.
    #[must_use]
    pub fn systemd(mut self, manager: SystemdManager) -> Self {
        self.systemd = Some(manager);
        self
    }

    /// Make no cgroup. The container's processes stay in the caller's: they cannot be limited, paused, listed or
    /// measured, and the config may ask for none of that. Device rules are not enforced.
    #[must_use]
    pub fn no_cgroup(mut self, yes: bool) -> Self {
        self.no_cgroup = yes;
        self
    }

    /// Whether the container may do without cgroups that the caller has no permission to make, as long as the config
    /// names no cgroup and sets no limit. By default it may where the caller is not root, or root of a user namespace.
    #[must_use]
    pub fn rootless(mut self, yes: bool) -> Self {
        self.rootless = Some(yes);
        self
    }

    /// Where newuidmap(1) and newgidmap(1) are, as far as they are installed. They are asked where the caller has no
    /// privilege to map the ids that the config wants mapped.
    #[must_use]
    pub fn map_helpers(mut self, newuidmap: Option<PathBuf>, newgidmap: Option<PathBuf>) -> Self {
        self.map_helpers = MapHelpers { newuidmap, newgidmap };
        self
    }

    /// A file that gets the timeline of the creation, as Chrome trace JSON.
    #[must_use]
    pub fn trace(mut self, path: impl Into<PathBuf>) -> Self {
        self.trace = Some(path.into());
        self
    }

    /// Makes something go wrong, for tests of what happens then.
    #[cfg(feature = "fault-injection")]
    #[must_use]
    pub fn fault(mut self, fault: crate::fault::Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}

/// Paths relative to the container's cgroup, by controller; the empty name is for every hierarchy that no other name is
/// for.
pub(crate) type SubCgroups = BTreeMap<String, String>;

/// How to execute a further process in a container. What the process *is* stands in the
/// [`oci_spec::runtime::Process`] beside it.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    pub(crate) stdio: Stdio,
    pub(crate) console: Console,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) pidfd_socket: Option<PathBuf>,
    pub(crate) preserve_fds: u32,
    pub(crate) seccomp_receiver: Option<PathBuf>,
    pub(crate) ignore_paused: bool,
    pub(crate) sub_cgroups: SubCgroups,
    #[cfg(feature = "fault-injection")]
    pub(crate) fault: Option<crate::fault::Fault>,
}

impl ExecOptions {
    /// The defaults: stdio inherited, a terminal's master returned, refused while the container is paused.
    #[must_use]
    pub fn new() -> ExecOptions {
        ExecOptions::default()
    }

    /// Where stdio leads when there is no terminal.
    #[must_use]
    pub fn stdio(mut self, stdio: Stdio) -> Self {
        self.stdio = stdio;
        self
    }

    /// Where the terminal's master goes.
    #[must_use]
    pub fn console(mut self, console: Console) -> Self {
        self.console = console;
        self
    }

    /// A file that gets the process's pid, replaced atomically.
    #[must_use]
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// A listening `AF_UNIX` socket that gets the process's pidfd, as `SCM_RIGHTS`, before `exec` returns; the message's
    /// data is `setns`.
    #[must_use]
    pub fn pidfd_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.pidfd_socket = Some(path.into());
        self
    }

    /// How many of the caller's fds from 3 on the process keeps.
    #[must_use]
    pub fn preserve_fds(mut self, count: u32) -> Self {
        self.preserve_fds = count;
        self
    }

    /// The socket of the agent that answers its notified system calls, where the config names none, and in place of the
    /// one that the container was made with.
    #[must_use]
    pub fn seccomp_receiver(mut self, path: impl Into<PathBuf>) -> Self {
        self.seccomp_receiver = Some(path.into());
        self
    }

    /// Put it into a cgroup below the container's, one that is there: `path` is relative to the container's cgroup,
    /// in every hierarchy for which there is no [`sub_cgroup_of`](ExecOptions::sub_cgroup_of). With `/` it joins the
    /// container's cgroup itself or fails, where otherwise it would follow the init into a sub-cgroup.
    #[must_use]
    pub fn sub_cgroup(self, path: impl Into<String>) -> Self {
        self.sub_cgroup_of("", path)
    }

    /// The same in the v1 hierarchy of one controller, `name=systemd` for a named one.
    #[must_use]
    pub fn sub_cgroup_of(mut self, controller: impl Into<String>, path: impl Into<String>) -> Self {
        self.sub_cgroups.insert(controller.into(), path.into());
        self
    }

    /// Start it even while the container is paused; it runs when the container resumes.
    #[must_use]
    pub fn ignore_paused(mut self, yes: bool) -> Self {
        self.ignore_paused = yes;
        self
    }

    /// Makes something go wrong, for tests of what happens then.
    #[cfg(feature = "fault-injection")]
    #[must_use]
    pub fn fault(mut self, fault: crate::fault::Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}
