//! The part of a plan that is about the process itself.

use super::super::capabilities;
use super::{HookKind, Lines, limit, quoted, text};
use crate::plan::{Plan, SeccompPoint, Step};

/// Who the process is, how it runs, and what it executes.
pub(super) fn identity(plan: &Plan, lines: &mut Lines) {
    let process = &plan.process;
    let set = |name: &str, bits: u64| {
        let names = capabilities::names(bits);
        format!("{name} capabilities: {}", if names.is_empty() { "none".to_owned() } else { names.join(" ") })
    };
    lines.add(
        Step::BoundingSet,
        "/process/capabilities/bounding",
        set("bounding", process.capabilities.bounding),
    );
    let user = &process.user;
    if !user.set_groups {
        lines.add(Step::Groups, "", "keep the supplementary groups of the caller".to_owned());
    } else {
        let groups: Vec<_> = user.groups.iter().map(u32::to_string).collect();
        let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
        lines.add(Step::Groups, "/process/user/additionalGids", format!("supplementary groups: {groups}"));
    }
    let text_of_user = format!("uid {}, gid {}, umask {:04o}", user.uid, user.gid, user.umask);
    if let Some(seccomp) = &process.seccomp {
        let place = match seccomp.point {
            SeccompPoint::BeforeCapabilities => Step::Groups,
            SeccompPoint::BeforeStart => Step::StartGate,
            SeccompPoint::LastBeforeExec => Step::Seccomp,
        };
        let mut text = format!("install the system call filter: {}", seccomp.program);
        if let Some(listener) = &seccomp.listener {
            text += &format!(", its listener goes to {}", listener.path.display());
        }
        lines.add_at(place, Step::Seccomp, "/linux/seccomp", text);
    }
    lines.add(Step::User, "/process/user", text_of_user);
    for (name, bits) in [
        ("permitted", process.capabilities.permitted),
        ("effective", process.capabilities.effective),
        ("inheritable", process.capabilities.inheritable),
        ("ambient", process.capabilities.ambient),
    ] {
        lines.add(Step::Capabilities, format!("/process/capabilities/{name}"), set(name, bits));
    }
    if process.no_new_privileges {
        let text = "execve(2) gives no new privileges from here on".to_owned();
        lines.add(Step::NoNewPrivileges, "/process/noNewPrivileges", text);
    }
    if let Some(label) = &process.apparmor {
        let text = format!("AppArmor at execve(2): {}", String::from_utf8_lossy(label));
        lines.add(Step::SecurityLabel, "/process/apparmorProfile", text);
    }
    if let Some(label) = &process.selinux {
        let text = format!("SELinux context at execve(2): {}", text(label));
        lines.add(Step::SecurityLabel, "/process/selinuxLabel", text);
    }
    if let Some(domain) = process.personality {
        let text = if domain == 0 { "the native execution domain" } else { "the 32-bit execution domain" };
        lines.add(Step::Personality, "/linux/personality", text.to_owned());
    }
    if let Some(policy) = &process.memory_policy {
        lines.add(Step::MemoryPolicy, "/linux/memoryPolicy", format!("memory by {policy}"));
    }
    if let Some(scheduler) = &process.scheduler {
        lines.add(Step::Scheduler, "/process/scheduler", format!("scheduled by {scheduler}"));
    }
    if let Some(priority) = &process.io_priority {
        lines.add(Step::IoPriority, "/process/ioPriority", format!("I/O priority: {priority}"));
    }
    lines.add(Step::WorkingDirectory, "/process/cwd", format!("work in {}", text(&process.cwd)));
    let candidates: Vec<_> = process.candidates.iter().map(|path| text(path)).collect();
    lines.add(Step::FindExecutable, "/process/args/0", format!("look for {}", candidates.join(", ")));
    if process.preserve_fds > 0 {
        let text = format!("keep fds 3 to {}", 2 + u64::from(process.preserve_fds));
        lines.add(Step::PreserveFds, "", text);
    }
}

/// What is left to do when it is ready.
pub(super) fn handing_over(plan: &Plan, lines: &mut Lines) {
    let process = &plan.process;
    for rlimit in &process.rlimits {
        let text = format!("{}: soft {}, hard {}", rlimit.name(), limit(rlimit.soft), limit(rlimit.hard));
        lines.add(Step::Limits, format!("/process/rlimits/{}", rlimit.item), text);
    }
    lines.add(Step::StartGate, "", "wait for start".to_owned());
    lines.hooks(Step::StartContainerHook, HookKind::StartContainer, &plan.hooks.start_container);
    let args: Vec<_> = process.args.iter().map(quoted).collect();
    let home = if process.home_from_passwd { ", HOME from /etc/passwd" } else { "" };
    let variables = match process.env.len() {
        1 => "1 variable".to_owned(),
        count => format!("{count} variables"),
    };
    let text = format!("{} with {variables}{home}", args.join(" "));
    lines.add(Step::Exec, "/process/args", text);
    lines.hooks(Step::Exec, HookKind::Poststart, &plan.hooks.poststart);
    lines.hooks(Step::Exec, HookKind::Poststop, &plan.hooks.poststop);
}
