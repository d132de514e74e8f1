#![allow(clippy::unwrap_used, reason = "tests")]
//! Real cgroups and real processes, as root: in a directory of this test's own in every hierarchy of this host.

use super::{Birthplace, Cgroup};
use crate::host::{CgroupLayout, Hierarchy, Host};
use crate::options::CreateOptions;
use crate::plan::{CgroupPlan, plan_cgroup};
use oci_spec::runtime as spec;
use serde_json::json;
use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How this host mounts cgroups.
fn layout() -> CgroupLayout {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut hierarchies = Vec::new();
    let mut unified = None;
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[2] {
            "cgroup2" => unified = Some(PathBuf::from(fields[1])),
            "cgroup" => hierarchies.push(Hierarchy {
                mountpoint: PathBuf::from(fields[1]),
                controllers: fields[3]
                    .split(',')
                    .filter(|option| {
                        !["rw", "ro", "relatime", "nosuid", "nodev", "noexec", "xattr"].contains(option)
                    })
                    .map(str::to_owned)
                    .collect(),
                own_cgroup: "/".to_owned(),
            }),
            _ => {}
        }
    }
    match unified {
        Some(mountpoint) if hierarchies.is_empty() => CgroupLayout::Unified { mountpoint },
        None if hierarchies.is_empty() => CgroupLayout::None,
        unified => CgroupLayout::Hybrid { hierarchies, unified },
    }
}

fn host(cgroups: CgroupLayout) -> Host {
    Host {
        kernel: (6, 18),
        cgroups,
        own_cgroup: "/".to_owned(),
        euid: 0,
        egid: 0,
        privileged: true,
        in_user_namespace: false,
        setgroups: true,
        has_kcore: true,
        apparmor: false,
        selinux: false,
        last_capability: 40,
    }
}

/// A cgroup of the test's own, gone at its end, with what was made around it.
struct Fixture {
    plan: CgroupPlan,
    cgroup: Cgroup,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// `/husk-test-PID-N`, which every test has for itself.
fn top() -> String {
    format!("/husk-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn plan_at(path: &str, resources: serde_json::Value) -> CgroupPlan {
    let linux = serde_json::json!({ "cgroupsPath": path, "resources": resources });
    let linux: spec::Linux = serde_json::from_value(linux).unwrap();
    let mut problems = Vec::new();
    let plan = plan_cgroup(
        Some(&linux),
        &"test".parse().unwrap(),
        &host(layout()),
        &CreateOptions::new(),
        &mut problems,
    );
    assert_eq!(problems, []);
    plan
}

impl Fixture {
    fn new(resources: serde_json::Value) -> Fixture {
        let plan = plan_at(&format!("{}/inner", top()), resources);
        let cgroup = Cgroup::create(&plan).unwrap();
        let fixture = Fixture { plan, cgroup };
        fixture.cgroup.apply(&fixture.plan).unwrap();
        fixture
    }

    fn directory(&self, controller: &str) -> PathBuf {
        let record = self.cgroup.record().0;
        record.get(controller).or_else(|| record.get("")).unwrap().clone()
    }

    fn read(&self, controller: &str, file: &str) -> String {
        fs::read_to_string(self.directory(controller).join(file)).unwrap().trim().to_owned()
    }

    /// A process that enters by itself, as a container's does.
    fn spawn(&self, script: &str) -> Child {
        spawn_in(&self.cgroup.birthplace().unwrap(), script)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.cgroup.kill(libc::SIGKILL);
        self.cgroup.undo().unwrap();
        for directory in &self.plan.directories {
            assert!(!directory.path.parent().unwrap().exists(), "{:?} is left", directory.path);
        }
    }
}

/// A shell that writes itself into the cgroup, as a container's process does, before it goes on.
fn spawn_in(birthplace: &Birthplace, script: &str) -> Child {
    let mut enter = String::new();
    let parent = std::process::id();
    for fd in &birthplace.procs {
        enter.push_str(&format!("echo 0 >/proc/{parent}/fd/{} || exit 99; ", fd.as_raw_fd()));
    }
    // Only clone3 makes use of the directory itself.
    if let Some(into) = &birthplace.into {
        enter.push_str(&format!("echo 0 >/proc/{parent}/fd/{}/cgroup.procs || exit 99; ", into.as_raw_fd()));
    }
    let script = format!("{enter} echo in; exec >&-; {script}");
    let mut child = Command::new("/bin/sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn().unwrap();
    // The fds have to stay open until it is in.
    let mut answer = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "in\n");
    child
}

/// Waits until this many processes are in the cgroup.
fn wait_for_pids(cgroup: &Cgroup, count: usize) -> Vec<i32> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let pids = cgroup.pids().unwrap();
        if pids.len() == count {
            return pids;
        }
        assert!(Instant::now() < deadline, "{count} processes wanted, {pids:?} are there");
        sleep(Duration::from_millis(5));
    }
}

/// The letter in `/proc/PID/stat`.
fn state_of(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

#[test]
fn a_process_lives_in_every_hierarchy_and_the_cgroup_goes_after_it() {
    let fixture = Fixture::new(json!({}));
    let mut child = fixture.spawn("exec sleep 100");
    assert_eq!(wait_for_pids(&fixture.cgroup, 1), [i32::try_from(child.id()).unwrap()]);
    let inside = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    let here = inside.lines().filter(|line| line.contains("/husk-test-")).count();
    assert_eq!(here, fixture.plan.directories.len(), "{inside}");

    fixture.cgroup.kill(libc::SIGKILL).unwrap();
    child.wait().unwrap();
    fixture.cgroup.destroy().unwrap();
    fixture.cgroup.destroy().unwrap();
    assert!(fixture.cgroup.pids().unwrap().is_empty());
}
