//! Configs: a small one that most tests vary, and rich ones that together take every step.

use super::Lab;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Where the tests' cgroups are, in every hierarchy; the rest of the name tells one test program from another.
pub(crate) fn cgroup_parent() -> String {
    format!("husk-test-{}", super::token())
}

/// Its directories.
pub(crate) fn cgroup_directories() -> Vec<PathBuf> {
    let top = PathBuf::from("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(&top).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = hierarchies.chain([top]).map(|path| path.join(cgroup_parent())).collect();
    found.retain(|path| path.is_dir());
    found
}

/// A shell command in namespaces of its own.
pub(crate) fn small(command: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/sh", "-c", command],
            "env": ["PATH=/bin"],
            "cwd": "/"
        },
        "root": { "path": "rootfs" },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["newinstance", "ptmxmode=0666", "mode=0620"] }
        ],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }]
        }
    })
}

/// Everything at once: all mount kinds, all hooks, limits, devices, masks, a filter.
pub(crate) fn rich(lab: &Lab, command: &str) -> Value {
    let hook = |path: &str| json!([{ "path": path, "args": [path] }, { "path": path, "timeout": 10 }]);
    let layers = ["lower", "upper", "scratch"].map(|name| {
        let path = lab.file(name);
        std::fs::create_dir_all(&path).expect("make a layer");
        path.to_str().expect("a UTF-8 path").to_owned()
    });
    let [lower, upper, scratch] = layers;
    // Parameters of 256 bytes and more do not fit fsconfig(2) and go through mount(2).
    let long = lab.file(&"l".repeat(250));
    std::fs::create_dir_all(&long).expect("make a layer");
    let source = lab.file("source");
    std::fs::create_dir_all(&source).expect("make a bind source");
    std::fs::write(lab.file("single"), "single").expect("write a bind source");
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 1000, "gid": 1000, "additionalGids": [10, 20], "umask": 18 },
            "args": ["/bin/sh", "-c", command],
            "env": ["PATH=/bin", "KEY=value"],
            "cwd": "/work",
            "capabilities": {
                "bounding": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
                "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
                "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024 }],
            "noNewPrivileges": true,
            "oomScoreAdj": 500,
            "scheduler": { "policy": "SCHED_BATCH", "nice": 5 },
            "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 6 },
            "execCPUAffinity": { "initial": "0", "final": "0" }
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "rich",
        "domainname": "example",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
              "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue" },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] },
            { "destination": "/mnt/bound", "type": "bind", "source": source, "options": ["rbind", "ro", "rslave"] },
            { "destination": "/mnt/single", "type": "bind", "source": lab.file("single"), "options": ["bind", "nosuid"] },
            { "destination": "/mnt/mapped", "type": "bind", "source": lab.file("source"), "options": ["bind"],
              "uidMappings": [{ "containerID": 0, "hostID": 1000, "size": 1 }],
              "gidMappings": [{ "containerID": 0, "hostID": 1000, "size": 1 }] },
            { "destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"] },
            { "destination": "/mnt/overlay", "type": "overlay", "source": "overlay",
              "options": [format!("lowerdir={lower}"), format!("upperdir={upper}"), format!("workdir={scratch}")] },
            { "destination": "/mnt/layers", "type": "overlay", "source": "overlay",
              "options": [format!("lowerdir={}:{lower}", long.display())] }
        ],
        "hooks": {
            "prestart": hook("/bin/true"), "createRuntime": hook("/bin/true"), "createContainer": hook("/bin/true"),
            "startContainer": hook("/bin/true"), "poststart": hook("/bin/true"), "poststop": hook("/bin/true")
        },
        "annotations": { "org.example.key": "value" },
        "linux": {
            "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }, { "type": "network" },
                { "type": "cgroup" }, { "type": "time" }
            ],
            "personality": { "domain": "LINUX" },
            "memoryPolicy": has_numa().then(|| json!({ "mode": "MPOL_BIND", "nodes": "0" })),
            "timeOffsets": { "monotonic": { "secs": 1000 } },
            "cgroupsPath": format!("/{}/rich", cgroup_parent()),
            "resources": {
                "memory": { "limit": 268_435_456 },
                "pids": { "limit": 100 },
                "cpu": { "shares": 512 },
                "devices": [
                    { "allow": false, "access": "rwm" },
                    { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm" }
                ]
            },
            "devices": [{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438 }],
            "sysctl": { "net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1" },
            "maskedPaths": ["/proc/kcore", "/proc/timer_list", "/sys/firmware", "/not/there"],
            "readonlyPaths": ["/proc/bus", "/proc/sys", "/not/there"],
            "rootfsPropagation": "private",
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": [],
                "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }]
            }
        }
    })
}

/// A filter whose listener goes to an agent, for a call that nobody makes.
fn notify(lab: &Lab, config: &mut Value) {
    config["linux"]["seccomp"]["listenerPath"] = json!(lab.agent());
    config["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_NOTIFY".into();
}

/// The rich one in a user namespace, with a terminal, and a filter that comes before the capabilities go.
pub(crate) fn rich_with_users(lab: &Lab, command: &str) -> Value {
    let mut config = rich(lab, command);
    config["process"]["terminal"] = true.into();
    config["process"]["consoleSize"] = json!({ "height": 25, "width": 80 });
    config["process"]["noNewPrivileges"] = false.into();
    notify(lab, &mut config);
    config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
    config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    config["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    // An overlay's layers would have to belong to the namespace.
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|mount| mount["type"] != "overlay");
    let source = lab.file("source");
    mounts.push(json!({ "destination": "/mnt/implied", "source": source, "options": ["bind", "idmap"] }));
    config["linux"].as_object_mut().expect("a map").remove("devices");
    config
}

/// The rich one as far as a caller without privileges may have it: mapped is the own id alone.
pub(crate) fn rich_for_own_id(lab: &Lab, command: &str) -> Value {
    let mut config = rich_with_users(lab, command);
    let own = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    config["linux"]["uidMappings"] = own.clone();
    config["linux"]["gidMappings"] = own;
    config["process"]["user"] = json!({ "uid": 0, "gid": 0 });
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|mount| !mount.to_string().contains("idmap") && mount.get("uidMappings").is_none());
    for options in mounts.iter_mut().filter_map(|mount| mount["options"].as_array_mut()) {
        options.retain(|option| option != "gid=5");
    }
    config
}

/// The rich one in namespaces of others: entering a pid namespace takes a second process. Its filter comes before the start.
pub(crate) fn rich_joined(lab: &Lab, command: &str) -> Value {
    let mut config = rich(lab, command);
    notify(lab, &mut config);
    config["linux"]["namespaces"] = json!([
        { "type": "pid", "path": "/proc/self/ns/pid" }, { "type": "network", "path": "/proc/self/ns/net" },
        { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }
    ]);
    config["linux"].as_object_mut().expect("a map").remove("timeOffsets");
    config["linux"]["sysctl"] = json!({ "kernel.shm_rmid_forced": "1" });
    config
}

/// Whether this kernel is built with NUMA, and so has memory policies.
pub(crate) fn has_numa() -> bool {
    std::path::Path::new("/proc/self/numa_maps").exists()
}
