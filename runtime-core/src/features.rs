//! What this library supports on this machine (runtime-spec features.md, features-linux.md). It names what works and
//! nothing that does not: engines choose by it.

use crate::host::Host;
use crate::plan::{NamespaceKind, annotations, capability_names, known_mount_options, memory_policies};
use serde_json::{Value, json};

/// The `features` structure of the runtime-spec.
#[must_use]
pub fn features(host: &Host) -> Value {
    let mut namespaces: Vec<&str> = NamespaceKind::ALL.iter().map(|kind| kind.spec_name()).collect();
    namespaces.sort_unstable();
    let (memory_modes, memory_flags) = memory_policies();
    let mut annotations = json!({ "run.husk.version": env!("CARGO_PKG_VERSION") });
    if let Some(version) = husk_seccomp::libseccomp_version() {
        annotations["io.github.seccomp.libseccomp.version"] = version.into();
    }
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": crate::SPEC_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": known_mount_options().collect::<Vec<_>>(),
        "linux": {
            "namespaces": namespaces,
            "capabilities": capability_names(host.last_capability),
            "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": husk_seccomp::supported_actions(),
                "operators": husk_seccomp::OPERATORS,
                "archs": husk_seccomp::supported_architectures(),
                "knownFlags": husk_seccomp::KNOWN_FLAGS,
                "supportedFlags": husk_seccomp::supported_flags(),
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
            "memoryPolicy": { "modes": memory_modes, "flags": memory_flags },
            "mountExtensions": { "idmap": { "enabled": host.privileged } },
            "netDevices": { "enabled": true },
        },
        "annotations": annotations,
        "potentiallyUnsafeConfigAnnotations": annotations::UNSAFE,
    })
}
