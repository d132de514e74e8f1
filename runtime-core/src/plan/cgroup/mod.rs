//! Where in the cgroup tree the container lives, and what is written there
//! (runtime-spec config-linux.md, "Control groups"; cgroups(7); the kernel's admin-guide/cgroup-v2 and cgroup-v1).
//!
//! One plan serves both versions: directories, then writes into files of those directories, in order. [`v2`] and
//! [`v1`] translate `/linux/resources` into writes, [`fields`] reads what they share, [`device_rules`] decides about
//! devices. Nothing is dropped: what the host's version cannot do is a problem with its pointer. As engines send zeros
//! for "not set", a zero is no limit wherever runc takes it for none; `/linux/resources/pids/limit` is the exception
//! (runtime-spec 1.3).

#![forbid(unsafe_code)]

mod below;
mod device_rules;
mod fields;
mod property;
#[cfg(test)]
mod tests;
mod unit;
mod update;
mod v1;
mod v2;

pub use device_rules::{Access, DeviceKind, DeviceRule};
pub use property::PropertyValue;
pub(crate) use unit::ANNOTATION as UNIT_PROPERTY;
pub use unit::{UnitPlan, UnitProperty};
pub(crate) use update::plan_update;

use crate::error::Problem;
use crate::host::{CgroupLayout, Host};
use crate::id::ContainerId;
use crate::options::{CreateOptions, SystemdManager};
use oci_spec::runtime as spec;
use std::path::{Component, Path, PathBuf};

/// The container's cgroup, planned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CgroupPlan {
    /// The unit whose directory it is, where systemd makes it; the path below is then what is to be expected.
    pub unit: Option<UnitPlan>,
    /// One directory for each hierarchy; the v2 one, if there is one, is the first.
    pub directories: Vec<CgroupDirectory>,
    /// Where below the unit's directory the container's is; empty where it is the unit's own.
    pub subgroup: PathBuf,
    /// Where below the container's directory, which has the limits, its processes live, so that they may do with theirs
    /// as they like; empty where they live in the container's own. Only where v2 is alone.
    pub delegated: PathBuf,
    /// What is written, in order, before a process lives there.
    pub writes: Vec<CgroupWrite>,
    /// Device rules for the v2 directory, the later ones win; under v1 they are among `writes`. `None`: no rules,
    /// because v1 has them or because the caller lacks the privilege (who then cannot make devices either).
    pub device_rules: Option<Vec<DeviceRule>>,
    /// Where a directory may not be made, the container stays in the caller's cgroup, unless it has limits there.
    pub optional: Absence,
    /// The user of the host whom the v2 directory is given to.
    pub owner: Option<u32>,
    /// None of the directories is made: the container stays in the caller's cgroups.
    pub disabled: bool,
}

/// Which directories a container may do without, because the caller has no permission to make them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Absence {
    /// None.
    #[default]
    Never,
    /// The config names a cgroup, which has to be made. Beside v1 hierarchies the one of v2 has no controllers, and is
    /// mostly not among what a user is given.
    WithoutControllers,
    /// Any: no cgroup is asked for by name.
    Any,
}

/// A directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupDirectory {
    /// The controllers of this v1 hierarchy, or its name as `name=systemd`; empty for v2.
    pub controllers: Vec<String>,
    /// Where the hierarchy is mounted.
    pub mountpoint: PathBuf,
    /// The container's directory, absolute, below the mount point.
    pub path: PathBuf,
}

impl CgroupPlan {
    /// Whether the container can go without this directory where it may not be made.
    pub(crate) fn can_do_without(&self, directory: &CgroupDirectory) -> bool {
        match self.optional {
            Absence::Never => false,
            Absence::WithoutControllers => directory.is_v2() && self.directories.len() > 1,
            Absence::Any => true,
        }
    }
}

impl CgroupDirectory {
    /// Whether it belongs to cgroup v2.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }
}

/// One write(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupWrite {
    /// Which of [`CgroupPlan::directories`].
    pub directory: usize,
    /// The controller that owns the file, as the kernel names it.
    pub controller: String,
    /// The file's name.
    pub file: String,
    /// What is written.
    pub value: String,
    /// When the kernel has no such file.
    pub absent: Absent,
    /// The field of config.json that asked for it.
    pub pointer: String,
}

/// What to do when a file that is to be written does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// Fail: the limit was asked for.
    Fail,
    /// Go on: without the file there is nothing to limit.
    Skip,
    /// The same limit has another file on other kernels.
    Instead {
        /// Its name.
        file: String,
        /// The value in its terms.
        value: String,
    },
}

