#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests")]
//! Real cgroups and real processes, as root: in a directory of this test's own in every hierarchy of this host.

use super::{Birthplace, Cgroup, CgroupRecord};
use crate::error::ErrorKind;
use crate::host::{CgroupLayout, Host};
use crate::options::CreateOptions;
use crate::plan::{CgroupPlan, Step, plan_cgroup};
use nix::unistd::Pid;
use oci_spec::runtime as spec;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How this host mounts cgroups.
fn layout() -> CgroupLayout {
    Host::probe().unwrap().cgroups
}

/// Whether this test can run; where it should (in continuous integration), it fails in place of a skip.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn can_make_cgroups() -> bool {
    let can = Host::probe().unwrap().privileged && layout() != CgroupLayout::None;
    if !can {
        assert!(std::env::var_os("CI").is_none(), "needs root and a mounted cgroup file system");
        eprintln!("SKIPPED: needs root and a mounted cgroup file system");
    }
    can
}

/// Only the v1 hierarchies, as on hosts that never mounted v2.
fn v1_alone() -> Option<CgroupLayout> {
    match layout() {
        CgroupLayout::Hybrid { hierarchies, .. } => Some(CgroupLayout::Hybrid { hierarchies, unified: None }),
        _ => None,
    }
}

/// v2 as if it were alone, also where v1 is mounted beside it. There it begins at a directory of the test's own, so
/// that no controller is enabled in the host's root cgroup.
fn v2_alone() -> Option<CgroupLayout> {
    match layout() {
        CgroupLayout::Hybrid { unified: Some(mountpoint), .. } => {
            let mountpoint = mountpoint.join(format!("husk-test-{}-root", std::process::id()));
            Some(CgroupLayout::Unified { mountpoint })
        }
        CgroupLayout::Unified { mountpoint } => Some(CgroupLayout::Unified { mountpoint }),
        _ => None,
    }
}

/// Every layout that this host can show; none, with a word about it, to a caller who may not make cgroups.
fn layouts() -> Vec<CgroupLayout> {
    if !can_make_cgroups() {
        return Vec::new();
    }
    let mut layouts: Vec<CgroupLayout> =
        [Some(layout()), v1_alone(), v2_alone()].into_iter().flatten().collect();
    layouts.dedup();
    assert!(layouts.len() == 3 || matches!(layouts[0], CgroupLayout::Unified { .. }), "{layouts:?}");
    layouts
}

/// `husk-test-PID-N`, which every test has for itself.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("husk-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn plan_at(layout: &CgroupLayout, path: &str, resources: &Value) -> CgroupPlan {
    let linux = json!({ "cgroupsPath": path, "resources": resources });
    let linux: spec::Linux = serde_json::from_value(linux).unwrap();
    let mut problems = Vec::new();
    let id = "test".parse().unwrap();
    let options = CreateOptions::new();
    let host = Host { cgroups: layout.clone(), privileged: true, ..Host::probe().unwrap() };
    let plan = plan_cgroup(Some(&linux), &id, &host, &options, &mut problems);
    assert_eq!(problems, []);
    plan
}

/// A cgroup of the test's own, gone at its end, with the directory that was made around it.
struct Fixture {
    plan: CgroupPlan,
    cgroup: Cgroup,
}

impl Fixture {
    fn new(layout: &CgroupLayout, resources: Value) -> Fixture {
        let plan = plan_at(layout, &format!("/{}/inner", name()), &resources);
        for directory in plan.directories.iter().filter(|directory| directory.is_v2()) {
            // See v2_alone.
            let _ = fs::create_dir(&directory.mountpoint);
        }
        let cgroup = Cgroup::create(&plan).unwrap();
        let fixture = Fixture { plan, cgroup };
        fixture.cgroup.apply(&fixture.plan).unwrap();
        fixture
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let record = self.cgroup.record().0;
        let directory = record.get(controller).or_else(|| record.get("")).unwrap();
        fs::read_to_string(directory.join(file)).unwrap().trim().to_owned()
    }

