//! What containers need of the kernel and of the caller.

use super::Finding;
use super::question::find;
use husk_core::{CgroupLayout, Host};
use std::fs;
use std::path::Path;

const ABOUT: &str = "machine";

pub(super) fn look(own: &Path) -> Vec<Finding> {
    let mut findings =
        vec![Finding::ok(ABOUT, "husk", format!("{} {}", own.display(), env!("CARGO_PKG_VERSION")))];
    let host = match Host::probe() {
        Ok(host) => host,
        Err(error) => {
            findings.push(Finding::missing(ABOUT, "kernel", error.to_string()));
            return findings;
        }
    };
    let (major, minor) = host.kernel;
    findings.push(Finding::ok(ABOUT, "kernel", format!("Linux {major}.{minor}; 5.14 or newer is needed")));
    findings.push(cgroups(&host));
    findings.push(seccomp());
    findings.push(Finding::ok(ABOUT, "labels", labels(&host)));
    findings.push(user_namespaces());
    if !host.privileged {
        findings.extend(without_privileges(&host));
    }
    findings
}

fn cgroups(host: &Host) -> Finding {
    match &host.cgroups {
        CgroupLayout::Unified { mountpoint } => {
            Finding::ok(ABOUT, "cgroups", format!("v2 on {}", mountpoint.display()))
        }
        CgroupLayout::Hybrid { unified, .. } => {
            let beside = if unified.is_some() { ", v2 beside them" } else { "" };
            Finding::note(ABOUT, "cgroups", format!("v1 hierarchies{beside}: what only v2 has is refused"))
        }
        CgroupLayout::None => {
            Finding::missing(ABOUT, "cgroups", "none are mounted: no limits, no pause, no ps")
                .remedy("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        }
    }
}

fn seccomp() -> Finding {
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) => Finding::ok(ABOUT, "seccomp", actions.trim_end().to_owned()),
        Err(_) => Finding::missing(ABOUT, "seccomp", "this kernel is built without it: profiles are refused"),
    }
}

fn labels(host: &Host) -> &'static str {
    match (host.apparmor, host.selinux) {
        (true, true) => "AppArmor and SELinux",
        (true, false) => "AppArmor",
        (false, true) => "SELinux",
        (false, false) => "neither AppArmor nor SELinux; configs with labels are refused",
    }
}

fn user_namespaces() -> Finding {
    let number = |file: &str| fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match number("/proc/sys/user/max_user_namespaces") {
        Some(0) => Finding::missing(ABOUT, "user namespaces", "switched off")
            .remedy("sysctl user.max_user_namespaces=65536"),
        Some(most) => Finding::ok(ABOUT, "user namespaces", format!("at most {most}")),
        None => Finding::missing(ABOUT, "user namespaces", "this kernel is built without them"),
    }
}

/// What an ordinary user needs besides.
fn without_privileges(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is = |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        let finding = Finding::missing(ABOUT, "for users", "only root may make user namespaces");
        findings.push(finding.remedy("sysctl kernel.unprivileged_userns_clone=1"));
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        let finding =
            Finding::note(ABOUT, "for users", "AppArmor lets only profiled programs make user namespaces");
        findings.push(finding.remedy("an AppArmor profile with `userns,` for husk and the engine"));
    }
    for helper in ["newuidmap", "newgidmap"] {
        findings.push(match find(helper) {
            Some(file) => Finding::ok(ABOUT, helper, file.display().to_string()),
            None => Finding::note(ABOUT, helper, "not found: a container has your own id and no other")
                .remedy("install the package uidmap (shadow-utils)"),
        });
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        let what = if file.ends_with("uid") { "user ids" } else { "group ids" };
        findings.push(match range(file, host.euid) {
            Some(range) => Finding::ok(ABOUT, what, format!("{range} from {file}")),
            None => Finding::note(ABOUT, what, format!("{file} has no range for you"))
                .remedy("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 YOU"),
        });
    }
    findings
}

/// The caller's first range, as `FIRST+COUNT`.
fn range(file: &str, uid: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let name = users
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&number))
        .and_then(|line| line.split(':').next());
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?, fields.next()?);
        (owner == number || Some(owner) == name).then(|| format!("{first}+{count}"))
    })
}
