//! Containers of somebody who is not root: with their own id alone, with ranges that root has set aside, with and
//! without cgroups of their own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use husk_conformance::mounted::Flagged;
use husk_conformance::suite::Case;
use husk_conformance::user::{Delegated, FIRST_OF_RANGE, USER, User, give_away};
use husk_conformance::{Container, Finished, Lab, Outcome, Stop, case, traces};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(root_inside_is_the_user_outside),
        case!(the_spec_command_writes_what_runs),
        case!(life_from_create_to_delete),
        case!(exec_before_the_start),
        case!(without_any_cgroup, lacks "runc": "has no such option"),
        case!(run_in_a_directory_that_is_closed_to_others),
        case!(state_is_below_the_runtime_directory),
        case!(without_a_directory_for_the_state),
        case!(devices_are_the_hosts),
        case!(locked_flags_of_a_source_stay, lacks "runc 1.1": "drops them, which the kernel refuses"),
        case!(locked_flags_cannot_be_cleared, lacks "runc 1.1": "drops what it cannot clear", "runc 1.3": "names the mount, not the field"),
        case!(terminal),
        case!(hooks_run_as_the_user),
        case!(sys_without_a_network_of_its_own, lacks "runc": "wants a sysfs of its own"),
        case!(network_of_its_own),
        case!(sysctl_among_the_processes_of_the_host),
        case!(processes_that_nobody_finds, lacks "runc 1.1": "does not say so", "crun": "does not say so"),
        case!(
            cgroups_of_the_caller_cannot_be_written,
            lacks "runc": "shows them, and on v1 leaves the tmpfs above them writable"
        ),
        case!(namespaces_of_another_container, lacks "runc 1.1": "asks for mappings where it joins"),
        case!(needs_a_user_namespace),
        case!(further_groups_are_refused),
        case!(options_of_unmapped_ids_are_refused),
        case!(other_ids_without_the_helpers),
        case!(ranges_are_mapped),
        case!(user_of_a_range, lacks "runc": "takes no further groups"),
        case!(a_range_of_others_is_refused),
        case!(limits_without_delegation),
        case!(cgroups_path_without_permission),
        case!(permissions_are_not_ignored_on_request),
        case!(delegated_cgroups),
        case!(limits_in_delegated_cgroups),
        case!(update_in_delegated_cgroups),
        case!(pause_in_delegated_cgroups),
    ]
}

fn up(lab: &Lab) -> Result<Container<'_>, Stop> {
    let mut container = lab.container_of(&User::new()?)?;
    container.up()?;
    Ok(container)
}

fn root_inside_is_the_user_outside(lab: &Lab) -> Outcome {
    let container = up(lab)?;
    container.exec_sh("id -u; id -g; cat /proc/self/setgroups")?.ok().prints("0\n0\ndeny");
    let status = container.proc_file("status")?;
    let ids = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert_eq!(ids("Uid:"), format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}"));
    assert_eq!(ids("Gid:"), format!("Gid:\t{USER}\t{USER}\t{USER}\t{USER}"));
    assert_eq!(container.proc_file("uid_map")?.split_whitespace().collect::<Vec<_>>(), ["0", "4242", "1"]);
    container.force_delete()?.ok();
    container.nothing_left()
}

fn the_spec_command_writes_what_runs(lab: &Lab) -> Outcome {
    let container = lab.container_of(&User::new()?)?;
    container.runtime(["spec", "--rootless"])?.current_dir(&container.bundle).output()?.ok();
    let path = container.bundle.join("config.json");
    assert_eq!(fs::metadata(&path)?.uid(), USER);
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["sh", "-c", "id -u; hostname"]);
    fs::write(&path, config.to_string())?;
    let finished =
        container.runtime(["run", "--bundle"])?.arg(&container.bundle).arg(&container.id).output()?.ok();
    assert!(finished.stdout.starts_with("0\n"), "{finished}");
    container.nothing_left()
}

