//! Network devices that move into the container (runtime-spec config-linux.md, "Network Devices").

use super::problems::{Pointer, Problems, escaped};
use super::{NamespaceKind, NamespacePlan};
use crate::host::Host;
use crate::spec::LinuxNetDevice;
use std::collections::HashMap;
use std::ffi::CString;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevicePlan {
    /// What it is called in the runtime's network namespace.
    pub name: CString,
    /// What it is to be called in the container's; a `%d` at the end is for a number that is free there.
    pub inside: CString,
}

impl NetDevicePlan {
    /// Where it stands in the config.
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("/linux/netDevices/{}", escaped(&self.name.to_string_lossy()))
    }
}

/// The longest name of a device, in bytes (`IFNAMSIZ` with its NUL, netdevice(7)).
const LONGEST_NAME: usize = 15;

/// `/linux/netDevices`, sorted by name, since a JSON object has no order.
pub(super) fn plan(
    devices: Option<&HashMap<String, LinuxNetDevice>>,
    namespaces: &NamespacePlan,
    host: &Host,
    problems: &mut Problems,
) -> Vec<NetDevicePlan> {
    let linux = Pointer::ROOT.key("linux");
    let at = linux.key("netDevices");
    let mut sorted: Vec<_> = devices.into_iter().flatten().collect();
    sorted.sort_by_key(|(name, _)| *name);
    if sorted.is_empty() {
        return Vec::new();
    }
    if !namespaces.is_private(NamespaceKind::Network) {
        problems
            .add(&at, "unable to move network devices without a NET namespace: add one to /linux/namespaces");
    }
    if !host.privileged {
        problems.add(&at, "network devices are not supported for rootless containers");
    }
    let mut plans: Vec<NetDevicePlan> = Vec::with_capacity(sorted.len());
    for (name, device) in sorted {
        let place = at.key(name);
        check_name(name, false, &place, problems);
        let inside = device.name().as_deref().filter(|inside| !inside.is_empty());
        if let Some(inside) = inside {
            check_name(inside, true, &place.key("name"), problems);
        }
        let inside = problems.text(&place.key("name"), inside.unwrap_or(name));
        let is_same = |other: &NetDevicePlan| other.inside == inside && !inside.to_bytes().ends_with(b"%d");
        if let Some(other) = plans.iter().find(|other| is_same(other)) {
            let (name, other) = (inside.to_string_lossy(), other.name.to_string_lossy());
            problems.add(&place, format!("two devices cannot be {name} in the container: {other} is, too"));
        }
        plans.push(NetDevicePlan { name: problems.text(&place, name.as_str()), inside });
    }
    plans
}

/// What the kernel takes for a name (`dev_valid_name`), and the template at its end.
fn check_name(name: &str, may_be_template: bool, place: &Pointer<'_>, problems: &mut Problems) {
    let fixed = if may_be_template { name.strip_suffix("%d").unwrap_or(name) } else { name };
    let is_valid = !matches!(name, "" | "." | "..")
        && name.len() <= LONGEST_NAME
        && !fixed.contains(|c: char| matches!(c, '/' | ':' | '%') || c.is_ascii_whitespace());
    if !is_valid {
        problems.add(
            place,
            format!("invalid network device name {name:?}: at most 15 bytes, without / : % and spaces"),
        );
    }
}