    fn spawn(&self, script: &str) -> Child {
        spawn_in(&self.cgroup.birthplace().unwrap(), script)
    }

    /// Runs a script in the cgroup to its end; whether it succeeded.
    fn succeeds(&self, script: &str) -> bool {
        self.spawn(&format!("exec 2>&-; {script}")).wait().unwrap().success()
    }

    fn kill_and_reap(&self, mut child: Child) {
        self.cgroup.kill(libc::SIGKILL).unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.cgroup.kill(libc::SIGKILL);
        let undone = self.cgroup.undo();
        for directory in &self.plan.directories {
            // The last test to use it removes it.
            if directory.mountpoint.to_string_lossy().contains("husk-test-") {
                let _ = fs::remove_dir(&directory.mountpoint);
            }
        }
        if !std::thread::panicking() {
            undone.unwrap();
            for directory in &self.plan.directories {
                assert!(!directory.path.parent().unwrap().exists(), "{:?} is left", directory.path);
            }
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

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 10 s");
        sleep(Duration::from_millis(2));
    }
}

/// Waits until so many of its processes execute sleep(1): what a shell has only forked still has its traps.
fn wait_for_sleepers(cgroup: &Cgroup, count: usize) {
    let sleeps =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    wait_until("sleepers", || cgroup.pids().unwrap().iter().filter(|pid| sleeps(pid)).count() == count);
}

/// How much processor time the processes of a cgroup have used; what stands still uses none.
fn cpu_ticks(pids: &[i32]) -> u64 {
    let ticks = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<u64> =
            stat.rsplit(") ").next().unwrap().split(' ').filter_map(|f| f.parse().ok()).collect();
        // The fields 14 and 15, of which the first three are not among these.
        fields.get(10).unwrap_or(&0) + fields.get(11).unwrap_or(&0)
    };
    pids.iter().map(ticks).sum()
}

#[test]
fn a_process_lives_in_every_hierarchy_and_the_cgroup_goes_after_it() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 100");
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);
        let inside = fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
        let here = inside.lines().filter(|line| line.contains("/husk-test-")).count();
        assert_eq!(here, fixture.plan.directories.len(), "{inside}");

        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
        fixture.cgroup.destroy().unwrap();
        assert!(fixture.cgroup.pids().unwrap().is_empty());
        assert!(!fixture.cgroup.is_frozen().unwrap());
        fixture.cgroup.kill(libc::SIGKILL).unwrap();
    }
}

#[test]
fn a_record_finds_the_cgroup_again() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 100");
        let text = serde_json::to_string(&fixture.cgroup.record()).unwrap();
        let record: CgroupRecord = serde_json::from_str(&text).unwrap();
        let again = Cgroup::open(&record).unwrap();
        assert_eq!(again.pids().unwrap(), [pid_of(&child)]);
        assert_eq!(again.record(), record);
        let keys: Vec<&str> = record.0.keys().map(String::as_str).collect();
        match layout {
            CgroupLayout::Unified { .. } => assert_eq!(keys, [""]),
            CgroupLayout::Hybrid { unified, .. } => {
                assert_eq!(keys.contains(&""), unified.is_some());
                assert!(keys.contains(&"memory") && keys.contains(&"name=systemd"), "{keys:?}");
            }
            CgroupLayout::None => unreachable!(),
        }
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
        let gone = Cgroup::open(&record).unwrap();
        assert!(gone.pids().unwrap().is_empty());
        assert!(!gone.is_frozen().unwrap());
        gone.kill(libc::SIGTERM).unwrap();
        gone.thaw().unwrap();
        gone.destroy().unwrap();
    }
}

