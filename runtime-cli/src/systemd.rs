//! Which systemd makes the cgroup: the machine's for root, the caller's own for everybody else.

use husk_core::{Host, SystemdManager};
use std::env::var;
use std::fs::read_to_string;

/// In a user namespace root is a user too, as under rootless engines, unless it has no session outside: then this is
/// a machine of its own.
pub(crate) fn manager(host: &Host) -> SystemdManager {
    let is_user = host.euid != 0 || host.in_user_namespace && var("XDG_RUNTIME_DIR").is_ok();
    if !is_user {
        return SystemdManager::system();
    }
    let directory = var("XDG_RUNTIME_DIR").ok().filter(|directory| !directory.is_empty());
    let directory = directory.unwrap_or_else(|| format!("/run/user/{}", uid_outside(host)));
    SystemdManager::user(&directory, var("DBUS_SESSION_BUS_ADDRESS").ok().as_deref())
}

/// The first line of the map says who the namespace's root is outside (user_namespaces(7)).
fn uid_outside(host: &Host) -> u32 {
    let map = read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = map.split_whitespace().nth(1).and_then(|id| id.parse().ok());
    if host.in_user_namespace { outside.unwrap_or(host.euid) } else { host.euid }
}