fn life_from_create_to_delete(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.create()?.ok();
    assert_eq!(container.status()?, "created");
    container.start()?.ok();
    assert_eq!(container.status()?, "running");
    assert_eq!(
        container.exec(&["--env", "KEY=v"], &["/bin/sh", "-c", "echo $KEY; exit 3"])?.exits(3).stdout,
        "v\n"
    );
    let list = container.runtime(["list", "--format", "json"])?.output()?.ok();
    let list: Value = serde_json::from_str(&list.stdout)?;
    let passwd = fs::read_to_string("/etc/passwd")?;
    let name = passwd.lines().find(|line| line.split(':').nth(2) == Some(&USER.to_string()));
    let owner = name.and_then(|line| line.split(':').next()).map_or(format!("#{USER}"), str::to_owned);
    assert_eq!((&list[0]["id"], &list[0]["owner"]), (&json!(container.id), &json!(owner)));
    container.delete()?.exits(1).says(&["not stopped"]);
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    container.exec_sh("true")?.says(&["cannot exec in a stopped container"]);
    container.delete()?.ok();
    container.nothing_left()
}

/// It needs root, or says what to do.
fn exec_before_the_start(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.create()?.ok();
    let finished = container.exec_sh("echo in")?;
    if finished.code() == 0 {
        finished.prints("in");
    } else {
        finished.exits(255).says(&["start it first"]);
    }
    container.force_delete()?.ok();
    container.nothing_left()
}

/// As Podman calls its runtime for --cgroups=disabled; root, too.
fn without_any_cgroup(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]).namespace("cgroup");
    container.write_config()?;
    let root = container.state_root.to_string_lossy().into_owned();
    let bundle = container.bundle.to_string_lossy().into_owned();
    let global = ["--cgroup-manager", "disabled", "--root", &root];
    let run = [&global[..], &["run", "--detach", "--bundle", &bundle, &container.id]].concat();
    container.runtime_alone(&run)?.output()?.ok();
    assert_eq!(traces::cgroups(&container.id), [""; 0].map(std::path::PathBuf::from));
    assert_eq!(container.proc_file("cgroup")?, fs::read_to_string("/proc/self/cgroup")?);
    container.exec_sh("echo in")?.ok().prints("in");
    container
        .exec_sh(
            "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && echo $d; done; true",
        )?
        .ok()
        .prints("");
    for verb in ["pause", "ps", "update", "events"] {
        container.runtime([verb, &container.id])?.output()?.exits(1).says(&["the container has no cgroup"]);
    }
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    container.delete()?.ok();
    // What a cgroup would be needed for is refused.
    container.config.put("/linux/resources/pids", json!({"limit": 5}));
    container.write_config()?;
    container.runtime_alone(&run)?.output()?.exits(1).says(&["/linux/resources/pids/limit", "disabled"]);
    container.nothing_left()
}

/// As home directories are. Root of the user namespace is a different user here, who may not enter it.
fn run_in_a_directory_that_is_closed_to_others(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    fs::set_permissions(&container.directory, fs::Permissions::from_mode(0o700))?;
    fs::write(container.directory.join("file"), "bound")?;
    give_away(&container.directory)?;
    let file = container.directory.join("file").to_string_lossy().into_owned();
    container.config.mount("bind", &file, "/etc/bound", &["bind", "ro"]);
    container.run_sh("cat /etc/bound")?.ok().prints("bound");
    container.nothing_left()
}

fn state_is_below_the_runtime_directory(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    let runtime_directory = container.directory.join("xdg");
    fs::create_dir(&runtime_directory)?;
    give_away(&container.directory)?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.write_config()?;
    let own = runtime_directory.to_string_lossy().into_owned();
    let alone = |args: &[&str]| -> Result<Finished, Stop> {
        container.runtime_alone(args)?.env("XDG_RUNTIME_DIR", &own).output()
    };
    alone(&["run", "--detach", "--bundle", &container.bundle.to_string_lossy(), &container.id])?.ok();
    let name = if lab.runtime.is("runc") { "runc" } else { "husk" };
    let metadata = fs::metadata(runtime_directory.join(name))?;
    // Without the sticky bit somebody tidies it up.
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (USER, 0o1700));
    alone(&["list", "--quiet"])?.ok().prints(&container.id);
    alone(&["delete", "--force", &container.id])?.ok();
    container.nothing_left()
}

fn without_a_directory_for_the_state(lab: &Lab) -> Outcome {
    let container = lab.container_of(&User::new()?)?;
    container.write_config()?;
    let bundle = container.bundle.to_string_lossy().into_owned();
    let finished =
        container.runtime_alone(["run", "--bundle", &bundle, &container.id])?.env("XDG_RUNTIME_DIR", "");
    finished.output()?.exits(1).says(&["permission denied", "/run/"]);
    container.nothing_left()
}