#[test]
fn limits_are_in_force() {
    if !can_make_cgroups() {
        return;
    }
    if matches!(layout(), CgroupLayout::Unified { .. }) {
        let fixture = Fixture::new(
            &layout(),
            json!({
                "memory": { "limit": 67_108_864, "swap": 67_108_864, "reservation": 33_554_432 },
                "cpu": { "shares": 1024, "quota": 50_000, "period": 100_000, "burst": 10_000 },
                "pids": { "limit": 17 },
                "unified": { "memory.high": "60000000" },
            }),
        );
        assert_eq!(fixture.read("", "memory.max"), "67108864");
        assert_eq!(fixture.read("", "memory.low"), "33554432");
        assert_eq!(fixture.read("", "memory.high"), "59998208");
        assert_eq!(fixture.read("", "cpu.weight"), "100");
        assert_eq!(fixture.read("", "cpu.max"), "50000 100000");
        assert_eq!(fixture.read("", "cpu.max.burst"), "10000");
        assert_eq!(fixture.read("", "pids.max"), "17");
        return;
    }
    let fixture = Fixture::new(
        &layout(),
        json!({
            "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432, "swappiness": 7 },
            "cpu": { "shares": 512, "quota": 50_000, "period": 100_000, "burst": 10_000, "cpus": "0", "mems": "0" },
            "pids": { "limit": 17 },
        }),
    );
    assert_eq!(fixture.read("memory", "memory.limit_in_bytes"), "67108864");
    assert_eq!(fixture.read("memory", "memory.memsw.limit_in_bytes"), "134217728");
    assert_eq!(fixture.read("memory", "memory.soft_limit_in_bytes"), "33554432");
    assert_eq!(fixture.read("memory", "memory.swappiness"), "7");
    assert_eq!(fixture.read("cpu", "cpu.shares"), "512");
    assert_eq!(fixture.read("cpu", "cpu.cfs_quota_us"), "50000");
    assert_eq!(fixture.read("cpu", "cpu.cfs_burst_us"), "10000");
    assert_eq!(fixture.read("cpuset", "cpuset.cpus"), "0");
    assert_eq!(fixture.read("pids", "pids.max"), "17");
}

#[test]
fn one_process_fits_into_a_limit_of_none() {
    if !can_make_cgroups() {
        return;
    }
    let fixture = Fixture::new(&layout(), json!({ "pids": { "limit": 0 } }));
    assert!(fixture.succeeds("exit 0"));
    assert!(!fixture.succeeds("/bin/true; exit 0"), "the shell could fork");
}

#[test]
fn a_cpuset_is_filled_from_above() {
    if !can_make_cgroups() {
        return;
    }
    if matches!(layout(), CgroupLayout::Unified { .. }) {
        return;
    }
    let fixture = Fixture::new(&layout(), json!({}));
    let whole = fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.cpus").unwrap();
    assert_eq!(fixture.read("cpuset", "cpuset.cpus"), whole.trim());
    assert_eq!(fixture.read("cpuset", "../cpuset.cpus"), whole.trim());
}

#[test]
fn a_process_that_takes_too_much_memory_is_counted() {
    if !can_make_cgroups() {
        return;
    }
    let fixture = Fixture::new(&layout(), json!({ "memory": { "limit": 16_777_216, "swap": 16_777_216 } }));
    assert_eq!(fixture.cgroup.oom_kills().unwrap(), Some(0));
    let status = fixture.spawn("exec tail /dev/zero").wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert_eq!(fixture.cgroup.oom_kills().unwrap(), Some(1));
    fixture.cgroup.destroy().unwrap();
    assert_eq!(fixture.cgroup.oom_kills().unwrap(), None);
}

#[test]
fn a_limit_that_the_kernel_refuses_is_named() {
    if !can_make_cgroups() {
        return;
    }
    let plan = plan_at(&layout(), &format!("/{}", name()), &json!({ "cpu": { "quota": 7 } }));
    let mut cgroup = Cgroup::create(&plan).unwrap();
    let error = cgroup.apply(&plan).unwrap_err();
    cgroup.undo().unwrap();
    assert_eq!(error.step(), Some(Step::LimitCgroup));
    let text = error.to_string();
    assert!(text.starts_with("cannot write \"7"), "{text}");
    assert!(text.ends_with(" (/linux/resources/cpu/quota): write: invalid argument (EINVAL)"), "{text}");
    assert!(text.contains(" to /sys/fs/cgroup/"), "{text}");
}

