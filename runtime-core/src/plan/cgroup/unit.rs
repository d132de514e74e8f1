//! The container's cgroup as a unit of systemd (systemd.scope(5), systemd.resource-control(5)).
//!
//! `/linux/cgroupsPath` reads `slice:prefix:name`. What systemd is told of limits is translated from the planned writes
//! into cgroup files, so that the config's fields, its `unified` map and later updates all come by one way: systemd
//! writes the same values again whenever it likes, and everything it has no property for stays as it was written.
//! Devices are left to husk's own program: what systemd does not know it cannot take away when it reloads.

#![forbid(unsafe_code)]

use super::property::{self, PropertyValue};
use super::{Absent, CgroupWrite, report};
use crate::error::Problem;
use crate::host::Host;
use crate::id::ContainerId;
use crate::options::SystemdManager;
use crate::plan::problems::escaped;
use oci_spec::runtime::Spec;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A transient unit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitPlan {
    /// `PREFIX-NAME.scope`; or a slice, which the container has for itself.
    pub name: String,
    /// The slice that it lies in; `-.slice` is the root.
    pub slice: String,
    /// Who runs it.
    pub manager: SystemdManager,
    /// What systemd is told of it, in order.
    pub properties: Vec<UnitProperty>,
}

/// A property of the unit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitProperty {
    /// As systemd's D-Bus interface names it.
    pub name: String,
    /// Its value.
    pub value: PropertyValue,
    /// The field of config.json that asked for it; empty for what every unit gets.
    pub pointer: String,
}

fn property(name: &str, value: PropertyValue, pointer: &str) -> UnitProperty {
    UnitProperty { name: name.to_owned(), value, pointer: pointer.to_owned() }
}

impl UnitPlan {
    /// Whether it is a slice: a unit without processes of its own making, which may exist already.
    pub(crate) fn is_slice(&self) -> bool {
        self.name.ends_with(SLICE)
    }
}

const SLICE: &str = ".slice";
const PATH: &str = "/linux/cgroupsPath";

/// Reads `slice:prefix:name`.
pub(super) fn plan(
    asked: Option<&Path>,
    id: &ContainerId,
    manager: &SystemdManager,
    problems: &mut Vec<Problem>,
) -> Option<UnitPlan> {
    let own = format!(":husk:{id}");
    let text = match asked {
        None => own.as_str(),
        Some(path) => path.to_str().unwrap_or_default(),
    };
    let parts: Vec<&str> = text.split(':').collect();
    let &[slice, prefix, name] = parts.as_slice() else {
        let message = format!("expected \"slice:prefix:name\" for systemd cgroups, got {text:?} instead");
        report(problems, PATH, message);
        return None;
    };
    let before = problems.len();
    let slice = match slice {
        "" if manager.is_user() => "user.slice".to_owned(),
        "" => "system.slice".to_owned(),
        "-" => "-.slice".to_owned(),
        slice => slice.to_owned(),
    };
    let name = if name.ends_with(SLICE) { name.to_owned() } else { format!("{prefix}-{name}.scope") };
    for unit in [&slice, &name] {
        if !is_unit_name(unit) {
            report(problems, PATH, format!("{unit:?} cannot be the name of a unit of systemd"));
        }
    }
    for slice in [Some(&slice), Some(&name).filter(|name| name.ends_with(SLICE))].into_iter().flatten() {
        if directories_of(slice).is_none() {
            report(problems, PATH, format!("{slice:?} is not the name of a slice, such as a-b.slice"));
        }
    }
    (problems.len() == before).then(|| UnitPlan {
        properties: base(&name, &slice, id),
        name,
        slice,
        manager: manager.clone(),
    })
}

/// What a unit's name is made of (systemd.unit(5)), without the `@` of templates.
fn is_unit_name(name: &str) -> bool {
    name.len() < 256
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\'))
}

/// A slice's directory below the manager's: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
fn directories_of(slice: &str) -> Option<PathBuf> {
    let stem = slice.strip_suffix(SLICE)?;
    let mut path = PathBuf::new();
    if stem == "-" {
        return Some(path);
    }
    let mut prefix = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return None;
        }
        prefix.push_str(part);
        path.push(format!("{prefix}{SLICE}"));
        prefix.push('-');
    }
    Some(path)
}

