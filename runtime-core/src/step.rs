//! [`Step`]: every thing that can fail has one name, used by code, errors, traces, documentation and fault tests.

/// Declares the steps once: the enum, and [`Step::ALL`].
macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident,)*) => {
        /// A place in the making of a container or of a process in it. The order is the order of events; steps of
        /// the runtime (the calling process) come first, then those of the new process, which is born at
        /// [`Step::Clone`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum Step {
            $($(#[$doc])* $step,)*
        }

        impl Step {
            /// Every step, in order.
            pub const ALL: &'static [Step] = &[$(Step::$step,)*];
        }
    };
}

steps! {
    // The runtime, before the clone.
    /// Make the container's directory in the state directory; its name is the claim to the id.
    ClaimId,
    /// Write down what is needed to remove everything again.
    WriteRecord,
    /// Make the container's directory in each cgroup hierarchy.
    MakeCgroup,
    /// Write limits and device rules into them.
    LimitCgroup,
    /// Make the container's group in the resctrl file system, and move its processes there.
    RdtGroup,
    /// Open the root file system, as a detached copy of its mount.
    OpenRootfs,
    /// Open what is to be bind-mounted, likewise.
    OpenSource,
    /// Prepare the way on which the terminal comes back.
    OpenConsole,
    /// Connect to the socket that gets the process's pidfd; it is sent when the process is ready.
    PidfdSocket,
    /// Connect to the agent that answers notified system calls; it gets the filter's listener once there is one.
    SeccompAgent,
    /// clone3(2): the new process is born, in its new namespaces and, where the kernel can, in its cgroup.
    Clone,
    // The runtime, while the new process waits.
    /// Write the maps of the new user namespace.
    WriteMaps,
    /// Let bind mounts show other ids, those of the new user namespace for example.
    MapMounts,
    /// Write `oom_score_adj`.
    OomScore,
    /// Move a network device into the container.
    NetDevice,
    /// Run the prestart and createRuntime hooks.
    RuntimeHook,
    // The new process: where it lives.
    /// Run from a read-only mount of the runtime's own file, before anything else.
    LeaveOwnFile,
    /// Bind an executed process to the processors that it is to have until it is in the cgroup.
    InitialAffinity,
    /// Enter the cgroups that it was not born in.
    EnterCgroup,
    /// Run on the processors of the cgroup, or those asked for, whatever the caller is bound to.
    Affinity,
    /// setns(2): enter the namespaces that exist already.
    JoinNamespace,
    /// Wait until the runtime has written the maps and the like.
    WaitForRuntime,
    /// Become uid 0 and gid 0 of the user namespace.
    BecomeRoot,
    /// Raise the limits that setting up itself is subject to.
    RaiseLimits,
    /// unshare(2) the cgroup namespace, whose root is the cgroup that one is in.
    NewCgroupNamespace,
    /// Shift the clocks of the new time namespace, and enter it.
    TimeOffsets,
    /// Bring up `lo` in a new network namespace.
    Loopback,
    /// Join a new session keyring.
    Keyring,
    /// Make a procfs of the own pid namespace, mounted nowhere yet.
    OpenProc,
    /// Write kernel parameters.
    Sysctl,
    // The new process: its file system.
    /// Cut the new mount namespace off from the one that it was copied from.
    IsolateMounts,
    /// Attach the root file system.
    AttachRootfs,
    /// Carry out one of `/mounts`.
    Mount,
    /// Unmount one of those that are to go from a container that runs.
    Unmount,
    /// Make one device node in `/dev`.
    Device,
    /// Make one of the links in `/dev`.
    DeviceLink,
    /// Make the working directory, if it is not there.
    MakeCwd,
    /// Open the terminal, pass its master end on, and bind it to `/dev/console`.
    Terminal,
    /// Wait until the runtime has run its hooks.
    WaitForHooks,
    /// Run the createContainer hooks.
    CreateContainerHook,
    /// Make one of `/linux/readonlyPaths` read-only.
    ReadonlyPath,
    /// Hide one of `/linux/maskedPaths`.
    MaskedPath,
    /// Make read-only what had to be writable until now.
    SealMounts,
    /// pivot_root(2): the root file system becomes the root.
    Pivot,
    /// Set the propagation of the root mount.
    RootPropagation,
    // The new process: its settings.
    /// Set the host name.
    Hostname,
    /// Set the NIS domain name.
    Domainname,
    /// Put standard input, output and error in place.
    Stdio,
    /// Put the fds that the process keeps in place.
    PreserveFds,
    /// Set the execution domain.
    Personality,
    /// Say on which NUMA nodes memory is to be.
    MemoryPolicy,
    /// Set the scheduling policy.
    Scheduler,
    /// Set the I/O priority.
    IoPriority,
    // The new process: who it is.
    /// Drop from the bounding set of capabilities.
    BoundingSet,
    /// Set the supplementary groups.
    Groups,
    /// Become the user and group of the process.
    User,
    /// Set the other four sets of capabilities.
    Capabilities,
    /// Set no_new_privs.
    NoNewPrivileges,
    /// Ask for the AppArmor profile or the SELinux context at execve(2).
    SecurityLabel,
    /// Enter the working directory, as the final user.
    WorkingDirectory,
    /// Find the program, as the final user.
    FindExecutable,
    // Handing over.
    /// Set the resource limits.
    Limits,
    /// Tell the runtime that all is well so far.
    Ready,
    /// The runtime: write the pid file.
    PidFile,
    /// Wait for `start`.
    StartGate,
    /// Run the startContainer hooks.
    StartContainerHook,
    /// Install the system call filter; earlier where no_new_privs is not set.
    Seccomp,
    /// execve(2).
    Exec,
}

impl Step {
    /// The step with that number, as the flight recorder stores it.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Step> {
        Step::ALL.get(usize::from(number)).copied()
    }

    /// Whether the runtime takes it, rather than the new process.
    #[must_use]
    pub fn belongs_to_runtime(self) -> bool {
        self <= Step::RuntimeHook || matches!(self, Step::PidFile)
    }

    /// Its number in the flight recorder.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Its name in kebab-case, as traces, `husk state` and the documentation spell it.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn numbers_and_names_are_one_to_one() {
        for (index, step) in Step::ALL.iter().enumerate() {
            assert_eq!(usize::from(step.number()), index);
            assert_eq!(Step::from_number(step.number()), Some(*step));
        }
        assert_eq!(Step::CreateContainerHook.name(), "create-container-hook");
    }
}
