//! The unit of systemd whose directory the container's cgroup is.
//!
//! systemd starts a scope only around a process. Born first is therefore a *placeholder* that does nothing but wait: with
//! it the scope is there, empty of anything of the container's, and its limits can be written before the container's
//! init is born in it like in any other cgroup. Then the placeholder ends. If the runtime dies first, so does it, and
//! systemd clears the empty scope away.

#![forbid(unsafe_code)]

use crate::error::{Error, ErrorKind, Result};
use crate::options::SystemdManager;
use crate::plan::{CgroupPlan, Step, UnitPlan, UnitProperty};
use crate::sys::{self, Born};
use crate::systemd::{Started, Systemd};
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Which unit, for the record on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    name: String,
    manager: SystemdManager,
}

impl UnitRecord {
    /// Of a unit that is going to be started.
    pub(crate) fn planned(plan: &CgroupPlan) -> Option<UnitRecord> {
        let unit = plan.unit.as_ref()?;
        Some(UnitRecord { name: unit.name.clone(), manager: unit.manager.clone() })
    }

    /// Ends the unit, if systemd still knows it.
    pub(crate) fn stop(&self) -> Result<()> {
        Systemd::connect(&self.manager)?.stop(&self.name)
    }

    /// Has systemd move a process into it, which a user may not do who comes from outside of what is delegated, as from
    /// a login session (cgroups(7), "Delegation containment").
    pub(crate) fn attach(&self, pid: i32) -> Result<()> {
        Systemd::connect(&self.manager)?.attach(&self.name, pid).map_err(|error| error.at(Step::EnterCgroup))
    }

    /// Tells systemd of new limits: all of them or none.
    pub(crate) fn set_properties(&self, properties: &[UnitProperty]) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        Systemd::connect(&self.manager)?.set_properties(&self.name, properties)
    }
}

/// A unit that was started. Dropping it stops it again, unless it was kept.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) record: UnitRecord,
    placeholder: Option<Placeholder>,
    stop_on_drop: bool,
}

impl Unit {
    /// Starts it. Returns it, and its directory.
    pub(super) fn start(plan: &UnitPlan, mountpoint: &Path) -> Result<(Unit, PathBuf)> {
        let placeholder = if plan.is_slice() { None } else { Some(Placeholder::new()?) };
        let pid = placeholder.as_ref().map(|placeholder| placeholder.0.pid);
        let mut systemd = Systemd::connect(&plan.manager).map_err(|error| error.at(Step::MakeCgroup))?;
        let started = systemd.start(plan, pid).map_err(|error| error.at(Step::MakeCgroup))?;
        let record = UnitRecord { name: plan.name.clone(), manager: plan.manager.clone() };
        let unit = Unit { record, placeholder, stop_on_drop: started == Started::Now };
        let below = match pid {
            Some(pid) => cgroup_of(pid)?,
            None => systemd.control_group(&plan.name).map_err(|error| error.at(Step::MakeCgroup))?,
        };
        Ok((unit, mountpoint.join(below.trim_start_matches('/'))))
    }

    /// The container's process is in it.
    pub(super) fn settle(&mut self) {
        self.placeholder = None;
    }

    /// It stays when this handle goes.
    pub(super) fn keep(&mut self) {
        self.stop_on_drop = false;
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        self.placeholder = None;
        self.stop_on_drop = false;
        self.record.stop()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if self.stop_on_drop {
            // The first error is the one to tell.
            let _ = self.stop();
        }
    }
}

/// A process that waits to be killed.
#[derive(Debug)]
struct Placeholder(Born);

impl Placeholder {
    fn new() -> Result<Placeholder> {
        sys::placeholder().map(Placeholder).map_err(|failed| {
            Error::os("cannot make a process to start the scope with", failed.call.name(), failed.errno)
                .at(Step::MakeCgroup)
        })
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        let _ = sys::pidfd_send_signal(self.0.pidfd.as_fd(), libc::SIGKILL);
        let _ = sys::waitid(self.0.pidfd.as_fd(), true);
    }
}

/// Where systemd has put the process: the line of the v2 hierarchy (cgroups(7)).
fn cgroup_of(pid: i32) -> Result<String> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::io(format!("cannot read {path}"), "read", &error).at(Step::MakeCgroup))?;
    let found = text.lines().find_map(|line| line.strip_prefix("0::"));
    match found.filter(|path| !path.starts_with("/..")) {
        Some(path) => Ok(path.to_owned()),
        None => {
            let message =
                format!("systemd has put the scope where it cannot be seen from here: {}", text.trim());
            Err(Error::new(ErrorKind::Unsupported, message)
                .at(Step::MakeCgroup)
                .with_hint("the runtime has to share the cgroup namespace of its systemd"))
        }
    }
}