/// Where the unit's directory is expected below the mount point; systemd has the last word.
pub(super) fn expected_directory(unit: &UnitPlan, host: &Host) -> PathBuf {
    let slice = directories_of(if unit.is_slice() { &unit.name } else { &unit.slice }).unwrap_or_default();
    let below_manager = if unit.is_slice() { slice } else { slice.join(&unit.name) };
    if unit.manager.is_user() { users_directory(host).join(below_manager) } else { below_manager }
}

/// A user's systemd is a service of the machine's (user@.service(5)), which mostly is above the caller, too.
fn users_directory(host: &Host) -> PathBuf {
    let own = Path::new(host.own_cgroup.trim_start_matches('/'));
    let is_service = |path: &&Path| {
        let name = path.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name.starts_with("user@") && name.ends_with(".service"))
    };
    match own.ancestors().find(is_service) {
        Some(path) => path.to_owned(),
        None => PathBuf::from(format!("user.slice/user-{0}.slice/user@{0}.service", host.euid)),
    }
}

/// What every unit is told. Everything is accounted, as the cgroupfs manager has it. One that fails is there until the
/// container is deleted: `systemctl status` says why.
fn base(name: &str, slice: &str, id: &ContainerId) -> Vec<UnitProperty> {
    let text = |text: &str| PropertyValue::Text(text.to_owned());
    let yes = PropertyValue::Boolean(true);
    let mut properties = vec![property("Description", text(&format!("husk container {id}")), "")];
    if name.ends_with(SLICE) {
        let list = PropertyValue::List("s".to_owned(), vec![text(slice)]);
        properties.push(property("Wants", list, PATH));
    } else {
        properties.push(property("Slice", text(slice), PATH));
        // systemd leaves what is below alone, and gives all controllers.
        properties.push(property("Delegate", yes.clone(), ""));
    }
    for name in ["CPUAccounting", "IOAccounting", "MemoryAccounting", "TasksAccounting"] {
        properties.push(property(name, yes.clone(), ""));
    }
    // With them a shutdown would end the container at once, before its engine can.
    properties.push(property("DefaultDependencies", PropertyValue::Boolean(false), ""));
    properties
}

/// Annotations `org.systemd.property.NAME`, whose values take the place of those that husk would give.
pub(super) fn annotations(spec: &Spec, unit: &mut UnitPlan, problems: &mut Vec<Problem>) {
    let mut given: Vec<_> = spec.annotations().iter().flatten().collect();
    given.sort();
    for (key, text) in given {
        let Some(name) = key.strip_prefix(ANNOTATION) else { continue };
        let pointer = format!("/annotations/{}", escaped(key));
        if name.len() < 3 || !name.chars().all(|c| c.is_ascii_alphabetic()) {
            report(
                problems,
                pointer,
                format!("{name:?} is not the name of a property: three or more letters"),
            );
            continue;
        }
        let value = match property::parse(text) {
            Ok(value) => value,
            Err(message) => {
                report(problems, pointer, format!("{text:?} is no value in GVariant text format: {message}"));
                continue;
            }
        };
        // `TimeoutStopSec` is what unit files have, D-Bus has `TimeoutStopUSec`.
        let stem = name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase()));
        let (name, value) = match stem {
            None => (name.to_owned(), value),
            Some(stem) => match value.seconds_to_microseconds() {
                Some(value) => (format!("{stem}USec"), value),
                None => {
                    report(problems, pointer, format!("{text:?} is no number of seconds"));
                    continue;
                }
            },
        };
        unit.properties.retain(|other| other.name != name);
        unit.properties.push(UnitProperty { name, value, pointer });
    }
}

/// What the names of such annotations start with.
pub(crate) const ANNOTATION: &str = "org.systemd.property.";

