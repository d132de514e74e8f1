//! A plan for people and programs: one line a step, in the order in which it will happen.

mod process;

use super::cgroup::{DeviceKind, DeviceRule};
use super::mount_options as attribute;
use super::mount_options::MountAttributes;
use super::{HookKind, HookPlan, MountPlan, MountSource, NamespaceKind, Plan, Step};
use serde::{Serialize, Serializer};
use std::ffi::{CStr, CString};
use std::fmt;

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanLine {
    /// Which.
    #[serde(serialize_with = "by_name")]
    pub step: Step,
    /// What it will do.
    pub text: String,
    /// Where the config asks for it; empty for what every container gets.
    pub pointer: String,
}

fn by_name<S: Serializer>(step: &Step, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&step.name())
}

impl Plan {
    /// The plan, one line a step.
    #[must_use]
    pub fn lines(&self) -> Vec<PlanLine> {
        let mut lines = Lines(Vec::new());
        self.before_the_clone(&mut lines);
        self.while_it_waits(&mut lines);
        self.file_system(&mut lines);
        self.settings(&mut lines);
        process::identity(self, &mut lines);
        process::handing_over(self, &mut lines);
        // The order of steps stands in one place, where they are declared. The sort is stable.
        lines.0.sort_by_key(|(place, _)| *place);
        lines.0.into_iter().map(|(_, line)| line).collect()
    }

    fn before_the_clone(&self, lines: &mut Lines) {
        let rootfs = text(&self.rootfs.path);
        let opening = if self.rootfs.opened_inside { Step::WaitForRuntime } else { Step::OpenRootfs };
        let text_of_rootfs = format!("the root file system is {rootfs}");
        lines.add_at(opening, Step::OpenRootfs, "/root/path", text_of_rootfs);
        let opening = if self.rootfs.opened_inside { opening } else { Step::OpenSource };
        for mount in &self.mounts {
            if let MountSource::Bind { path, recursive, in_rootfs: false, .. } = &mount.source {
                let all = if *recursive { " and all mounts below it" } else { "" };
                let text = format!("open {}{all}", text(path));
                lines.add_at(opening, Step::OpenSource, mount.pointer("source"), text);
            }
        }
        if let Some(unit) = &self.cgroup.unit {
            let text = format!("ask systemd for the unit {} in {}", unit.name, unit.slice);
            lines.add(Step::MakeCgroup, "/linux/cgroupsPath", text);
            for property in &unit.properties {
                let text = format!("{} is {}", property.name, property.value);
                lines.add(Step::MakeCgroup, property.pointer.as_str(), text);
            }
        }
        let directories = if self.cgroup.disabled { &[][..] } else { &self.cgroup.directories };
        for directory in directories {
            let path = directory.path.display();
            let controllers =
                if directory.is_v2() { "cgroup v2".to_owned() } else { directory.controllers.join(",") };
            lines.add(
                Step::MakeCgroup,
                "/linux/cgroupsPath",
                format!("make the cgroup {path} ({controllers})"),
            );
        }
        if !self.cgroup.delegated.as_os_str().is_empty() {
            let text = format!("its processes live in {} below it", self.cgroup.delegated.display());
            lines.add(Step::MakeCgroup, "/annotations/run.oci.delegate-cgroup", text);
        }
        if let Some(owner) = self.cgroup.owner {
            let text = format!("give the cgroup to user {owner} of the host");
            lines.add(Step::LimitCgroup, "/process/user/uid", text);
        }
        for write in &self.cgroup.writes {
            let (file, value) = (&write.file, &write.value);
            lines.add(Step::LimitCgroup, write.pointer.as_str(), format!("{file} is {value:?}"));
        }
        for rule in self.cgroup.device_rules.iter().flatten() {
            lines.add(Step::LimitCgroup, rule.pointer.as_str(), device_rule(rule));
        }
        if let Some(rdt) = &self.rdt {
            let shares =
                if rdt.schemata.is_empty() { "as it is".to_owned() } else { rdt.schemata.join(", ") };
            let monitor = if rdt.monitor.is_some() { ", monitored" } else { "" };
            let text = format!("join the resctrl group {}: {shares}{monitor}", rdt.group);
            lines.add(Step::RdtGroup, "/linux/intelRdt", text);
        }
        if let Some(terminal) = self.process.terminal {
            let size = match (terminal.columns, terminal.rows) {
                (0, 0) => String::new(),
                (columns, rows) => format!(" of {columns} by {rows} characters"),
            };
            lines.add(Step::OpenConsole, "/process/terminal", format!("prepare to pass on a terminal{size}"));
        }
        let new: Vec<_> = self.namespaces.new.iter().map(|kind| kind.spec_name()).collect();
        let text = if new.is_empty() {
            "no new namespace".to_owned()
        } else {
            format!("new namespaces: {}", new.join(", "))
        };
        lines.add(Step::Clone, "/linux/namespaces", text);
    }

