//! Namespaces of each kind: new ones, joined ones, inherited ones; and what is set inside them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, unable};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case!(joined_by_a_mounted_file),
        case!(joined_pid_namespace_shows_its_processes),
        case!(joined_network_is_shared),
        case!(joined_user_namespace, lacks "runc 1.1": "asks for mappings where it joins"),
        case!(joined_namespaces_have_different_owners, lacks "runc 1.1": "enters all with the rights of the user namespace"),
        case!(user_namespace_maps_ids),
        case!(user_namespace_shifts_the_devices),
        case!(user_namespace_with_several_ranges),
        case!(cgroup_namespace_hides_the_path),
        case!(
            shared_cgroup_namespace_shows_the_hierarchy,
            lacks "runc": "mounts it anew, by which the host's mount loses its options",
            "crun": "mounts it anew, by which the host's mount loses its options"
        ),
        case!(time_offsets, lacks "runc 1.1": "has no time namespaces"),
        case!(hostname_and_domainname, lacks "runc 1.1": "does not know the domain name"),
        case!(sysctl_of_the_network),
        case!(sysctl_of_ipc),
        case!(sysctl_with_slashes),
    ];
    for (kind, link) in KINDS {
        let name = |what: &str| format!("namespaces::{what}_{kind}");
        let without_time: &'static [_] =
            if kind == "time" { &[("runc 1.1", "has no time namespaces")] } else { &[] };
        cases.push(Case::new(name("new"), move |lab| is_new(lab, kind, link)).lacks(without_time));
        if kind != "mount" && kind != "user" {
            cases.push(Case::new(name("inherited"), move |lab| is_inherited(lab, kind, link)));
            cases.push(Case::new(name("joined"), move |lab| is_joined(lab, kind, link)).lacks(without_time));
        }
    }
    cases
}

/// The spec's name of each kind, and the name of its link in /proc/PID/ns.
const KINDS: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
    ("user", "user"),
    ("time", "time"),
];

/// A container that sleeps, with a namespace of this kind added where the default has none.
fn with_namespace<'lab>(lab: &'lab Lab, kind: &str) -> Result<Container<'lab>, Stop> {
    let mut container = lab.container()?;
    match kind {
        "user" => drop(container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup")),
        "cgroup" | "time" => drop(container.config.namespace(kind)),
        _ => {}
    }
    container.up()?;
    Ok(container)
}

fn link_of(container: &Container<'_>, link: &str) -> Result<PathBuf, Stop> {
    Ok(fs::read_link(format!("/proc/{}/ns/{link}", container.pid()?))?)
}

fn own_link(link: &str) -> Result<PathBuf, Stop> {
    Ok(fs::read_link(format!("/proc/self/ns/{link}"))?)
}

fn is_new(lab: &Lab, kind: &str, link: &str) -> Outcome {
    let container = with_namespace(lab, kind)?;
    assert_ne!(link_of(&container, link)?, own_link(link)?);
    container.force_delete()?.ok();
    container.nothing_left()
}

/// The runtime's own namespace, with whatever in the default config needs a new one left out.
fn is_inherited(lab: &Lab, kind: &str, link: &str) -> Outcome {
    let mut container = lab.container()?;
    container.config.without_namespace(kind);
    match kind {
        "uts" => drop(container.config.remove("/hostname")),
        // A sysfs can be mounted only in a network namespace that the process owns, and here it does.
        "ipc" => drop(container.config.without_mount("/dev/mqueue")),
        _ => {}
    }
    container.up()?;
    assert_eq!(link_of(&container, link)?, own_link(link)?);
    container.force_delete()?.ok();
    container.nothing_left()
}

fn is_joined(lab: &Lab, kind: &str, link: &str) -> Outcome {
    let holder = with_namespace(lab, kind)?;
    let mut container = lab.container()?;
    container.config.join(kind, &format!("/proc/{}/ns/{link}", holder.pid()?));
    if kind == "uts" {
        container.config.remove("/hostname");
    }
    container.up()?;
    assert_eq!(link_of(&container, link)?, link_of(&holder, link)?);
    container.force_delete()?.ok();
    assert_eq!(holder.status()?, "running", "the holder does not end with who joined it");
    container.nothing_left()?;
    holder.force_delete()?.ok();
    holder.nothing_left()
}

