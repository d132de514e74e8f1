//! Kernel parameters and names: what is set once the container's root is in place.

use super::problems::{Pointer, Problems, escaped};
use super::{NamespaceKind, NamespacePlan};
use crate::spec::Spec;
use std::collections::HashMap;
use std::ffi::CString;

/// One kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysctlPlan {
    /// The file below `/proc/sys`, for example `net/ipv4/ip_forward`.
    pub path: CString,
    /// What is written into it.
    pub value: Vec<u8>,
    /// Its key in `/linux/sysctl`, for messages.
    pub key: String,
    /// The namespace that it belongs to. One that is joined by its path may turn out to be the runtime's own: then the
    /// parameter must not be set, and only who opens the path can know.
    pub namespace: NamespaceKind,
}

impl SysctlPlan {
    /// Where it stands in the config.
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("/linux/sysctl/{}", escaped(&self.key))
    }
}

/// The longest name that a UTS namespace holds (`__NEW_UTS_LEN`, uname(2)).
const LONGEST_NAME: usize = 64;

/// `/hostname` and `/domainname`.
pub(super) fn plan_names(
    spec: &Spec,
    namespaces: &NamespacePlan,
    problems: &mut Problems,
) -> (Option<CString>, Option<CString>) {
    let mut name = |key: &str, value: &Option<String>| {
        let value = value.as_deref().filter(|value| !value.is_empty())?;
        let place = Pointer::ROOT.key(key);
        if !namespaces.is_private(NamespaceKind::Uts) {
            problems.add(&place, format!("unable to set {key} without a private UTS namespace"));
        }
        if value.len() > LONGEST_NAME {
            problems.add(&place, format!("has {} bytes, the kernel holds {LONGEST_NAME}", value.len()));
        }
        Some(problems.text(&place, value))
    };
    (name("hostname", spec.hostname()), name("domainname", spec.domainname()))
}

/// Parameters of the IPC namespace beside those under `fs.mqueue`.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// `/linux/sysctl`: only parameters that belong to one of the container's own namespaces, so that nothing of the
/// host changes. Sorted by key, since a JSON object has no order.
pub(super) fn plan_sysctls(
    sysctls: &HashMap<String, String>,
    namespaces: &NamespacePlan,
    problems: &mut Problems,
) -> Vec<SysctlPlan> {
    let linux = Pointer::ROOT.key("linux");
    let at = linux.key("sysctl");
    let mut sorted: Vec<_> = sysctls.iter().collect();
    sorted.sort();
    let mut plans = Vec::with_capacity(sorted.len());
    for (key, value) in sorted {
        let place = at.key(key);
        let path = path_of(key);
        if value.contains(['\0', '\n']) {
            problems.add(&place, "its value contains a NUL byte or a new line");
        }
        match owner(key, &path) {
            Ok((namespace, _)) if namespaces.is_private(namespace) => plans.push(SysctlPlan {
                path: problems.text(&place, path),
                value: value.clone().into_bytes(),
                key: key.clone(),
                namespace,
            }),
            Ok((_, why)) => problems.add(&place, format!("sysctl {key:?} {why}")),
            Err(message) => problems.add(&place, message),
        }
    }
    plans
}

/// The file below /proc/sys. As in sysctl(8) the first separator says which of `.` and `/` separates; the other
/// one is then an ordinary character, written as its opposite: `net.ipv4.conf.eno2/100.rp_filter` and
/// `net/ipv4/conf/eno2.100/rp_filter` are one file.
fn path_of(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(first) if key.as_bytes()[first] == b'.' => key
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_owned(),
    }
}

/// The namespace that a parameter belongs to, and what is wrong where the container has none of its own.
fn owner(key: &str, path: &str) -> Result<(NamespaceKind, &'static str), String> {
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!("{key:?} is no name of a parameter: it has an empty part, \".\" or \"..\""));
    }
    let dotted = path.replace('/', ".");
    if IPC.contains(&dotted.as_str()) || path.starts_with("fs/mqueue/") {
        Ok((NamespaceKind::Ipc, "is not allowed in the host's ipc namespace"))
    } else if path.starts_with("net/") {
        Ok((NamespaceKind::Network, "not allowed in host network namespace"))
    } else if path.starts_with("user/") {
        Ok((NamespaceKind::User, "is not allowed without a user namespace"))
    } else if path == "kernel/domainname" {
        Ok((NamespaceKind::Uts, "is not allowed in the host's uts namespace"))
    } else if path == "kernel/hostname" {
        Err(format!("sysctl {key:?} is not allowed as it conflicts with the OCI \"hostname\" field"))
    } else {
        Err(format!("sysctl {key:?} is not in a separate kernel namespace"))
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn the_first_separator_decides() {
        assert_eq!(path_of("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path_of("net/ipv4/ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path_of("net.ipv4.conf.eno2/100.rp_filter"), "net/ipv4/conf/eno2.100/rp_filter");
        assert_eq!(path_of("net/ipv4/conf/eno2.100/rp_filter"), "net/ipv4/conf/eno2.100/rp_filter");
    }
}