    fn while_it_waits(&self, lines: &mut Lines) {
        let maps = [("uid", &self.namespaces.uid_mappings), ("gid", &self.namespaces.gid_mappings)];
        for (kind, mappings) in maps {
            for (index, mapping) in mappings.iter().enumerate() {
                let (inside, outside, more) = (mapping.inside, mapping.outside, mapping.count - 1);
                let text = match more {
                    0 => format!("{kind} {inside} is {outside} outside"),
                    _ => format!(
                        "{kind}s {inside} to {} are {outside} to {} outside",
                        inside + more,
                        outside + more
                    ),
                };
                lines.add(Step::WriteMaps, format!("/linux/{kind}Mappings/{index}"), text);
            }
        }
        if let Some(score) = self.process.oom_score_adj {
            lines.add(Step::OomScore, "/process/oomScoreAdj", format!("oom_score_adj is {score}"));
        }
        for device in &self.net_devices {
            let (name, inside) = (text(&device.name), text(&device.inside));
            let text = format!("network device {name} moves in as {inside}, and goes up");
            lines.add(Step::NetDevice, device.pointer(), text);
        }
        lines.hooks(Step::RuntimeHook, HookKind::Prestart, &self.hooks.prestart);
        lines.hooks(Step::RuntimeHook, HookKind::CreateRuntime, &self.hooks.create_runtime);
        for join in &self.namespaces.joined {
            let text = format!("join the {} namespace {}", join.kind.spec_name(), text(&join.path));
            lines.add(Step::JoinNamespace, format!("/linux/namespaces/{}/path", join.item), text);
        }
        if self.namespaces.is_private(NamespaceKind::User) {
            lines.add(Step::BecomeRoot, "", "become uid 0 and gid 0 of the user namespace".to_owned());
        }
        for clock in String::from_utf8_lossy(&self.namespaces.time_offsets).lines() {
            let text = format!("shift a clock by seconds and nanoseconds: {clock}");
            lines.add(Step::TimeOffsets, "/linux/timeOffsets", text);
        }
        if self.namespaces.is_new(NamespaceKind::Network) {
            lines.add(Step::Loopback, "", "the loopback interface goes up".to_owned());
        }
        if let Some(name) = &self.session_keyring {
            lines.add(Step::Keyring, "", format!("a session keyring {}", text(name)));
        }
    }

