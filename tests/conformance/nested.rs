//! The runtime in a container of its own making: as root there, as root of a user namespace, and as a user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use husk_conformance::suite::Case;
use husk_conformance::user::USER;
use husk_conformance::{Config, Container, Finished, Lab, Outcome, Stop, case, unable};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(root_in_a_container),
        case!(exec_where_the_cgroup_hands_controllers_on),
        case!(root_in_a_container_whose_proc_is_masked),
        case!(root_of_a_user_namespace_in_a_container),
        case!(user_in_a_container),
        case!(masked_proc_is_explained, lacks "runc": "says only that it is not permitted"),
    ]
}

/// A container with the runtime in it, what a dynamic one needs of this machine, and room for another container in
/// `/inner`. Its root has all privileges that the tests have.
fn outer(lab: &Lab) -> Result<Container<'_>, Stop> {
    let mut container = lab.container()?;
    let root = container.rootfs();
    fs::copy(&lab.runtime.path, root.join("bin/runtime"))?;
    lab.root_file_system(&root.join("inner/rootfs"))?;
    fs::create_dir(root.join("run"))?;
    // runc 1.1 gives a tmpfs the mode of what it covers.
    fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o1777))?;
    let own: Vec<String> = own_capabilities()?;
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let config = &mut container.config;
    config.capabilities(&own).writable().namespace("cgroup");
    config
        .put("/process/capabilities/inheritable", json!([]))
        .put("/process/capabilities/ambient", json!([]));
    config.put("/process/noNewPrivileges", json!(false));
    config.put("/linux/maskedPaths", json!([])).put("/linux/readonlyPaths", json!([]));
    config.without_mount("/sys").without_mount("/sys/fs/cgroup");
    config.mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev"]);
    config.mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev"]);
    config.mount("tmpfs", "tmpfs", "/run", &["mode=1777"]);
    for library in ["/usr/lib", "/lib", "/lib64"] {
        if Path::new(library).is_dir() {
            fs::create_dir_all(root.join(library.trim_start_matches('/')))?;
            config.mount("bind", library, library, &["rbind", "ro"]);
        }
    }
    Ok(container)
}

/// Names of what this process may do; not every root has everything.
fn own_capabilities() -> Result<Vec<String>, Stop> {
    let status = fs::read_to_string("/proc/self/status")?;
    let own = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let own = u64::from_str_radix(own.trim(), 16)?;
    Ok(NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| own >> bit & 1 == 1)
        .map(|(_, name)| format!("CAP_{name}"))
        .collect())
}

/// capabilities(7), by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Writes the inner container's config.
fn inner(outer: &Container<'_>, config: &Config) -> Outcome {
    Ok(fs::write(outer.rootfs().join("inner/config.json"), config.0.to_string())?)
}

/// The inner container through its life, in the words of its commands.
const LIFE: &str = "set -e; cd /inner; runtime --root /run/r run --detach one </dev/null >/run/log 2>&1 || cat /run/log >&2; \
                    runtime --root /run/r list --quiet; runtime --root /run/r exec one sh -c 'echo $((6*7)) in one'; \
                    runtime --root /run/r delete --force one; runtime --root /run/r list --quiet | wc -l";

/// As root of the outer container, with all that it may do.
fn as_root(outer: &Container<'_>, script: &str) -> Result<Finished, Stop> {
    outer.exec(&["--env", "PATH=/bin"], &["/bin/sh", "-c", script])
}

/// As a user of the outer container, with nothing.
fn as_user(outer: &Container<'_>, script: &str) -> Result<Finished, Stop> {
    let process = json!({
        "user": {"uid": USER, "gid": USER},
        "args": ["/bin/sh", "-c", script],
        "env": ["PATH=/bin"],
        "cwd": "/",
    });
    let file = outer.directory.join("process.json");
    fs::write(&file, process.to_string())?;
    outer.runtime(["exec", "--process"])?.arg(&file).arg(&outer.id).output()
}

/// A v2 cgroup with processes hands no controllers on: those of the outer container make room, as an init system does.
fn make_room(outer: &Container<'_>) -> Outcome {
    let script = "set -e; cd /sys/fs/cgroup; test -e cgroup.controllers || exit 0; mkdir leaf; \
                  for pid in $(cat cgroup.procs); do echo $pid >leaf/cgroup.procs || true; done; \
                  echo +pids >cgroup.subtree_control";
    as_root(outer, script)?.ok();
    Ok(())
}