#[test]
fn a_controller_that_is_missing_is_named() {
    if !can_make_cgroups() {
        return;
    }
    let Some(layout) = v2_alone() else { panic!("no cgroup v2 here") };
    let plan = plan_at(
        &layout,
        &format!("/{}/inner", name()),
        &json!({ "rdma": { "mlx5_0": { "hcaHandles": 1 } } }),
    );
    let mountpoint = &plan.directories[0].mountpoint;
    let _ = fs::create_dir(mountpoint);
    let error = Cgroup::create(&plan).unwrap_err();
    assert!(!plan.directories[0].path.parent().unwrap().exists());
    let _ = fs::remove_dir(mountpoint);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = error.to_string();
    assert!(
        text.starts_with(
            "cannot set rdma.max (/linux/resources/rdma/mlx5_0): the rdma controller is not available in "
        ),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("cgroup.controllers has only:"), "{error:?}");
}

#[test]
fn where_a_controller_was_held_back_is_named() {
    if !can_make_cgroups() || !matches!(layout(), CgroupLayout::Unified { .. }) {
        return;
    }
    let outer = Fixture::new(&layout(), json!({}));
    let child = outer.spawn("exec sleep 1000");
    let path = outer.plan.directories[0].path.strip_prefix("/sys/fs/cgroup").unwrap().display().to_string();
    let inner = plan_at(&layout(), &format!("/{path}/inner"), &json!({ "memory": { "limit": 100_000_000 } }));
    let error = Cgroup::create(&inner).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("the memory controller is not available"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains(&path) && hint.ends_with("it has processes of its own"), "{hint}");

    // Without a limit it needs no controller, and what is above keeps its type.
    let inner = plan_at(&layout(), &format!("/{path}/inner"), &json!({}));
    let mut inner = Cgroup::create(&inner).unwrap();
    assert_eq!(outer.read("", "cgroup.type"), "domain");
    inner.undo().unwrap();
    outer.kill_and_reap(child);
}

#[test]
fn a_further_process_joins_the_first_where_the_container_has_handed_controllers_on() {
    if !can_make_cgroups() || !matches!(layout(), CgroupLayout::Unified { .. }) {
        return;
    }
    let fixture = Fixture::new(&layout(), json!({ "pids": { "limit": 50 } }));
    let init = fixture.spawn("exec sleep 1000");
    let pid = Pid::from_raw(pid_of(&init));
    let own = &fixture.plan.directories[0].path;
    let place = |birthplace: Birthplace| {
        let fd = birthplace.into.unwrap();
        fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap()
    };
    assert_eq!(place(fixture.cgroup.birthplace_for_exec(pid).unwrap()), *own);

    let nested = own.join("init.scope");
    fs::create_dir(&nested).unwrap();
    fs::write(nested.join("cgroup.procs"), init.id().to_string()).unwrap();
    fs::write(own.join("cgroup.subtree_control"), "+pids").unwrap();
    let birthplace = fixture.cgroup.birthplace_for_exec(pid).unwrap();
    let second = spawn_in(&birthplace, "exec sleep 1000");
    assert_eq!(place(birthplace), nested);
    assert_eq!(fixture.cgroup.pids().unwrap().len(), 2);
    fixture.kill_and_reap(second);
    fixture.kill_and_reap(init);
}

#[test]
fn any_signal_can_be_sent() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let mut child = fixture.spawn("exec sleep 1000");
        // The runtime need not know what there is: 0 only asks, 42 is one of the real-time signals.
        fixture.cgroup.kill(0).unwrap();
        let error = fixture.cgroup.kill(1000).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EINVAL));
        fixture.cgroup.kill(42).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(42));
        assert!(!fixture.cgroup.is_frozen().unwrap());
    }
}

