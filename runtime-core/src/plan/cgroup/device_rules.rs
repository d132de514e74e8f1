//! Which devices the container may use (runtime-spec config-linux.md, "Allowed Device list").
//!
//! The rules are an ordered list over an empty allow-list: for each of the rights read, write and make, the last rule
//! that covers the device decides. After the config's rules come those that runc appends for every container.
//! Under v2 the list becomes a program that decides exactly so (`cgroup/devices.rs`); the v1 controller can only hold
//! a default and exceptions from it, so there what it cannot express is a problem.

#![forbid(unsafe_code)]

use super::{Writer, report};
use crate::error::Problem;
use oci_spec::runtime as spec;
use std::fmt;
use std::path::Path;

/// Rights over a device, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(pub u8);

impl Access {
    /// Nothing.
    pub const NONE: Access = Access(0);
    /// Make a node of it (mknod(2)).
    pub const MKNOD: Access = Access(1);
    /// Open it for reading.
    pub const READ: Access = Access(2);
    /// Open it for writing.
    pub const WRITE: Access = Access(4);
    /// Everything.
    pub const ALL: Access = Access(7);
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (right, letter) in [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")] {
            if self.0 & right.0 != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Both kinds.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRule {
    /// Grants, or takes away.
    pub allow: bool,
    /// Devices of this kind,
    pub kind: DeviceKind,
    /// of this major number, `None` for any,
    pub major: Option<u32>,
    /// of this minor number, `None` for any.
    pub minor: Option<u32>,
    /// The rights it speaks of; it leaves the others as they are.
    pub access: Access,
    /// Where in config.json it stands; empty for one that every container gets.
    pub pointer: String,
}

impl DeviceRule {
    /// Whether it covers every right over every device, so that rules before it have no say.
    pub(crate) fn is_total(&self) -> bool {
        self.kind == DeviceKind::All
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == Access::ALL
    }
}

/// A rule for character devices that every container gets.
struct Default {
    /// A device that the config lists at this path takes the default's place.
    path: Option<&'static str>,
    major: u32,
    minor: Option<u32>,
}

const fn default(path: Option<&'static str>, major: u32, minor: Option<u32>) -> Default {
    Default { path, major, minor }
}

/// What every container may use, besides making any node. The list is runc's, tun (10:200) included, which engines
/// rely on.
const DEFAULTS: [Default; 9] = [
    default(Some("/dev/null"), 1, Some(3)),
    default(Some("/dev/random"), 1, Some(8)),
    default(Some("/dev/full"), 1, Some(7)),
    default(Some("/dev/tty"), 5, Some(0)),
    default(Some("/dev/zero"), 1, Some(5)),
    default(Some("/dev/urandom"), 1, Some(9)),
    default(None, 136, None),  // /dev/pts/*
    default(None, 5, Some(2)), // ptmx
    default(None, 10, Some(200)),
];

/// The config's rules, then the defaults.
pub(super) fn collect(linux: Option<&spec::Linux>, problems: &mut Vec<Problem>) -> Vec<DeviceRule> {
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let asked = resources.and_then(|resources| resources.devices().as_ref());
    let mut rules: Vec<DeviceRule> = asked
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, rule)| parse(index, rule, problems))
        .collect();
    let listed = linux.and_then(|linux| linux.devices().as_ref());
    let is_listed = |path: &str| listed.into_iter().flatten().any(|device| device.path() == Path::new(path));
    let allow = |kind, major, minor, access| DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        access,
        pointer: String::new(),
    };
    rules.push(allow(DeviceKind::Char, None, None, Access::MKNOD));
    rules.push(allow(DeviceKind::Block, None, None, Access::MKNOD));
    for Default { path, major, minor } in DEFAULTS {
        if !path.is_some_and(is_listed) {
            rules.push(allow(DeviceKind::Char, Some(major), minor, Access::ALL));
        }
    }
    rules
}

fn parse(index: usize, rule: &spec::LinuxDeviceCgroup, problems: &mut Vec<Problem>) -> Option<DeviceRule> {
    let pointer = format!("/linux/resources/devices/{index}");
    let kind = match rule.typ().unwrap_or_default() {
        spec::LinuxDeviceType::A => DeviceKind::All,
        spec::LinuxDeviceType::B => DeviceKind::Block,
        spec::LinuxDeviceType::C | spec::LinuxDeviceType::U => DeviceKind::Char,
        spec::LinuxDeviceType::P => {
            report(problems, format!("{pointer}/type"), "access to a fifo is not controlled by rules");
            return None;
        }
    };
    let mut access = Access::NONE;
    for letter in rule.access().as_deref().unwrap_or_default().chars() {
        access.0 |= match letter {
            'r' => Access::READ.0,
            'w' => Access::WRITE.0,
            'm' => Access::MKNOD.0,
            // The specification has no such letter. In a rule that takes away it can only mean all, and runc takes it there.
            'a' if !rule.allow() => Access::ALL.0,
            other => {
                report(problems, format!("{pointer}/access"), format!("{other:?} is none of r, w and m"));
                return None;
            }
        };
    }
    if access == Access::NONE {
        report(
            problems,
            format!("{pointer}/access"),
            format!("device access at {index} field cannot be empty; give letters of \"rwm\""),
        );
        return None;
    }
    let mut number = |value: Option<i64>, field: &str| match value {
        None | Some(-1) => Some(None),
        Some(value) => match u32::try_from(value) {
            Ok(value) => Some(Some(value)),
            Err(_) => {
                report(problems, format!("{pointer}/{field}"), format!("{value} is no device number"));
                None
            }
        },
    };
    let (major, minor) = (number(rule.major(), "major"), number(rule.minor(), "minor"));
    Some(DeviceRule { allow: rule.allow(), kind, major: major?, minor: minor?, access, pointer })
}