fn devices_are_the_hosts(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.capabilities(&["CAP_MKNOD"]);
    let script = "stat -c '%F %t:%T' /dev/null /dev/zero /dev/urandom; head -c 2 /dev/zero | wc -c; \
                  echo x >/dev/null && echo written; mknod /dev/shm/zero c 1 5 || echo none made";
    container
        .run_sh(script)?
        .ok()
        .prints("character special file 1:3\ncharacter special file 1:5\ncharacter special file 1:9\n2\nwritten\nnone made");
    container.nothing_left()
}

fn locked_flags_of_a_source_stay(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    let source = Flagged::new(&container)?;
    container.config.mount("bind", &source.0, "/mnt/plain", &["rbind", "rprivate"]);
    container.config.mount("bind", &source.0, "/mnt/readonly", &["rbind", "ro", "nosuid"]);
    let script = "cat /mnt/plain/file; grep ' /mnt/' /proc/self/mountinfo";
    let finished = container.run_sh(script)?.ok();
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines[0], "content");
    for line in &lines[1..] {
        for flag in ["nosuid", "nodev", "noexec", "noatime"] {
            assert!(line.contains(flag), "{flag}: {finished}");
        }
    }
    assert!(lines[2].contains("/mnt/readonly ro,"), "{finished}");
    Ok(())
}

fn locked_flags_cannot_be_cleared(lab: &Lab) -> Outcome {
    for (option, named) in [("exec", "exec"), ("rsuid", "suid"), ("strictatime", "access times")] {
        let mut container = lab.container_of(&User::new()?)?;
        let source = Flagged::new(&container)?;
        container.config.mount("bind", &source.0, "/mnt/here", &["rbind", option]);
        let finished = container.run_sh("true")?.exits(1);
        finished.says(&["flagged", "/mounts/", "cannot clear locked flags", named]);
        drop(source);
        container.nothing_left()?;
    }
    Ok(())
}

fn terminal(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    let socket = husk_conformance::terminal::ConsoleSocket::listen(&container.directory)?;
    give_away(&container.directory)?;
    container.config.put("/process/terminal", json!(true)).sh("tty; stat -c %u:%g $(tty); sleep 1000");
    container.create_with(&["--console-socket", &socket.path.to_string_lossy()])?.output()?.ok();
    let (mut terminal, _) = socket.receive()?;
    container.start()?.ok();
    let text = terminal.expect("0:0")?;
    assert!(text.starts_with("/dev/pts/0"), "{text}");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn hooks_run_as_the_user(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    let kinds = ["prestart", "createRuntime", "poststart", "poststop"];
    for kind in kinds {
        let script = format!("id -u >{}/{kind}", container.directory.display());
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}]);
        container.config.put(&format!("/hooks/{kind}"), hook);
    }
    container.run_sh("true")?.ok();
    for kind in kinds {
        assert_eq!(fs::read_to_string(container.directory.join(kind))?, format!("{USER}\n"), "{kind}");
    }
    container.nothing_left()
}

/// The kernel makes a sysfs for nobody who does not own the network that it shows.
fn sys_without_a_network_of_its_own(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.without_mount("/sys").without_mount("/sys/fs/cgroup");
    container.config.mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]);
    let script =
        "ls /sys/class/net | grep -q . && echo there; cat /proc/mounts | grep -c '^[^ ]* /sys.* rw,'";
    container.run_sh(script)?.prints("there\n0");
    container.nothing_left()
}

fn network_of_its_own(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.namespace("network").without_mount("/sys").without_mount("/sys/fs/cgroup");
    container.config.mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]);
    container.run_sh("ls /sys/class/net; cat /sys/class/net/lo/operstate")?.ok().prints("lo\nunknown");
    container.nothing_left()
}