/// Plans the cgroup.
pub(crate) fn plan(
    linux: Option<&spec::Linux>,
    id: &ContainerId,
    host: &Host,
    options: &CreateOptions,
    problems: &mut Vec<Problem>,
) -> CgroupPlan {
    let asked = linux.and_then(|linux| linux.cgroups_path().as_deref()).filter(|path| *path != Path::new(""));
    let place = match &options.systemd {
        None => Place::new(asked, id, problems)
            .map(|place| CgroupPlan { directories: directories(&place, host), ..CgroupPlan::default() }),
        Some(manager) => in_unit(asked, id, host, manager, problems),
    };
    let Some(mut plan) = place else { return CgroupPlan::default() };

    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let mut writer = Writer { directories: &plan.directories, writes: Vec::new(), problems };
    let unified = matches!(writer.directories, [only] if only.is_v2());
    if let Some(resources) = resources {
        if unified {
            v2::resources(resources, &mut writer);
        } else {
            v1::resources(resources, &mut writer);
        }
    }
    plan.optional = match (ignores_permissions(host, options), asked) {
        (false, _) => Absence::Never,
        _ if plan.unit.is_some() => Absence::Never,
        (true, Some(_)) => Absence::WithoutControllers,
        (true, None) => Absence::Any,
    };
    // Without privilege nobody makes a device node or opens one that the caller may not open: no rules are needed,
    // and loading them would be refused.
    if options.no_cgroup {
        plan.disabled = true;
        refuse_all(asked, &mut writer);
    } else if host.privileged {
        let rules = device_rules::collect(linux, writer.problems);
        if unified {
            plan.device_rules = Some(rules);
        } else if writer.directory("devices").is_some() {
            device_rules::v1_writes(&rules, &mut writer);
        } else if plan.directories.first().is_some_and(CgroupDirectory::is_v2) {
            plan.device_rules = Some(rules);
        } else {
            report(
                writer.problems,
                "/linux/resources/devices",
                "access to devices cannot be controlled: neither cgroup v2 nor the v1 devices controller is mounted",
            );
        }
    }
    plan.writes = writer.writes;
    leave_out_idle_weight(&mut plan.writes);
    if let Some(unit) = &mut plan.unit {
        unit.properties.extend(unit::properties_of(&mut plan.writes));
    }
    plan
}

/// The annotations that speak of the unit, and of cgroups further below.
pub(crate) fn plan_annotations(spec: &spec::Spec, plan: &mut CgroupPlan, problems: &mut Vec<Problem>) {
    if let Some(unit) = &mut plan.unit {
        unit::annotations(spec, unit, problems);
    }
    below::annotations(spec, plan, problems);
}

/// The place of a cgroup that systemd makes.
fn in_unit(
    asked: Option<&Path>,
    id: &ContainerId,
    host: &Host,
    manager: &SystemdManager,
    problems: &mut Vec<Problem>,
) -> Option<CgroupPlan> {
    let CgroupLayout::Unified { mountpoint } = &host.cgroups else {
        let message = "the systemd cgroup manager needs a host with cgroup v2 alone; leave --systemd-cgroup out and \
                       give a plain path";
        report(problems, "/linux/cgroupsPath", message);
        return None;
    };
    let unit = unit::plan(asked, id, manager, problems)?;
    let directory = CgroupDirectory {
        controllers: Vec::new(),
        mountpoint: mountpoint.clone(),
        path: mountpoint.join(unit::expected_directory(&unit, host)),
    };
    Some(CgroupPlan { directories: vec![directory], unit: Some(unit), ..CgroupPlan::default() })
}

/// Without root a cgroup is welcome, not needed; so it is where somebody is root of a user namespace, who cannot know
/// what the cgroups outside allow. As runc decides it.
fn ignores_permissions(host: &Host, options: &CreateOptions) -> bool {
    options.rootless.unwrap_or(host.euid != 0 || host.in_user_namespace)
}

/// Where no cgroup is made, nothing can be limited.
fn refuse_all(asked: Option<&Path>, writer: &mut Writer<'_>) {
    const WHY: &str =
        "cannot be obeyed without a cgroup, and the caller wants none (--cgroup-manager disabled)";
    if asked.is_some() {
        writer.refuse("/linux/cgroupsPath", WHY);
    }
    let mut pointers: Vec<String> = writer.writes.drain(..).map(|write| write.pointer).collect();
    pointers.dedup();
    for pointer in pointers {
        writer.refuse(&pointer, WHY);
    }
}

/// Where the container's directory lies in each hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Counted from the root of the hierarchy, rather than from the runtime's own place.
    absolute: bool,
    /// Clean: neither `.` nor `..`, not empty, no leading slash.
    inner: PathBuf,
}