/// A part of the device space with rights over it: what one line of `devices.allow` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    kind: DeviceKind,
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
}

impl Exception {
    fn key(self) -> (DeviceKind, Option<u32>, Option<u32>) {
        (self.kind, self.major, self.minor)
    }

    /// Whether it says all that the other says.
    fn covers(self, other: Exception) -> bool {
        let all_devices = other.intersection(self) == Some(other);
        all_devices && other.access.0 & !self.access.0 == 0
    }

    /// The devices in both; `None` when there is none. The access is this one's.
    fn intersection(self, other: Exception) -> Option<Exception> {
        fn narrow(a: Option<u32>, b: Option<u32>) -> Option<Option<u32>> {
            match (a, b) {
                (Some(a), Some(b)) if a != b => None,
                (a, b) => Some(a.or(b)),
            }
        }
        if self.kind != other.kind {
            return None;
        }
        Some(Exception {
            major: narrow(self.major, other.major)?,
            minor: narrow(self.minor, other.minor)?,
            ..self
        })
    }
}

/// The rules as the v1 devices controller takes them: a default, then exceptions from it.
pub(super) fn v1_writes(rules: &[DeviceRule], writer: &mut Writer<'_>) {
    let start = rules.iter().rposition(DeviceRule::is_total);
    let base = start.is_some_and(|index| rules[index].allow);
    let mut exceptions: Vec<(Exception, &str)> = Vec::new();
    for rule in &rules[start.map_or(0, |index| index + 1)..] {
        let kinds: &[DeviceKind] = match rule.kind {
            DeviceKind::All => &[DeviceKind::Block, DeviceKind::Char],
            DeviceKind::Block => &[DeviceKind::Block],
            DeviceKind::Char => &[DeviceKind::Char],
        };
        for &kind in kinds {
            let this = Exception { kind, major: rule.major, minor: rule.minor, access: rule.access };
            if rule.allow != base {
                add(&mut exceptions, this, &rule.pointer);
            } else if !take_back(&mut exceptions, this) {
                writer.refuse(
                    &rule.pointer,
                    "the cgroup v1 devices controller cannot make an exception from an earlier rule's exception",
                );
            }
        }
    }
    if !base {
        complete(&mut exceptions);
    }
    let (default, exception) =
        if base { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") };
    let pointer = start.map_or("/linux/resources/devices", |index| rules[index].pointer.as_str());
    writer.set(default, "a", pointer);
    for (Exception { kind, major, minor, access }, pointer) in exceptions {
        let letter = if kind == DeviceKind::Block { 'b' } else { 'c' };
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let pointer = if pointer.is_empty() { "/linux/resources/devices" } else { pointer };
        writer.set(exception, format!("{letter} {}:{} {access}", number(major), number(minor)), pointer);
    }
}

/// Returns whether anything changed.
fn add<'a>(exceptions: &mut Vec<(Exception, &'a str)>, this: Exception, pointer: &'a str) -> bool {
    match exceptions.iter_mut().find(|(other, _)| other.key() == this.key()) {
        Some((other, _)) => {
            let before = other.access;
            other.access.0 |= this.access.0;
            other.access != before
        }
        None => {
            exceptions.push((this, pointer));
            true
        }
    }
}

/// Takes rights away again; false when that would need a hole in an exception, which v1 does not know.
fn take_back(exceptions: &mut Vec<(Exception, &str)>, this: Exception) -> bool {
    let mut possible = true;
    for (other, _) in exceptions.iter_mut() {
        match other.intersection(this) {
            Some(common) if common == *other => other.access.0 &= !this.access.0,
            Some(_) if other.access.0 & this.access.0 != 0 => possible = false,
            _ => {}
        }
    }
    exceptions.retain(|(exception, _)| exception.access != Access::NONE);
    possible
}

/// The kernel grants a request only if one line alone grants all of it (devices cgroup, match_exception): where two
/// lines overlap, a line of their joint rights is needed to mean the same as the rules.
fn complete(exceptions: &mut Vec<(Exception, &str)>) {
    let mut changed = true;
    while changed {
        changed = false;
        for i in 0..exceptions.len() {
            for j in 0..exceptions.len() {
                let (a, pointer) = exceptions[i];
                let (b, _) = exceptions[j];
                if let Some(mut common) = a.intersection(b) {
                    common.access.0 |= b.access.0;
                    let granted = exceptions.iter().any(|(exception, _)| exception.covers(common));
                    changed |= !granted && add(exceptions, common, pointer);
                }
            }
        }
    }
}