#[test]
fn freezing_stops_also_those_who_fork_and_thawing_lets_them_go_on() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("while :; do (:) & (:); done");
        wait_until("work", || cpu_ticks(&[pid_of(&child)]) > 0);
        for _ in 0..5 {
            fixture.cgroup.freeze().unwrap();
            assert!(fixture.cgroup.is_frozen().unwrap());
            let pids = fixture.cgroup.pids().unwrap();
            let before = cpu_ticks(&pids);
            sleep(Duration::from_millis(50));
            assert_eq!(fixture.cgroup.pids().unwrap(), pids, "somebody forked");
            assert_eq!(cpu_ticks(&pids), before, "somebody ran");
            fixture.cgroup.thaw().unwrap();
            assert!(!fixture.cgroup.is_frozen().unwrap());
            let before = cpu_ticks(&[pid_of(&child)]);
            wait_until("work after the thaw", || cpu_ticks(&[pid_of(&child)]) > before);
        }
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn nobody_escapes_a_kill_by_forking() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        // Each process starts another and ends, so that the list is never up to date; all leave their session.
        let child = fixture.spawn(
            "f() { while :; do setsid sh -c 'sleep 0.01; sleep 1000 &' & sleep 0.001; done; }; f & f & f",
        );
        wait_until("forks", || fixture.cgroup.pids().unwrap().len() > 30);
        fixture.kill_and_reap(child);
        wait_until("the end of all", || fixture.cgroup.pids().unwrap().is_empty());
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn a_signal_reaches_all_and_leaves_the_freezer_as_it_was() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let mut child =
            fixture.spawn("exec 2>&-; sleep 1000 & sleep 1000 & trap 'exit 7' USR1; sleep 1000; wait");
        wait_for_sleepers(&fixture.cgroup, 3);

        fixture.cgroup.freeze().unwrap();
        fixture.cgroup.kill(libc::SIGUSR1).unwrap();
        assert!(fixture.cgroup.is_frozen().unwrap(), "the signal has thawed them");
        assert!(child.try_wait().unwrap().is_none());
        fixture.cgroup.thaw().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
        wait_until("the end of all", || fixture.cgroup.pids().unwrap().is_empty());

        let mut child = fixture.spawn("exec sleep 1000");
        fixture.cgroup.kill(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert!(!fixture.cgroup.is_frozen().unwrap());
    }
}

#[test]
fn the_frozen_can_be_killed() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("sleep 1000; sleep 1000");
        wait_for_sleepers(&fixture.cgroup, 1);
        // Also by the version's freezer that this runtime does not use.
        for freezer in fixture.cgroup.freezers() {
            freezer.freeze().unwrap();
        }
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn a_cgroup_in_use_is_refused_and_left_alone() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 1000");
        let error = Cgroup::create(&fixture.plan).unwrap_err();
        assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
        assert_eq!(error.kind(), ErrorKind::InvalidState);
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);
        fixture.kill_and_reap(child);

        fixture.cgroup.freeze().unwrap();
        let error = Cgroup::create(&fixture.plan).unwrap_err();
        assert_eq!(error.to_string(), "container's cgroup unexpectedly frozen");
        fixture.cgroup.thaw().unwrap();

        // Empty and running, it is taken over.
        drop(Cgroup::create(&fixture.plan).unwrap());
    }
}