impl Place {
    /// `..` never leads out of the hierarchy: it is resolved here, against the root, as runc does.
    fn new(asked: Option<&Path>, id: &ContainerId, problems: &mut Vec<Problem>) -> Option<Place> {
        let Some(asked) = asked else {
            return Some(Place { absolute: false, inner: PathBuf::from(id.as_str()) });
        };
        let mut inner = PathBuf::new();
        for component in asked.components() {
            match component {
                Component::Normal(name) => inner.push(name),
                Component::ParentDir => {
                    inner.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        if asked.as_os_str().as_encoded_bytes().contains(&0) {
            report(problems, "/linux/cgroupsPath", "contains a NUL byte");
            return None;
        }
        if inner.as_os_str().is_empty() {
            report(
                problems,
                "/linux/cgroupsPath",
                format!("{asked:?} is the root of the cgroup tree; a container needs a directory of its own"),
            );
            return None;
        }
        Some(Place { absolute: asked.is_absolute(), inner })
    }

    /// The directory below `mountpoint`, a relative place counting from `base`.
    fn below(&self, mountpoint: &Path, base: &str) -> PathBuf {
        let base = if self.absolute { "" } else { base.trim_start_matches('/') };
        mountpoint.join(base).join(&self.inner)
    }
}

fn directories(place: &Place, host: &Host) -> Vec<CgroupDirectory> {
    let directory = |controllers: &[String], mountpoint: &Path, base: &str| CgroupDirectory {
        controllers: controllers.to_vec(),
        mountpoint: mountpoint.to_owned(),
        path: place.below(mountpoint, base),
    };
    match &host.cgroups {
        CgroupLayout::Unified { mountpoint } => {
            // A v2 cgroup that has processes, as the runtime's own has, cannot give controllers to a child
            // (cgroups(7), "no internal processes"): the container goes beside it.
            let parent = Path::new(&host.own_cgroup).parent().and_then(Path::to_str).unwrap_or("");
            vec![directory(&[], mountpoint, parent)]
        }
        CgroupLayout::Hybrid { hierarchies, unified } => {
            let unified = unified.iter().map(|mountpoint| directory(&[], mountpoint, &host.own_cgroup));
            let v1 = hierarchies.iter().map(|h| directory(&h.controllers, &h.mountpoint, &h.own_cgroup));
            unified.chain(v1).collect()
        }
        CgroupLayout::None => Vec::new(),
    }
}

fn report(problems: &mut Vec<Problem>, pointer: impl Into<String>, message: impl Into<String>) {
    problems.push(Problem { pointer: pointer.into(), message: message.into() });
}

/// The kernel takes no weight of an idle group, which has none, and systemd makes it idle before anything is written.
fn leave_out_idle_weight(writes: &mut Vec<CgroupWrite>) {
    if writes.iter().any(|write| write.file == "cpu.idle" && write.value.trim() == "1") {
        writes.retain(|write| write.file != "cpu.weight");
    }
}

/// Collects the writes of one plan.
struct Writer<'a> {
    directories: &'a [CgroupDirectory],
    writes: Vec<CgroupWrite>,
    problems: &'a mut Vec<Problem>,
}

impl Writer<'_> {
    /// The directory whose hierarchy has this controller: v2 has them all as far as planning knows.
    fn directory(&self, controller: &str) -> Option<usize> {
        match self.directories {
            [only] if only.is_v2() => Some(0),
            many => many.iter().position(|directory| directory.controllers.iter().any(|c| c == controller)),
        }
    }

    /// Plans a write into `CONTROLLER.…`; a file that is missing is an error.
    fn set(&mut self, file: impl Into<String>, value: impl ToString, pointer: impl Into<String>) {
        self.set_or(Absent::Fail, file, value, pointer);
    }

    fn set_or(
        &mut self,
        absent: Absent,
        file: impl Into<String>,
        value: impl ToString,
        pointer: impl Into<String>,
    ) {
        let (file, pointer) = (file.into(), pointer.into());
        let controller = file.split('.').next().unwrap_or_default().to_owned();
        match self.directory(&controller) {
            Some(directory) => self.writes.push(CgroupWrite {
                directory,
                controller,
                file,
                value: value.to_string(),
                absent,
                pointer,
            }),
            None => {
                let message = format!("this host has no cgroup v1 {controller} controller mounted");
                report(self.problems, pointer, message);
            }
        }
    }

    fn refuse(&mut self, pointer: &str, message: &str) {
        report(self.problems, pointer, message);
    }
}