/// Its cgroup takes no processes then: the new one goes where the init is.
fn exec_where_the_cgroup_hands_controllers_on(lab: &Lab) -> Outcome {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return unable("this machine has cgroup v1 hierarchies");
    }
    let mut container = outer(lab)?;
    container.up()?;
    as_root(&container, "cat /proc/self/cgroup")?.ok().prints("0::/");
    make_room(&container)?;
    as_root(&container, "cat /proc/self/cgroup")?.ok().prints("0::/leaf");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn root_in_a_container(lab: &Lab) -> Outcome {
    let mut container = outer(lab)?;
    container.up()?;
    make_room(&container)?;
    let mut config = Config::default();
    config.args(&["/bin/sleep", "1000"]).put("/linux/resources/pids", json!({"limit": 33}));
    inner(&container, &config)?;
    as_root(&container, LIFE)?.ok().prints("one\n42 in one\n0");
    // What is limited, listed and frozen is so in the cgroups of the outer container.
    let script = "set -e; cd /inner; runtime --root /run/r run --detach two </dev/null >/dev/null 2>&1; \
                  runtime --root /run/r pause two; runtime --root /run/r state two | grep paused; \
                  runtime --root /run/r resume two; cat $(find /sys/fs/cgroup -path '*two/pids.max'); \
                  runtime --root /run/r delete --force two; find /sys/fs/cgroup -name two";
    let finished = as_root(&container, script)?.ok();
    assert_eq!(
        finished.stdout.split_whitespace().collect::<Vec<_>>(),
        ["\"status\":", "\"paused\",", "33"],
        "{finished}"
    );
    container.force_delete()?.ok();
    container.nothing_left()
}

/// Who is root for good may mount a procfs all the same.
fn root_in_a_container_whose_proc_is_masked(lab: &Lab) -> Outcome {
    let mut container = outer(lab)?;
    container.config.put("/linux/maskedPaths", json!(["/proc/kcore", "/proc/timer_list"]));
    container.up()?;
    inner(&container, Config::default().args(&["/bin/sleep", "1000"]))?;
    as_root(&container, LIFE)?.ok().prints("one\n42 in one\n0");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn root_of_a_user_namespace_in_a_container(lab: &Lab) -> Outcome {
    let mut container = outer(lab)?;
    let mapping = json!([{"containerID": 0, "hostID": 300_000, "size": 65536}]);
    container
        .config
        .namespace("user")
        .put("/linux/uidMappings", mapping.clone())
        .put("/linux/gidMappings", mapping);
    container.up()?;
    // Nor does this one have a user namespace of its own: it is made in that of the outer one.
    let mut config = Config::default();
    config.args(&["/bin/sleep", "1000"]).remove("/linux/resources");
    inner(&container, &config)?;
    as_root(&container, LIFE)?.ok().prints("one\n42 in one\n0");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn rootless_inner(outer: &Container<'_>) -> Outcome {
    let mut config = Config::default();
    config.rootless().args(&["/bin/sleep", "1000"]);
    inner(outer, &config)?;
    Ok(chown(outer.rootfs().join("inner/rootfs"), Some(USER), Some(USER))?)
}

fn user_in_a_container(lab: &Lab) -> Outcome {
    let mut container = outer(lab)?;
    container.up()?;
    rootless_inner(&container)?;
    as_user(&container, LIFE)?.ok().prints("one\n42 in one\n0");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// The kernel lets a user namespace mount a procfs only where a whole one can be seen already.
fn masked_proc_is_explained(lab: &Lab) -> Outcome {
    let mut container = outer(lab)?;
    container.config.put("/linux/maskedPaths", json!(["/proc/kcore", "/proc/timer_list"]));
    container.up()?;
    rootless_inner(&container)?;
    let finished = as_user(&container, "cd /inner; exec runtime --root /run/r run one")?;
    finished.exits(1).says(&["/proc", "/mounts/0", "masked", "bind-mount"]);
    container.force_delete()?.ok();
    container.nothing_left()
}