/// In a pid namespace of others the kernel makes no procfs for a user; the parameters are written all the same.
fn sysctl_among_the_processes_of_the_host(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.namespace("network").without_namespace("pid").without_mount("/proc");
    container.config.mount("bind", "/proc", "/proc", &["rbind", "nosuid", "noexec", "nodev"]);
    container.config.put("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "77"}));
    container.run_sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start")?.ok().prints("77");
    container.nothing_left()
}

/// There is no cgroup to find its processes by, either.
fn processes_that_nobody_finds(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    assert_eq!(container.run_sh("true")?.ok().stderr, "");
    container.config.without_namespace("pid").without_mount("/proc");
    container.config.mount("bind", "/proc", "/proc", &["rbind", "nosuid", "noexec", "nodev"]);
    container.run_sh("true")?.ok().says(&["Such configuration is strongly discouraged"]);
    container.nothing_left()
}

/// CVE-2023-25809: what a container without a cgroup namespace saw were the cgroups of the user, to be written.
fn cgroups_of_the_caller_cannot_be_written(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    let script = "find /sys/fs/cgroup -type d | while read d; do touch $d/x 2>/dev/null && echo made in $d; \
                  mkdir $d/x 2>/dev/null && echo made below $d; done; \
                  touch /sys/fs/cgroup/x; find /sys/fs/cgroup -name '*.procs' -exec sh -c ': >>$0 && echo $0' {} ';' 2>&1";
    let finished = container.run_sh(script)?;
    assert!(!finished.stdout.contains("made"), "{finished}");
    assert!(finished.stderr.contains("Read-only file system"), "{finished}");
    assert!(finished.stdout.lines().all(|line| line.contains("Read-only file system")), "{finished}");
    // Nor where the config does not ask for read-only.
    container.config.without_mount("/sys/fs/cgroup").mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid"]);
    let script = "for d in /sys/fs/cgroup/*; do touch $d/x 2>/dev/null && echo made in $d; done; true";
    container.run_sh(script)?.ok().prints("");
    container.nothing_left()
}

/// As the containers of a pod share them. In the user namespace of a user nobody may change groups.
fn namespaces_of_another_container(lab: &Lab) -> Outcome {
    let holder = up(lab)?;
    let mut container = lab.container_of(&User::new()?)?;
    let pid = holder.pid()?;
    for (kind, link) in [("user", "user"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
        container.config.join(kind, &format!("/proc/{pid}/ns/{link}"));
    }
    container.config.remove("/hostname").remove("/linux/uidMappings").remove("/linux/gidMappings");
    container.up()?;
    container.exec_sh("id -u; ps -o args | grep -c 'sleep 100[0]'")?.ok().prints("0\n2");
    container.force_delete()?.ok();
    container.nothing_left()?;
    assert_eq!(holder.status()?, "running");
    Ok(())
}

fn needs_a_user_namespace(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.without_namespace("user").remove("/linux/uidMappings").remove("/linux/gidMappings");
    container.run()?.exits(1).says(&["rootless container", "user namespaces"]);
    container.nothing_left()
}

fn further_groups_are_refused(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.put("/process/user/additionalGids", json!([0]));
    container.run()?.exits(1).says(&["groups"]);
    container.nothing_left()
}

fn options_of_unmapped_ids_are_refused(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.mount("tmpfs", "tmpfs", "/tmp", &["gid=5"]);
    container.run()?.exits(1).says(&["cannot specify", "gid="]);
    container.nothing_left()
}

fn other_ids_without_the_helpers(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?.without_programs())?;
    container.config.with_ranges().args(&["/bin/true"]);
    let finished = container.run()?.exits(1);
    if !lab.runtime.is("runc") {
        finished.says(&["newuidmap", "subuid", "/linux/uidMappings"]);
    }
    container.nothing_left()
}

fn ranges_are_mapped(lab: &Lab) -> Outcome {
    let mut container = with_ranges(lab)?;
    container.config.writable().capabilities(&["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]);
    let finished = container.run_sh("cat /proc/self/setgroups; touch /tmp/f && chown 1000:5 /tmp/f")?.ok();
    assert_eq!(finished.stdout.trim(), "allow");
    let file = fs::metadata(container.rootfs().join("tmp/f"))?;
    assert_eq!((file.uid(), file.gid()), (FIRST_OF_RANGE + 999, FIRST_OF_RANGE + 4));
    container.nothing_left()
}

fn user_of_a_range(lab: &Lab) -> Outcome {
    let mut container = with_ranges(lab)?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 20]}));
    container.up()?;
    container.exec_sh("id -u; id -g; id -G")?.ok().prints("1000\n1000\n1000 5 20");
    container.exec(&["--user", "7:8"], &["/bin/sh", "-c", "id -u; id -g"])?.ok().prints("7\n8");
    let status = container.proc_file("status")?;
    assert!(status.contains(&format!("Uid:\t{}\t", FIRST_OF_RANGE + 999)), "{status}");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn with_ranges(lab: &Lab) -> Result<Container<'_>, Stop> {
    let directory = lab.directory.join(lab.unique("etc"));
    fs::create_dir(&directory)?;
    let mut container = lab.container_of(&User::with_ranges(&directory)?)?;
    container.config.with_ranges();
    Ok(container)
}