/// A network namespace that no process holds, only a mount: engines keep them so.
fn joined_by_a_mounted_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let file = container.directory.join("netns");
    fs::write(&file, "")?;
    let unshare = format!("--net={}", file.display());
    let made = Command::new("unshare").args([&unshare, "true"]).status()?;
    assert!(made.success(), "unshare {unshare}");
    container.config.join("network", &file.to_string_lossy());
    container.run_sh("ls /sys/class/net")?.ok().prints("lo");
    nix::mount::umount(&file)?;
    container.nothing_left()
}

fn joined_pid_namespace_shows_its_processes(lab: &Lab) -> Outcome {
    let holder = with_namespace(lab, "pid")?;
    let mut container = lab.container()?;
    container.config.join("pid", &format!("/proc/{}/ns/pid", holder.pid()?));
    let finished = container.run_sh("ps -o pid,args; echo $$")?.ok();
    assert!(finished.stdout.contains("1 /bin/sleep 1000"), "{finished}");
    assert_ne!(finished.stdout.lines().last(), Some("1"), "{finished}");
    container.nothing_left()
}

fn joined_network_is_shared(lab: &Lab) -> Outcome {
    let holder = with_namespace(lab, "network")?;
    holder.exec(&["--cap", "CAP_NET_ADMIN"], &["/bin/ip", "addr", "add", "127.9.9.9/8", "dev", "lo"])?.ok();
    let mut container = lab.container()?;
    container.config.join("network", &format!("/proc/{}/ns/net", holder.pid()?));
    let finished = container.run_sh("ip addr show lo")?.ok();
    assert!(finished.stdout.contains("127.9.9.9"), "{finished}");
    Ok(())
}

fn joined_user_namespace(lab: &Lab) -> Outcome {
    let holder = with_namespace(lab, "user")?;
    let mut container = lab.container()?;
    container
        .config
        .join("user", &format!("/proc/{}/ns/user", holder.pid()?))
        .without_mount("/sys/fs/cgroup");
    container.up()?;
    assert_eq!(link_of(&container, "user")?, link_of(&holder, "user")?);
    assert!(container.proc_file("status")?.contains("Uid:\t100000\t"));
    Ok(())
}

/// The network is the host's to give, and root of the user namespace that is joined with it may not enter it.
fn joined_namespaces_have_different_owners(lab: &Lab) -> Outcome {
    let (users, network) = (with_namespace(lab, "user")?, with_namespace(lab, "network")?);
    let mut container = lab.container()?;
    container
        .config
        .join("user", &format!("/proc/{}/ns/user", users.pid()?))
        .join("network", &format!("/proc/{}/ns/net", network.pid()?))
        .without_mount("/sys/fs/cgroup")
        .without_mount("/sys");
    container.up()?;
    assert_eq!(link_of(&container, "user")?, link_of(&users, "user")?);
    assert_eq!(link_of(&container, "net")?, link_of(&network, "net")?);
    container.force_delete()?.ok();
    container.nothing_left()
}

fn user_namespace_maps_ids(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    container.config.put("/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [7]}));
    container.up()?;
    let status = container.proc_file("status")?;
    assert!(status.contains("Uid:\t100000\t100000\t100000\t100000"), "{status}");
    assert!(status.contains("Gid:\t100000\t100000\t100000\t100000"), "{status}");
    assert!(status.contains("Groups:\t100007"), "{status}");
    let map = container.proc_file("uid_map")?;
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "1000"]);
    container.exec(&[], &["/bin/id", "-u"])?.ok().prints("0");
    container.exec(&["--user", "5"], &["/bin/id", "-u"])?.ok().prints("5");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// In a user namespace nobody can make device nodes, so those of the host come by bind mounts.
fn user_namespace_shifts_the_devices(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    let script = "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; \
                  echo x > /dev/null && head -c 3 /dev/zero | wc -c";
    container.run_sh(script)?.ok().prints("3");
    Ok(())
}