#[test]
fn a_creation_that_fails_half_way_leaves_nothing() {
    for layout in layouts() {
        let mut plan = plan_at(&layout, &format!("/{}/a/b", name()), &json!({}));
        let v2 = plan.directories[0].mountpoint.clone();
        let _ = fs::create_dir(&v2);
        let last = plan.directories.last_mut().unwrap();
        // No cgroup may have such a name.
        last.path.push("new\nline");
        let error = Cgroup::create(&plan).unwrap_err();
        assert_eq!((error.step(), error.errno()), (Some(Step::MakeCgroup), Some(libc::EINVAL)), "{error}");
        for directory in &plan.directories {
            let top = directory.path.ancestors().find(|path| path.parent() == Some(&directory.mountpoint));
            assert!(!top.unwrap().exists(), "{top:?} is left");
        }
        let _ = fs::remove_dir(&v2);
    }
}

#[test]
fn what_the_container_has_nested_is_removed_too() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        for path in fixture.cgroup.record().0.into_values() {
            // Deeper than a path may be long, as only a process inside can make it, and some beside each other.
            let script = r#"cd "$0" && mkdir side side/a side/b &&
                for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do mkdir "$1" && cd -P "./$1" || exit 1; done"#;
            let made = Command::new("/bin/sh")
                .args(["-c", script])
                .arg(&path)
                .arg("d".repeat(240))
                .status()
                .unwrap();
            assert!(made.success());
        }
        let child = fixture.spawn("exec sleep 1000");
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn a_process_in_a_nested_cgroup_belongs_to_it() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let child = fixture.spawn("exec sleep 1000");
        let nested = fixture.cgroup.leading().unwrap().path().join("a/b");
        fs::create_dir_all(&nested).unwrap();
        fs::write(nested.join("cgroup.procs"), child.id().to_string()).unwrap();
        assert_eq!(fixture.cgroup.pids().unwrap(), [pid_of(&child)]);

        let found = fixture.cgroup.leading().unwrap().find(pid_of(&child)).unwrap().unwrap();
        assert_eq!(fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).unwrap(), nested);
        drop(found);
        fixture.kill_and_reap(child);
        fixture.cgroup.destroy().unwrap();
    }
}

#[test]
fn removing_waits_for_the_dying() {
    for layout in layouts() {
        let fixture = Fixture::new(&layout, json!({}));
        let mut child = fixture.spawn("trap 'sleep 0.3; exit' TERM; sleep 1000 & wait");
        wait_for_sleepers(&fixture.cgroup, 1);
        fixture.cgroup.kill(libc::SIGTERM).unwrap();
        fixture.cgroup.destroy().unwrap();
        assert!(child.try_wait().unwrap().is_some());
    }
}

#[test]
fn many_can_be_made_and_undone_at_once_below_one_parent() {
    if !can_make_cgroups() {
        return;
    }
    let parent = name();
    let layout = layout();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (parent, layout) = (&parent, &layout);
            scope.spawn(move || {
                for _ in 0..25 {
                    let plan = plan_at(layout, &format!("/{parent}/x/{thread}"), &json!({}));
                    let mut cgroup = Cgroup::create(&plan).unwrap();
                    cgroup.apply(&plan).unwrap();
                    cgroup.undo().unwrap();
                }
            });
        }
    });
    // Whoever made the parents was not always the last to leave.
    for directory in plan_at(&layout, &format!("/{parent}/x"), &json!({})).directories {
        let _ = fs::remove_dir(&directory.path);
        let _ = fs::remove_dir(directory.path.parent().unwrap());
    }
}

