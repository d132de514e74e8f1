//! Whose the container's cgroup is, and what who is in there may do with it (config-linux.md, "Cgroup ownership";
//! cgroups(7), "Delegation of a hierarchy").

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, traces, unable};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(writable_cgroup_is_the_containers),
        case!(container_divides_its_cgroup),
        case!(limited_cgroup_above_a_delegated_one_stays_roots,
            lacks "runc": "crun's annotation", "crun": "gives the limited one away as well"),
        case!(owner_is_the_user_of_the_process, lacks "crun": "gives it to the root of the user namespace"),
        case!(owner_without_a_user_namespace, lacks "crun": "gives it to nobody without a user namespace"),
        case!(read_only_cgroup_stays_roots, lacks "crun": "gives it away all the same"),
        case!(cgroup_of_a_shared_namespace_stays_roots, lacks "crun": "gives it away all the same"),
        case!(limits_cannot_be_changed_from_inside, lacks "runc": "its mount of cgroup v2 takes nsdelegate off that of the whole machine"),
        case!(v1_cgroups_stay_roots),
    ]
}

/// First of the host's ids that the containers here have.
const BASE: u32 = 100_000;

fn is_v2_alone() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// A container with a view of its own cgroup and nothing above, to be written if `access` is `rw`.
fn with_view<'lab>(lab: &'lab Lab, access: &str) -> Result<Container<'lab>, Stop> {
    let mut container = lab.container()?;
    container.config.namespace("cgroup").without_mount("/sys/fs/cgroup");
    container.config.mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", access]);
    Ok(container)
}

/// The same, where cgroup v2 is alone, for a runtime that gives cgroups away with the manager of this run.
fn delegating<'lab>(lab: &'lab Lab, access: &str) -> Result<Container<'lab>, Stop> {
    if !is_v2_alone() {
        return unable("under v1 nothing is given away, and here is v1");
    }
    if lab.runtime.is("runc") && !lab.systemd {
        return unable("runc gives only cgroups away that systemd has made");
    }
    with_view(lab, access)
}

fn in_user_namespace<'lab>(lab: &'lab Lab, access: &str) -> Result<Container<'lab>, Stop> {
    let mut container = delegating(lab, access)?;
    container.config.user_namespace(BASE);
    Ok(container)
}

fn directory_of(container: &Container<'_>) -> Result<PathBuf, Stop> {
    match traces::cgroups(&container.id).into_iter().next() {
        Some(directory) => Ok(directory),
        None => Err(Stop::Failed(format!("{} has no cgroup", container.id))),
    }
}

/// Expects that the directory and what the kernel lists are this user's, and that everything else is root's.
fn is_given_to(container: &Container<'_>, user: u32) -> Outcome {
    let directory = directory_of(container)?;
    assert_eq!(fs::metadata(&directory)?.uid(), user, "{}", directory.display());
    let delegate = fs::read_to_string("/sys/kernel/cgroup/delegate")?;
    let mut given = 0;
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name();
        let listed = delegate.lines().any(|line| name == line);
        given += u32::from(listed);
        let expected = if listed { user } else { 0 };
        assert_eq!(entry.metadata()?.uid(), expected, "{}", entry.path().display());
    }
    assert!(given >= 3, "{given} files of {delegate}");
    Ok(())
}

fn writable_cgroup_is_the_containers(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab, "rw")?;
    container.up()?;
    is_given_to(&container, BASE)?;
    container.exec_sh("stat -c %u /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs")?.ok().prints("0\n0");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// As systemd in a container does it: everybody moves one level down, then controllers are handed on and a limit set.
