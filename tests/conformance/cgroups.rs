//! Resource limits as the cgroup files show them, in whichever hierarchy the controller is, and as they work.

use std::fs;
use std::path::{Path, PathBuf};

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, traces, unable};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(every_hierarchy_has_the_container),
        case!(path_is_the_configs),
        case!(path_with_dots_stays_inside),
        case!(is_removed_with_the_container),
        case!(memory_limit),
        case!(memory_limit_is_enforced),
        case!(memory_is_unlimited),
        case!(cpu_quota),
        case!(cpu_shares),
        case!(cpu_sets),
        case!(pids_limit),
        case!(pids_limit_is_enforced),
        case!(pids_are_unlimited),
        case!(limits_hold_before_the_program_runs),
        case!(occupied_cgroup_is_refused, lacks "runc 1.1": "shares the cgroup with a warning"),
        case!(frozen_cgroup_is_refused),
        case!(descendants_are_inside),
    ]
}

/// The file of a controller: `v1` in that controller's hierarchy, or `v2` in the unified one.
pub(crate) fn file(container: &Container<'_>, controller: &str, v1: &str, v2: &str) -> Result<PathBuf, Stop> {
    let root = Path::new("/sys/fs/cgroup");
    for line in container.proc_file("cgroup")?.lines() {
        let fields: Vec<&str> = line.splitn(3, ':').collect();
        let [_, controllers, path] = fields[..] else { continue };
        let below = path.trim_start_matches('/');
        if controllers.split(',').any(|name| name == controller) {
            return Ok(root.join(controllers).join(below).join(v1));
        }
        let unified = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        if controllers.is_empty() && unified.split_whitespace().any(|name| name == controller) {
            return Ok(root.join(below).join(v2));
        }
    }
    unable(format!("no hierarchy has the controller {controller}"))
}

/// Skips a test of a controller that this machine's kernel does not have.
pub(crate) fn needs_controller(name: &str) -> Outcome {
    let root = Path::new("/sys/fs/cgroup");
    let unified = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    if root.join(name).is_dir() || unified.split_whitespace().any(|controller| controller == name) {
        return Ok(());
    }
    unable(format!("no hierarchy has the controller {name}"))
}

pub(crate) fn read(container: &Container<'_>, controller: &str, v1: &str, v2: &str) -> Result<String, Stop> {
    let file = file(container, controller, v1, v2)?;
    let text =
        fs::read_to_string(&file).map_err(|error| Stop::Failed(format!("{}: {error}", file.display())))?;
    Ok(text.trim().to_owned())
}

pub(crate) fn up_with<'lab>(lab: &'lab Lab, resources: &str, value: Value) -> Result<Container<'lab>, Stop> {
    let mut container = lab.container()?;
    container.config.put(&format!("/linux/resources/{resources}"), value);
    container.up()?;
    Ok(container)
}

fn every_hierarchy_has_the_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let cgroups = container.proc_file("cgroup")?;
    for line in cgroups.lines() {
        assert!(line.contains(&container.id), "{line}");
    }
    Ok(())
}

fn path_is_the_configs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_itself();
    let path = format!("/husk-{}", container.id);
    container.config.put("/linux/cgroupsPath", json!(path));
    container.up()?;
    for line in container.proc_file("cgroup")?.lines() {
        assert!(line.ends_with(&format!(":{path}")), "{line}");
    }
    container.force_delete()?.ok();
    container.nothing_left()
}

fn path_with_dots_stays_inside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_itself();
    container.config.put("/linux/cgroupsPath", json!(format!("../../../../../../tmp/../{}", container.id)));
    container.up()?;
    for line in container.proc_file("cgroup")?.lines() {
        assert!(line.ends_with(&container.id) && !line.contains(".."), "{line}");
    }
    container.force_delete()?.ok();
    container.nothing_left()
}

fn is_removed_with_the_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    assert_ne!(traces::cgroups(&container.id), Vec::<PathBuf>::new());
    container.force_delete()?.ok();
    assert_eq!(traces::cgroups(&container.id), Vec::<PathBuf>::new(), "at once when delete returns");
    Ok(())
}

fn memory_limit(lab: &Lab) -> Outcome {
    let limits = json!({"limit": 64 << 20, "reservation": 32 << 20});
    let container = up_with(lab, "memory", limits)?;
    assert_eq!(read(&container, "memory", "memory.limit_in_bytes", "memory.max")?, (64 << 20).to_string());
    assert_eq!(
        read(&container, "memory", "memory.soft_limit_in_bytes", "memory.low")?,
        (32 << 20).to_string()
    );
    Ok(())
}

fn memory_limit_is_enforced(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 32 << 20}))?;
    file(&container, "memory", "", "")?;
    let dd = "dd if=/dev/zero of=/dev/null bs=200M count=1";
    container.exec_sh(&format!("{dd} && echo done"))?.exits(137).prints("");
    container.exec_sh("echo others live")?.ok().prints("others live");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn memory_is_unlimited(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": -1}))?;
    let limit = read(&container, "memory", "memory.limit_in_bytes", "memory.max")?;
    assert!(limit == "max" || limit.parse::<u64>().is_ok_and(|bytes| bytes > 1 << 60), "{limit}");
    Ok(())
}