fn a_range_of_others_is_refused(lab: &Lab) -> Outcome {
    let mut container = with_ranges(lab)?;
    container.config.put("/linux/uidMappings/1/hostID", json!(FIRST_OF_RANGE - 1)).args(&["/bin/true"]);
    let finished = container.run()?.exits(1);
    // The words are newuidmap's own.
    finished.says(if lab.runtime.is("runc") {
        &["newuidmap"]
    } else {
        &["not allowed", "/etc/subuid", "usermod"]
    });
    container.nothing_left()
}

fn limits_without_delegation(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    container.config.put("/linux/resources/pids", json!({"limit": 20}));
    let finished = container.run()?.exits(1);
    if !lab.runtime.is("runc") {
        finished.says(&["cannot set pids limit: container could not join or create cgroup", "Delegate=yes"]);
    }
    container.nothing_left()
}

fn cgroups_path_without_permission(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    let path = format!("/{}", container.id);
    container.config.put("/linux/cgroupsPath", json!(path));
    container.run()?.exits(1).says(&["unable to apply cgroup configuration", "permission denied"]);
    container.nothing_left()
}

fn permissions_are_not_ignored_on_request(lab: &Lab) -> Outcome {
    let container = lab.container_of(&User::new()?)?;
    container.write_config()?;
    let global = ["--rootless", "false", "--root"];
    let finished = container.runtime_alone(global)?.arg(&container.state_root).args(["run", "--bundle"]);
    finished.arg(&container.bundle).arg(&container.id).output()?.exits(1).says(&["permission denied"]);
    container.nothing_left()
}

/// Where root has given the user a cgroup, the container gets one in it; nothing is left of it.
fn delegated_cgroups(lab: &Lab) -> Outcome {
    let given = Delegated::new(lab)?;
    let mut container = lab.container_of(&User::new()?.in_cgroups(&given))?;
    container.up()?;
    let made = traces::cgroups(&container.id);
    assert!(!made.is_empty() && made.iter().all(|path| given.contains(path)), "{made:?}");
    let pids = container.runtime(["ps", "--format", "json", &container.id])?.output()?.ok();
    assert_eq!(serde_json::from_str::<Value>(&pids.stdout)?, json!([container.pid()?.as_raw()]));
    container.exec_sh("cat /proc/self/cgroup")?.ok();
    container.force_delete()?.ok();
    container.nothing_left()
}

fn limits_in_delegated_cgroups(lab: &Lab) -> Outcome {
    let given = Delegated::new(lab)?;
    let mut container = lab.container_of(&User::new()?.in_cgroups(&given))?;
    container.config.put("/linux/resources/pids", json!({"limit": 5}));
    // The shell, and a process more than it may have.
    let script = "for i in 1 2 3 4 5 6; do sleep 100 & done; echo all; kill -9 -1";
    let finished = container.run_sh(script)?;
    assert!(finished.stderr.contains("fork"), "{finished}");
    container.nothing_left()
}

fn update_in_delegated_cgroups(lab: &Lab) -> Outcome {
    let given = Delegated::new(lab)?;
    let mut container = lab.container_of(&User::new()?.in_cgroups(&given))?;
    container.config.put("/linux/resources/pids", json!({"limit": 5}));
    container.up()?;
    container.runtime(["update", "--pids-limit", "77", &container.id])?.output()?.ok();
    let stats = container.runtime(["events", "--stats", &container.id])?.output()?.ok();
    let stats: Value = serde_json::from_str(&stats.stdout)?;
    assert_eq!(stats["data"]["pids"]["limit"], 77, "{stats}");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn pause_in_delegated_cgroups(lab: &Lab) -> Outcome {
    let given = Delegated::new(lab)?;
    let mut container = lab.container_of(&User::new()?.in_cgroups(&given))?;
    container.up()?;
    container.verb("pause")?.ok();
    assert_eq!(container.status()?, "paused");
    container.verb("resume")?.ok();
    assert_eq!(container.status()?, "running");
    container.verb("pause")?.ok();
    container.force_delete()?.ok();
    container.nothing_left()
}