/// The properties that say what the writes say, as far as there are any. A processor quota is rounded up to whole
/// percents of a processor, in the write too: systemd keeps no finer ones.
pub(super) fn properties_of(writes: &mut [CgroupWrite]) -> Vec<UnitProperty> {
    let idle = writes.iter().any(|write| write.file == "cpu.idle" && write.value == "1");
    let mut properties: Vec<UnitProperty> = Vec::new();
    for write in writes {
        let found: Vec<(&str, Option<PropertyValue>)> = match write.file.as_str() {
            "memory.max" => vec![("MemoryMax", amount(&write.value))],
            "memory.low" => vec![("MemoryLow", amount(&write.value))],
            "memory.min" => vec![("MemoryMin", amount(&write.value))],
            "memory.high" => vec![("MemoryHigh", amount(&write.value))],
            "memory.swap.max" => vec![("MemorySwapMax", amount(&write.value))],
            "pids.max" => vec![("TasksMax", amount(&write.value))],
            // To systemd a weight of 0 is an idle group; there is no second property for that.
            "cpu.idle" if idle => vec![("CPUWeight", Some(PropertyValue::Uint64(0)))],
            "cpu.weight" if !idle => vec![("CPUWeight", amount(&write.value))],
            "cpu.max" => quota(&mut write.value),
            "cpuset.cpus" => vec![("AllowedCPUs", set(&write.value))],
            "cpuset.mems" => vec![("AllowedMemoryNodes", set(&write.value))],
            "io.weight" => vec![("IOWeight", amount(write.value.trim_start_matches("default ")))],
            "io.bfq.weight" => match &write.absent {
                Absent::Instead { value, .. } => vec![("IOWeight", amount(value))],
                _ => Vec::new(),
            },
            "memory.oom.group" => vec![("OOMPolicy", oom_policy(&write.value))],
            _ => Vec::new(),
        };
        for (name, value) in found {
            let Some(value) = value else { continue };
            properties.retain(|other| other.name != name);
            properties.push(property(name, value, &write.pointer));
        }
    }
    properties
}

/// A number, or `max`. What is neither the kernel is going to refuse.
fn amount(text: &str) -> Option<PropertyValue> {
    let number = if text.trim() == "max" { u64::MAX } else { text.trim().parse().ok()? };
    Some(PropertyValue::Uint64(number))
}

fn oom_policy(text: &str) -> Option<PropertyValue> {
    let policy = match text.trim() {
        "0" => "continue",
        "1" => "kill",
        _ => return None,
    };
    Some(PropertyValue::Text(policy.to_owned()))
}

/// `QUOTA [PERIOD]`, in microseconds; 100000 is the kernel's default period.
fn quota(text: &mut String) -> Vec<(&'static str, Option<PropertyValue>)> {
    const SECOND: u128 = 1_000_000;
    const PERCENT: u128 = SECOND / 100;
    let mut words = text.split_whitespace();
    let (quota, period) = (words.next().unwrap_or_default(), words.next().unwrap_or("100000"));
    let Ok(period) = period.parse::<u64>() else { return Vec::new() };
    let per_second = match quota.parse::<u128>() {
        Ok(quota) if period > 0 => (quota * SECOND).div_ceil(u128::from(period)).div_ceil(PERCENT) * PERCENT,
        _ if quota == "max" => u128::from(u64::MAX),
        _ => return Vec::new(),
    };
    let Ok(per_second) = u64::try_from(per_second) else { return Vec::new() };
    if per_second != u64::MAX {
        text.clear();
        let _ = write!(text, "{} {period}", u128::from(per_second) * u128::from(period) / SECOND);
    }
    vec![
        ("CPUQuotaPeriodUSec", Some(PropertyValue::Uint64(period))),
        ("CPUQuotaPerSecUSec", Some(PropertyValue::Uint64(per_second))),
    ]
}

/// The kernel's list format, `0-2,7`, as bits, the lowest first.
fn set(text: &str) -> Option<PropertyValue> {
    const MOST: usize = 8192;
    let mut bytes: Vec<u8> = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first || last >= MOST {
            return None;
        }
        bytes.resize(bytes.len().max(last / 8 + 1), 0);
        for bit in first..=last {
            bytes[bit / 8] |= 1 << (bit % 8);
        }
    }
    Some(PropertyValue::bytes(bytes))
}