fn cpu_quota(lab: &Lab) -> Outcome {
    let container = up_with(lab, "cpu", json!({"quota": 20_000, "period": 50_000}))?;
    let quota = read(&container, "cpu", "cpu.cfs_quota_us", "cpu.max")?;
    if quota.contains(' ') {
        assert_eq!(quota, "20000 50000");
        return Ok(());
    }
    assert_eq!(quota, "20000");
    assert_eq!(read(&container, "cpu", "cpu.cfs_period_us", "cpu.max")?, "50000");
    Ok(())
}

/// Half of the default share. In v2 it becomes a weight, by a formula that has changed once (20, later 59).
fn cpu_shares(lab: &Lab) -> Outcome {
    let container = up_with(lab, "cpu", json!({"shares": 512}))?;
    let share = read(&container, "cpu", "cpu.shares", "cpu.weight")?;
    assert!(["512", "20", "59"].contains(&share.as_str()), "{share}");
    Ok(())
}

fn cpu_sets(lab: &Lab) -> Outcome {
    needs_controller("cpuset")?;
    let container = up_with(lab, "cpu", json!({"cpus": "0", "mems": "0"}))?;
    assert_eq!(read(&container, "cpuset", "cpuset.cpus", "cpuset.cpus")?, "0");
    assert_eq!(read(&container, "cpuset", "cpuset.mems", "cpuset.mems")?, "0");
    let status = container.exec(&[], &["/bin/cat", "/proc/self/status"])?.ok();
    assert_eq!(status.value("Cpus_allowed_list:"), "0");
    Ok(())
}

fn pids_limit(lab: &Lab) -> Outcome {
    let container = up_with(lab, "pids", json!({"limit": 77}))?;
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "77");
    Ok(())
}

fn pids_limit_is_enforced(lab: &Lab) -> Outcome {
    let container = up_with(lab, "pids", json!({"limit": 20}))?;
    file(&container, "pids", "", "")?;
    let finished = container.exec_sh("for i in $(seq 40); do sleep 5 & done; echo all")?;
    assert!(!finished.stdout.contains("all") && finished.code() != 0, "{finished}");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn pids_are_unlimited(lab: &Lab) -> Outcome {
    let container = up_with(lab, "pids", json!({"limit": -1}))?;
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "max");
    Ok(())
}

fn limits_hold_before_the_program_runs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/resources/pids/limit", json!(55));
    container.config.put("/linux/resources/memory/limit", json!(48 << 20));
    container.create()?.ok();
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "55");
    assert_eq!(read(&container, "memory", "memory.limit_in_bytes", "memory.max")?, (48 << 20).to_string());
    container.delete()?.ok();
    container.nothing_left()
}

/// Whoever enters it stands still, and with it the runtime.
fn frozen_cgroup_is_refused(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_itself();
    let name = format!("husk-{}", container.id);
    let top = Path::new("/sys/fs/cgroup");
    let (hierarchy, file, value) = match top.join("cgroup.controllers").exists() {
        true => (top.to_owned(), "cgroup.freeze", "1"),
        false => (top.join("freezer"), "freezer.state", "FROZEN"),
    };
    let thawed = if value == "1" { "0" } else { "THAWED" };
    let frozen = hierarchy.join(&name);
    fs::create_dir(&frozen)?;
    fs::write(frozen.join(file), value)?;
    container.config.put("/linux/cgroupsPath", json!(format!("/{name}"))).args(&["/bin/true"]);
    let created = container.create();
    let left = fs::read_to_string(frozen.join(file))?;
    // What a runtime has put there could not even be killed in v1's freezer, and the room of the test never ended.
    fs::write(frozen.join(file), thawed)?;
    created?.exits(1).says(&["cgroup unexpectedly frozen"]);
    // It is somebody else's, and stays as it was.
    assert_eq!(left.trim(), value);
    fs::remove_dir(&frozen)?;
    container.nothing_left()
}

/// Two containers in one cgroup would be frozen, limited and killed together.
fn occupied_cgroup_is_refused(lab: &Lab) -> Outcome {
    let mut first = lab.container()?;
    first.by_itself();
    let path = format!("/husk-{}", first.id);
    first.config.put("/linux/cgroupsPath", json!(path));
    first.up()?;
    let mut second = lab.container()?;
    second.by_itself();
    second.config.put("/linux/cgroupsPath", json!(path)).args(&["/bin/true"]);
    second.create()?.exits(1).says(&["cgroup", "not empty"]);
    second.nothing_left()?;
    assert_eq!(first.status()?, "running");
    assert!(first.proc_file("cgroup")?.contains(&path));
    first.force_delete()?.ok();
    first.nothing_left()
}

fn descendants_are_inside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("sleep 1000 & sleep 1000 & wait");
    container.run_with(&["--detach"])?.output()?.ok();
    husk_conformance::eventually("three processes in the cgroup", || {
        let pids = read(&container, "pids", "cgroup.procs", "cgroup.procs")?;
        Ok(pids.lines().count() == 3)
    })
}
