//! Limits in force, and what the kernel says of those that it refuses.

use super::*;

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