#[test]
fn device_rules_are_in_force() {
    for layout in layouts() {
        let devices = |rules: Value| json!({ "devices": rules });
        let none = json!({ "allow": false, "access": "rwm" });
        let all = json!({ "allow": true, "access": "rwm" });
        let kmsg = |allow: bool, access: &str| json!({ "allow": allow, "type": "c", "major": 1, "minor": 11, "access": access });

        let fixture = Fixture::new(&layout, devices(json!([none])));
        assert!(fixture.succeeds(": </dev/null >/dev/null </dev/zero </dev/urandom"));
        assert!(!fixture.succeeds(": </dev/kmsg"));
        assert!(!fixture.succeeds(": >/dev/kmsg"));
        let node = std::env::temp_dir().join(name());
        let mknod = format!("mknod {0} c 1 11 && rm {0}", node.display());
        assert!(fixture.succeeds(&mknod));

        let fixture = Fixture::new(&layout, json!({}));
        assert!(
            !fixture.succeeds(": </dev/kmsg"),
            "no rules at all have to mean the same as none that allow"
        );

        let fixture = Fixture::new(&layout, devices(json!([none, kmsg(true, "r")])));
        assert!(fixture.succeeds(": </dev/kmsg"));
        assert!(!fixture.succeeds(": >/dev/kmsg"));
        assert!(!fixture.succeeds(": <>/dev/kmsg"));

        let fixture = Fixture::new(&layout, devices(json!([all, kmsg(false, "w")])));
        assert!(fixture.succeeds(": </dev/kmsg"));
        assert!(!fixture.succeeds(": >/dev/kmsg"));

        let fixture = Fixture::new(&layout, devices(json!([all])));
        assert!(fixture.succeeds(": <>/dev/kmsg"));
    }
}

/// Whoever opens devices all the time, while the rules are replaced, never finds a moment without rules: neither one in
/// which all is allowed nor one in which nothing is.
#[test]
fn device_rules_are_replaced_without_a_gap() {
    if !can_make_cgroups() {
        return;
    }
    let Some(layout) = v2_alone() else { panic!("no cgroup v2 here") };
    let rule = |allow: bool, minor: u32| json!({ "allow": allow, "type": "c", "major": 1, "minor": minor, "access": "rw" });
    // The same about the kernel's log (11) and the full device (7), and different programs.
    let one = json!({ "devices": [{ "allow": false, "access": "rwm" }, rule(true, 7)] });
    let other = json!({ "devices": [{ "allow": true, "access": "rwm" }, rule(false, 11), rule(true, 200)] });
    let fixture = Fixture::new(&layout, one.clone());
    let directory = &fixture.plan.directories[0];
    let path = format!("/{}", directory.path.strip_prefix(&directory.mountpoint).unwrap().display());
    let rules = [plan_at(&layout, &path, &other), plan_at(&layout, &path, &one)];
    let script = "exec 2>&-; while :; do { :; } </dev/kmsg && exit 3; { :; } </dev/full || exit 4; done";
    let mut children = [fixture.spawn(script), fixture.spawn(script)];
    for round in 0..600 {
        fixture.cgroup.apply(&rules[round % 2]).unwrap();
        for child in &mut children {
            let ended = child.try_wait().unwrap().and_then(|status| status.code());
            assert_eq!(
                ended, None,
                "3: the denied device opened, 4: the allowed one did not (round {round})"
            );
        }
    }
    let [first, mut second] = children;
    fixture.kill_and_reap(first);
    second.wait().unwrap();
}

#[test]
fn device_rules_are_replaced_and_many_are_taken() {
    if !can_make_cgroups() {
        return;
    }
    let Some(layout) = v2_alone() else { panic!("no cgroup v2 here") };
    let fixture = Fixture::new(&layout, json!({ "devices": [{ "allow": true, "access": "rwm" }] }));
    let child = fixture.spawn("exec 2>&-; until ! true </dev/kmsg; do sleep 0.01; done");
    let path =
        fixture.plan.directories[0].path.strip_prefix(&fixture.plan.directories[0].mountpoint).unwrap();
    let many: Vec<Value> = (0..2000)
        .map(|n| json!({ "allow": n % 3 != 0, "type": "b", "major": n % 50, "minor": n, "access": "rw" }))
        .collect();
    let stricter = plan_at(&layout, &format!("/{}", path.display()), &json!({ "devices": many }));
    fixture.cgroup.apply(&stricter).unwrap();
    let mut child = child;
    assert!(child.wait().unwrap().success());
    let directory = fixture.cgroup.leading().unwrap();
    assert_eq!(crate::sys::bpf::attached_device_programs(directory.fd().unwrap()).unwrap().len(), 1);
}