    fn file_system(&self, lines: &mut Lines) {
        for mount in &self.mounts {
            lines.add(Step::Mount, format!("/mounts/{}", mount.item), mount.describe());
        }
        for node in &self.devices.nodes {
            let pointer = node.item.map(|item| format!("/linux/devices/{item}")).unwrap_or_default();
            let kind = match node.mode & libc::S_IFMT {
                libc::S_IFBLK => "block device",
                libc::S_IFIFO => "fifo",
                _ => "character device",
            };
            let (path, major, minor) = (text(&node.path), node.major, node.minor);
            let text = if self.devices.bind {
                format!("{path}: the host's {kind} {major}:{minor}, bound")
            } else {
                format!(
                    "{path}: {kind} {major}:{minor}, mode {:04o}, owner {}:{}",
                    node.mode & 0o7777,
                    node.uid,
                    node.gid
                )
            };
            lines.add(Step::Device, pointer, text);
        }
        for link in &self.devices.links {
            lines.add(
                Step::DeviceLink,
                "",
                format!("{} is a link to {}", text(&link.path), text(&link.text)),
            );
        }
        if self.process.terminal.is_some() {
            let text = "open a terminal, pass on its master end, bind it to /dev/console".to_owned();
            lines.add(Step::Terminal, "/process/terminal", text);
        }
        lines.hooks(Step::CreateContainerHook, HookKind::CreateContainer, &self.hooks.create_container);
        for (index, path) in self.masks.readonly.iter().enumerate() {
            let pointer = format!("/linux/readonlyPaths/{index}");
            lines.add(Step::ReadonlyPath, pointer, format!("{} is read-only, if it is there", text(path)));
        }
        for (item, path) in &self.masks.masked {
            let pointer = format!("/linux/maskedPaths/{item}");
            lines.add(Step::MaskedPath, pointer, format!("{} is hidden, if it is there", text(path)));
        }
        for mount in self.mounts.iter().filter(|mount| mount.seal_readonly) {
            let text = format!("{} becomes read-only", text(&mount.target));
            lines.add(Step::SealMounts, format!("/mounts/{}", mount.item), text);
        }
        if self.rootfs.readonly {
            lines.add(Step::SealMounts, "/root/readonly", "the root becomes read-only".to_owned());
        }
        let how = if self.rootfs.no_pivot { "change the root with chroot" } else { "change the root" };
        lines.add(Step::Pivot, "", how.to_owned());
        if self.rootfs.propagation != 0 {
            let text = format!("the root is {}", propagation(self.rootfs.propagation));
            lines.add(Step::RootPropagation, "/linux/rootfsPropagation", text);
        }
    }

    fn settings(&self, lines: &mut Lines) {
        for sysctl in &self.sysctls {
            let value = String::from_utf8_lossy(&sysctl.value);
            lines.add(
                Step::Sysctl,
                sysctl.pointer(),
                format!("/proc/sys/{} is {value:?}", text(&sysctl.path)),
            );
        }
        if let Some(name) = &self.hostname {
            lines.add(Step::Hostname, "/hostname", format!("the host name is {}", text(name)));
        }
        if let Some(name) = &self.domainname {
            lines.add(Step::Domainname, "/domainname", format!("the domain name is {}", text(name)));
        }
    }
}