/// Whoever comes later gets in all the same, and nothing of it is left.
fn container_divides_its_cgroup(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab, "rw")?;
    container.up()?;
    let script = "cd /sys/fs/cgroup; mkdir init small && echo 1 >init/cgroup.procs && echo $$ >init/cgroup.procs && \
                  echo '+pids' >cgroup.subtree_control && echo 2 >small/pids.max && \
                  sh -c 'echo $$ >small/cgroup.procs; exec 2>/dev/null; sleep 9 & sleep 9 & echo both'; \
                  cat small/pids.events; cat /proc/self/cgroup";
    let finished = container.exec_sh(script)?;
    assert!(!finished.stdout.contains("both"), "{finished}");
    assert!(finished.value("max").parse::<u32>().is_ok_and(|refused| refused > 0), "{finished}");
    assert!(finished.stdout.contains("0::/init"), "{finished}");
    container.exec_sh("cat /proc/self/cgroup")?.ok().prints("0::/init");
    container.verb("pause")?.ok();
    container.verb("resume")?.ok();
    container.force_delete()?.ok();
    container.nothing_left()
}

fn limited_cgroup_above_a_delegated_one_stays_roots(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab, "rw")?;
    container.config.put("/annotations/run.oci.delegate-cgroup", json!("payload"));
    container.up()?;
    container.exec_sh("mkdir /sys/fs/cgroup/mine && echo made")?.ok().prints("made");
    let limited = directory_of(&container)?;
    let owners = [&limited, &limited.join("payload"), &limited.join("payload/mine")].map(fs::metadata);
    let owners =
        owners.into_iter().map(|metadata| Ok(metadata?.uid())).collect::<Result<Vec<u32>, Stop>>()?;
    assert_eq!(owners, [0, BASE, BASE]);
    container.force_delete()?.ok();
    container.nothing_left()
}

fn owner_is_the_user_of_the_process(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab, "rw")?;
    container.config.put("/process/user", json!({"uid": 7, "gid": 8}));
    container.up()?;
    is_given_to(&container, BASE + 7)?;
    container.exec_sh("mkdir /sys/fs/cgroup/mine && echo made")?.ok().prints("made");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn owner_without_a_user_namespace(lab: &Lab) -> Outcome {
    let mut container = delegating(lab, "rw")?;
    container.config.put("/process/user", json!({"uid": 4321, "gid": 8}));
    container.up()?;
    is_given_to(&container, 4321)?;
    container.force_delete()?.ok();
    container.nothing_left()
}

fn read_only_cgroup_stays_roots(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab, "ro")?;
    container.up()?;
    is_roots(&container)
}

/// It would see what is above, and there is no namespace to keep its processes inside.
fn cgroup_of_a_shared_namespace_stays_roots(lab: &Lab) -> Outcome {
    let mut container = in_user_namespace(lab, "rw")?;
    container.config.without_namespace("cgroup");
    container.up()?;
    is_roots(&container)
}

fn is_roots(container: &Container<'_>) -> Outcome {
    for directory in traces::cgroups(&container.id) {
        assert_eq!(fs::metadata(&directory)?.uid(), 0, "{}", directory.display());
        assert_eq!(fs::metadata(directory.join("cgroup.procs"))?.uid(), 0, "{}", directory.display());
    }
    Ok(())
}

/// With `nsdelegate` a cgroup namespace is a border also for root: its own limits belong to who is outside.
fn limits_cannot_be_changed_from_inside(lab: &Lab) -> Outcome {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    if !is_v2_alone() || !mounts.lines().any(|line| line.contains(" cgroup2 ") && line.contains("nsdelegate"))
    {
        return unable("cgroup v2 is not mounted with nsdelegate here");
    }
    for base in [None, Some(BASE)] {
        let mut container = with_view(lab, "rw")?;
        container.config.put("/linux/resources/pids", json!({"limit": 50}));
        if let Some(base) = base {
            container.config.user_namespace(base);
        }
        container.up()?;
        let finished = container.exec_sh("echo max >/sys/fs/cgroup/pids.max && echo raised; true")?.ok();
        assert!(!finished.stdout.contains("raised"), "{finished}");
        assert_eq!(fs::read_to_string(directory_of(&container)?.join("pids.max"))?.trim(), "50");
    }
    Ok(())
}

fn v1_cgroups_stay_roots(lab: &Lab) -> Outcome {
    if is_v2_alone() {
        return unable("there are no v1 hierarchies here");
    }
    let mut container = with_view(lab, "rw")?;
    container.config.user_namespace(BASE);
    container.up()?;
    is_roots(&container)
}
