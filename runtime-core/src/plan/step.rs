//! [`Step`]: every thing that can fail has one name, used by code, errors, traces, documentation and fault tests.

/// A place in the making of a container or of a process in it. The order is the order of events; steps of the
/// runtime (the calling process) come first, then those of the new process, which is born at [`Step::Clone`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[non_exhaustive]
#[rustfmt::skip]
pub enum Step {
    // The runtime, before the clone.
    ClaimId, WriteRecord, MakeCgroup, LimitCgroup, OpenRootfs, OpenSource, OpenConsole, Clone,
    // The runtime, while the new process waits.
    WriteMaps, OomScore, RuntimeHook,
    // The new process: where it lives.
    EnterCgroup, JoinNamespace, WaitForRuntime, BecomeRoot, RaiseLimits, NewCgroupNamespace, TimeOffsets, Loopback, Keyring, OpenProc, Sysctl,
    // The new process: its file system.
    IsolateMounts, AttachRootfs, Mount, Device, DeviceLink, MakeCwd, Terminal, WaitForHooks,
    CreateContainerHook, ReadonlyPath, MaskedPath, SealMounts, Pivot, RootPropagation,
    // The new process: its settings.
    Hostname, Domainname, Stdio,
    // The new process: who it is.
    BoundingSet, Groups, User, Capabilities, NoNewPrivileges, SecurityLabel,
    WorkingDirectory, FindExecutable, PreserveFds,
    // Handing over.
    Limits, Ready, PidFile, StartGate, StartContainerHook, Seccomp, Exec,
}

impl Step {
    /// Every step, in order.
    #[rustfmt::skip]
    pub const ALL: &'static [Step] = {
        use Step::*;
        &[
            ClaimId, WriteRecord, MakeCgroup, LimitCgroup, OpenRootfs, OpenSource, OpenConsole, Clone,
            WriteMaps, OomScore, RuntimeHook,
            EnterCgroup, JoinNamespace, WaitForRuntime, BecomeRoot, RaiseLimits, NewCgroupNamespace, TimeOffsets, Loopback, Keyring, OpenProc, Sysctl,
            IsolateMounts, AttachRootfs, Mount, Device, DeviceLink, MakeCwd, Terminal, WaitForHooks,
            CreateContainerHook, ReadonlyPath, MaskedPath, SealMounts, Pivot, RootPropagation,
            Hostname, Domainname, Stdio,
            BoundingSet, Groups, User, Capabilities, NoNewPrivileges, SecurityLabel,
            WorkingDirectory, FindExecutable, PreserveFds,
            Limits, Ready, PidFile, StartGate, StartContainerHook, Seccomp, Exec,
        ]
    };

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