/// The lines, numbered from 1.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().iter().enumerate() {
            write!(f, "{:>3}  {:<22} {}", index + 1, line.step.name(), line.text)?;
            if !line.pointer.is_empty() {
                write!(f, "  ({})", line.pointer)?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// Each with the step as which it takes place.
struct Lines(Vec<(Step, PlanLine)>);

impl Lines {
    fn add(&mut self, step: Step, pointer: impl Into<String>, text: String) {
        self.add_at(step, step, pointer, text);
    }

    /// A step that takes place before another one than usual.
    fn add_at(&mut self, place: Step, step: Step, pointer: impl Into<String>, text: String) {
        self.0.push((place, PlanLine { step, text, pointer: pointer.into() }));
    }

    fn hooks(&mut self, step: Step, kind: HookKind, hooks: &[HookPlan]) {
        for hook in hooks {
            let args: Vec<_> = hook.args.iter().map(quoted).collect();
            let timeout = hook.timeout.map(|time| format!(", for at most {time:?}")).unwrap_or_default();
            let text = format!("{} hook {}: {}{timeout}", kind.key(), text(&hook.path), args.join(" "));
            self.add(step, format!("/hooks/{}/{}", kind.key(), hook.item), text);
        }
    }
}

impl MountPlan {
    fn pointer(&self, field: &str) -> String {
        format!("/mounts/{}/{field}", self.item)
    }

    fn describe(&self) -> String {
        let target = text(&self.target);
        let mut words = match &self.source {
            MountSource::Bind { path, recursive, in_rootfs, links } => {
                let all = if *recursive { "all of " } else { "" };
                let whose = if *in_rootfs { "the container's " } else { "" };
                let mut words = format!("{target}: bind {all}{whose}{}", text(path));
                if links.keep_source {
                    words += ", itself if it is a link";
                }
                if links.keep_target {
                    words += ", onto the link if there is one";
                }
                if links.copy {
                    words += ", or make the same link if it is one";
                }
                words
            }
            MountSource::Filesystem { fstype, source, parameters, flags, copy_up } => {
                let parameters: Vec<_> = parameters
                    .iter()
                    .map(|parameter| match &parameter.value {
                        Some(value) => format!("{}={}", text(&parameter.key), text(value)),
                        None => text(&parameter.key),
                    })
                    .collect();
                let mut words = format!("{target}: {} from {:?}", text(fstype), text(source));
                if !parameters.is_empty() {
                    words += &format!(" with {}", parameters.join(","));
                }
                for (flag, name) in [(libc::MS_SILENT, "silent"), (libc::MS_I_VERSION, "iversion")] {
                    if flags & flag != 0 {
                        words += &format!(", {name}");
                    }
                }
                if *copy_up {
                    words += ", filled with what the root has there";
                }
                words
            }
            MountSource::Symlink { text: link } => return format!("{target}: a link to {}", text(link)),
            MountSource::Existing => format!("{target}: change what is mounted"),
        };
        if let Some(id_map) = &self.id_map {
            words += &format!(", {id_map}");
        }
        if let Some(label) = &self.label {
            words += &format!(", labelled {}", text(label));
        }
        words += &attributes("", self.attributes);
        words += &attributes("all below ", self.recursive_attributes);
        for flags in &self.propagation {
            words += &format!(", {}", propagation(*flags));
        }
        words
    }
}

fn device_rule(rule: &DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let verb = if rule.allow { "allow" } else { "forbid" };
    let kind = match rule.kind {
        DeviceKind::All => "all devices",
        DeviceKind::Block => "block devices",
        DeviceKind::Char => "character devices",
    };
    format!("{verb} {kind} {}:{}, {}", number(rule.major), number(rule.minor), rule.access)
}

/// `, +nosuid -noexec`.
fn attributes(prefix: &str, attributes: MountAttributes) -> String {
    let names = [
        (attribute::RDONLY, "readonly"),
        (attribute::NOSUID, "nosuid"),
        (attribute::NODEV, "nodev"),
        (attribute::NOEXEC, "noexec"),
        (attribute::NODIRATIME, "nodiratime"),
        (attribute::NOSYMFOLLOW, "nosymfollow"),
    ];
    let mut words: Vec<String> = Vec::new();
    for (bit, name) in names {
        if attributes.set & bit != 0 {
            words.push(format!("+{name}"));
        } else if attributes.clear & bit != 0 {
            words.push(format!("-{name}"));
        }
    }
    if attributes.clear & attribute::ATIME_MASK != 0 {
        words.push(match attributes.set & attribute::ATIME_MASK {
            attribute::NOATIME => "noatime".to_owned(),
            attribute::STRICTATIME => "strictatime".to_owned(),
            _ => "relatime".to_owned(),
        });
    }
    if words.is_empty() { String::new() } else { format!(", {prefix}{}", words.join(" ")) }
}

fn propagation(flags: u64) -> String {
    let kind = match flags & !libc::MS_REC {
        libc::MS_SHARED => "shared",
        libc::MS_SLAVE => "slave",
        libc::MS_PRIVATE => "private",
        _ => "unbindable",
    };
    if flags & libc::MS_REC != 0 { format!("{kind} to the last mount below") } else { kind.to_owned() }
}

fn limit(value: u64) -> String {
    if value == libc::RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() }
}

fn text(bytes: &CStr) -> String {
    bytes.to_string_lossy().into_owned()
}

/// As a shell would take it.
fn quoted(arg: &CString) -> String {
    let arg = text(arg);
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) { arg } else { format!("'{}'", arg.replace('\'', r"'\''")) }
}
