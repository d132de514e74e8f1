//! The unit of systemd whose directory the container's cgroup is.
//!
//! systemd starts a scope only around a process. Born first is therefore a *placeholder* that does nothing but wait: with
//! it the scope is there, empty of anything of the container's, and its limits can be written before the container's
//! init is born in it like in any other cgroup. When that is ready the placeholder ends. If the runtime dies first, so does it, and
//! systemd clears the empty scope away.

#![forbid(unsafe_code)]

use crate::error::{Error, ErrorKind, Result};
use crate::options::SystemdManager;
use crate::plan::{CgroupPlan, PropertyValue, Step, UnitPlan, UnitProperty};
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
    /// Where below the unit's directory the container's processes are born.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    below: String,
}

impl UnitRecord {
    /// Of a unit that is going to be started.
    pub(crate) fn planned(plan: &CgroupPlan) -> Option<UnitRecord> {
        plan.unit.as_ref().map(|unit| UnitRecord::of(plan, unit))
    }

    fn of(plan: &CgroupPlan, unit: &UnitPlan) -> UnitRecord {
        let below = plan.birthplace_in(&plan.directory_in(Path::new("/")));
        let below = if below == Path::new("/") { String::new() } else { below.display().to_string() };
        UnitRecord { name: unit.name.clone(), manager: unit.manager.clone(), below }
    }

    /// Ends the unit, if systemd still knows it.
    pub(crate) fn stop(&self) -> Result<()> {
        Systemd::connect(&self.manager)?.stop(&self.name)
    }

    /// Has systemd move a process into it, which a user may not do who comes from outside of what is delegated, as from
    /// a login session (cgroups(7), "Delegation containment").
    pub(crate) fn attach(&self, pid: i32) -> Result<()> {
        let mut systemd = Systemd::connect(&self.manager)?;
        systemd.attach(&self.name, &self.below, pid).map_err(|error| error.at(Step::EnterCgroup))
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
    /// A limit of processes in which there is no room for the placeholder, and which is set when that has gone.
    late_limit: Option<UnitProperty>,
    stop_on_drop: bool,
}

impl Unit {
    /// Starts it. Returns it, and its directory.
    pub(super) fn start(cgroup: &CgroupPlan, plan: &UnitPlan, mountpoint: &Path) -> Result<(Unit, PathBuf)> {
        let record = UnitRecord::of(cgroup, plan);
        let placeholder = if plan.is_slice() { None } else { Some(Placeholder::new()?) };
        let pid = placeholder.as_ref().map(|placeholder| placeholder.0.pid);
        let mut plan = plan.clone();
        let late_limit = if pid.is_some() { make_room(&mut plan) } else { None };
        let plan = &plan;
        let mut systemd = Systemd::connect(&plan.manager).map_err(|error| error.at(Step::MakeCgroup))?;
        let started = systemd.start(plan, pid).map_err(|error| error.at(Step::MakeCgroup))?;
        let unit = Unit { record, placeholder, late_limit, stop_on_drop: started == Started::Now };
        let below = match pid {
            Some(pid) => cgroup_of(pid)?,
            None => systemd.control_group(&plan.name).map_err(|error| error.at(Step::MakeCgroup))?,
        };
        Ok((unit, mountpoint.join(below.trim_start_matches('/'))))
    }

    /// A cgroup that hands controllers on has no processes of its own (cgroups(7), "no internal processes"), so the
    /// placeholder goes where the container's process is going to be born.
    pub(super) fn move_down(&self, path: &Path) -> Result<()> {
        let Some(Placeholder(born)) = &self.placeholder else { return Ok(()) };
        let file = path.join("cgroup.procs");
        std::fs::write(&file, born.pid.to_string()).map_err(|error| {
            Error::io(format!("cannot write to {}", file.display()), "write", &error).at(Step::MakeCgroup)
        })
    }

    /// Whether the limit of processes is yet to be set.
    pub(super) fn has_late_limit(&self) -> bool {
        self.late_limit.is_some()
    }

    /// The container's process is in it, and needs no placeholder.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.placeholder = None;
        match self.late_limit.take() {
            Some(limit) => self.record.set_properties(&[limit]),
            None => Ok(()),
        }
    }

    /// Ends the placeholder: nothing is going to be born here.
    pub(super) fn dismiss(&mut self) {
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

/// Where so few processes may be that the placeholder would keep out the container's first ones, one more is allowed
/// for as long as it is there. Returns the limit that was asked for.
fn make_room(plan: &mut UnitPlan) -> Option<UnitProperty> {
    // A joiner and the init.
    const FIRST_ONES: u64 = 2;
    let limit = plan.properties.iter_mut().find(|property| property.name == "TasksMax")?;
    let PropertyValue::Uint64(tasks @ ..=FIRST_ONES) = limit.value else { return None };
    let asked = limit.clone();
    limit.value = PropertyValue::Uint64(tasks + 1);
    Some(asked)
}

/// A process that waits to be killed.
#[derive(Debug)]
struct Placeholder(Born);

impl Placeholder {
    fn new() -> Result<Placeholder> {
        let born = sys::placeholder().map_err(|failed| {
            Error::os("cannot make a process to start the scope with", failed.call.name(), failed.errno)
                .at(Step::MakeCgroup)
        })?;
        // If memory is too short for the container's process, it is that one which has to die of it, and the scope has
        // to be there to tell. Not everybody may ask for this.
        let _ = std::fs::write(format!("/proc/{}/oom_score_adj", born.pid), "-1000");
        Ok(Placeholder(born))
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