fn user_namespace_with_several_ranges(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let maps = json!([
        {"containerID": 0, "hostID": 200_000, "size": 10},
        {"containerID": 10, "hostID": 300_000, "size": 20},
        {"containerID": 1000, "hostID": 400_000, "size": 1},
    ]);
    container.config.user_namespace(0).without_mount("/sys/fs/cgroup");
    container.config.put("/linux/uidMappings", maps.clone()).put("/linux/gidMappings", maps);
    container.config.put("/process/user", json!({"uid": 1000, "gid": 11}));
    container.up()?;
    let status = container.proc_file("status")?;
    assert!(status.contains("Uid:\t400000\t") && status.contains("Gid:\t300001\t"), "{status}");
    Ok(())
}

fn cgroup_namespace_hides_the_path(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.namespace("cgroup");
    let finished = container.run_sh("cat /proc/self/cgroup")?.ok();
    assert_ne!(finished.stdout, "");
    for line in finished.stdout.lines() {
        assert!(line.ends_with(":/"), "{finished}");
    }
    Ok(())
}

/// Where the path that the kernel tells leads somewhere in what is mounted, programs find their limits.
fn shared_cgroup_namespace_shows_the_hierarchy(lab: &Lab) -> Outcome {
    let Ok(before) = options_of_cgroup2() else {
        return unable("under v1 a container without a cgroup namespace sees its own cgroups alone");
    };
    let mut container = lab.container()?;
    container.config.without_namespace("cgroup");
    let look = "path=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); cat $path/cgroup.procs; mkdir $path/x || echo may not";
    let finished = container.run_sh(look)?.ok();
    assert!(finished.stdout.starts_with("1\n") && finished.stdout.ends_with("may not\n"), "{finished}");
    let after = options_of_cgroup2()?;
    if after != before {
        let options = before.split(' ').nth(3).unwrap_or_default();
        Command::new("mount").args(["-o", &format!("remount,{options}"), "/sys/fs/cgroup"]).status()?;
    }
    assert_eq!(after, before, "the host's mount has lost options");
    container.nothing_left()
}

/// Of the host's mount, where there is no other hierarchy.
fn options_of_cgroup2() -> Result<String, Stop> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let line = mounts.lines().find(|line| line.contains(" /sys/fs/cgroup cgroup2 "));
    line.map(str::to_owned).ok_or_else(|| Stop::Unable("no cgroup v2".to_owned()))
}

fn time_offsets(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let offsets = json!({"boottime": {"secs": 864_000}, "monotonic": {"secs": 432_000, "nanosecs": 5}});
    container.config.namespace("time").put("/linux/timeOffsets", offsets);
    let finished = container.run_sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime")?.ok();
    let words = |key: &str| finished.value(key).split_whitespace().collect::<Vec<_>>();
    assert_eq!(words("monotonic"), ["432000", "5"]);
    assert_eq!(words("boottime"), ["864000", "0"]);
    let uptime: u64 = finished.stdout.lines().last().unwrap_or_default().parse()?;
    assert!(uptime > 864_000, "{uptime}");
    Ok(())
}

fn hostname_and_domainname(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/hostname", json!("short")).put("/domainname", json!("example.org"));
    let files = "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname";
    container.run_sh(files)?.ok().prints("short\nexample.org");
    Ok(())
}

fn sysctl_of_the_network(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let sysctl = json!({"net.ipv4.ip_forward": "1", "net.ipv4.ping_group_range": "0 7"});
    container.config.put("/linux/sysctl", sysctl);
    let files = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ping_group_range";
    container.run_sh(files)?.ok().prints("1\n0\t7");
    Ok(())
}

fn sysctl_of_ipc(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let sysctl = json!({"kernel.msgmax": "9000", "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "5"});
    container.config.put("/linux/sysctl", sysctl);
    let files = "cd /proc/sys; cat kernel/msgmax kernel/shm_rmid_forced fs/mqueue/msg_max";
    container.run_sh(files)?.ok().prints("9000\n1\n5");
    Ok(())
}

/// A key may be written as a path, which is how names with dots in them (`eno2.100`) can be said at all.
fn sysctl_with_slashes(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/sysctl", json!({"net/ipv4/ip_forward": "1"}));
    container.run_sh("cat /proc/sys/net/ipv4/ip_forward")?.ok().prints("1");
    Ok(())
}
