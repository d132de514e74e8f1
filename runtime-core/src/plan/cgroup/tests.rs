//! Resources in, writes or problems out, for v2 and for v1.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Absence, Absent, CgroupPlan, plan, plan_annotations, plan_update};
use crate::error::Problem;
use crate::host::{CgroupLayout, Hierarchy, Host};
use crate::options::{CreateOptions, SystemdManager};
use oci_spec::runtime as spec;
use serde_json::{Value, json};
use std::path::PathBuf;

fn host(cgroups: CgroupLayout, own_cgroup: &str) -> Host {
    Host {
        kernel: (6, 18),
        cgroups,
        own_cgroup: own_cgroup.to_owned(),
        euid: 0,
        egid: 0,
        privileged: true,
        sys_admin: true,
        may_map_ids: true,
        in_user_namespace: false,
        setgroups: true,
        apparmor: false,
        selinux: false,
        last_capability: 40,
        has_kcore: true,
    }
}

fn v2() -> Host {
    host(CgroupLayout::Unified { mountpoint: "/sys/fs/cgroup".into() }, "/user.slice/session-1.scope")
}

fn v1() -> Host {
    let hierarchy = |name: &str, controllers: &[&str]| Hierarchy {
        mountpoint: PathBuf::from("/sys/fs/cgroup").join(name),
        controllers: controllers.iter().map(|&c| c.to_owned()).collect(),
        own_cgroup: "/own".to_owned(),
    };
    let hierarchies = vec![
        hierarchy("cpu,cpuacct", &["cpu", "cpuacct"]),
        hierarchy("memory", &["memory"]),
        hierarchy("pids", &["pids"]),
        hierarchy("blkio", &["blkio"]),
        hierarchy("cpuset", &["cpuset"]),
        hierarchy("hugetlb", &["hugetlb"]),
        hierarchy("net_cls,net_prio", &["net_cls", "net_prio"]),
        hierarchy("rdma", &["rdma"]),
        hierarchy("devices", &["devices"]),
    ];
    host(CgroupLayout::Hybrid { hierarchies, unified: Some("/sys/fs/cgroup/unified".into()) }, "/two")
}

fn plan_linux(host: &Host, linux: Value) -> (CgroupPlan, Vec<Problem>) {
    let linux: spec::Linux = serde_json::from_value(linux).unwrap();
    let mut problems = Vec::new();
    let plan = plan(Some(&linux), &"web-1".parse().unwrap(), host, &CreateOptions::new(), &mut problems);
    (plan, problems)
}

/// The writes as `FILE=VALUE`, without those for devices; `?` stands for a file that may be missing, and `|FILE=VALUE`
/// for what takes its place. Each problem as `POINTER: MESSAGE`.
fn outcome(host: &Host, resources: &Value) -> Vec<String> {
    let (plan, problems) = plan_linux(host, json!({ "resources": resources }));
    let writes = plan.writes.iter().filter(|write| write.controller != "devices").map(|write| {
        assert!(write.pointer.starts_with("/linux/resources/"), "{write:?}");
        assert!(write.file.starts_with(&write.controller));
        let directory = &plan.directories[write.directory];
        assert!(directory.is_v2() || directory.controllers.contains(&write.controller), "{write:?}");
        match &write.absent {
            Absent::Fail => format!("{}={}", write.file, write.value),
            Absent::Skip => format!("?{}={}", write.file, write.value),
            Absent::Instead { file, value } => format!("{}={}|{file}={value}", write.file, write.value),
        }
    });
    writes.chain(problems.iter().map(Problem::to_string)).collect()
}

fn check(cases: &[(Value, &[&str], &[&str])]) {
    for (resources, two, one) in cases {
        assert_eq!(outcome(&v2(), resources), *two, "v2: {resources}");
        assert_eq!(outcome(&v1(), resources), *one, "v1: {resources}");
    }
}

#[test]
fn memory() {
    let memory = |fields: Value| json!({ "memory": fields });
    check(&[
        (memory(json!({})), &[], &[]),
        (
            memory(json!({ "limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "kernelTCP": -1 })),
            &[],
            &["memory.kmem.tcp.limit_in_bytes=-1"],
        ),
        (memory(json!({ "limit": 1000 })), &["memory.max=1000"], &["memory.limit_in_bytes=1000"]),
        (
            memory(json!({ "limit": 1000, "swap": 1500, "reservation": 500 })),
            &["memory.swap.max=500", "memory.max=1000", "memory.low=500"],
            &[
                "memory.limit_in_bytes=1000",
                "memory.memsw.limit_in_bytes=1500",
                "memory.soft_limit_in_bytes=500",
            ],
        ),
        (
            memory(json!({ "limit": 1000, "swap": 1000 })),
            &["?memory.swap.max=0", "memory.max=1000"],
            &["memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=1000"],
        ),
        (
            memory(json!({ "limit": 1000, "swap": -1 })),
            &["?memory.swap.max=max", "memory.max=1000"],
            &["memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=-1"],
        ),
        (
            memory(json!({ "limit": -1 })),
            &["?memory.swap.max=max", "memory.max=max"],
            &["memory.limit_in_bytes=-1", "?memory.memsw.limit_in_bytes=-1"],
        ),
        (
            memory(json!({ "limit": -1, "swap": 2000 })),
            &["memory.swap.max=2000", "memory.max=max"],
            &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=2000"],
        ),
        (
            memory(json!({ "swap": -1, "reservation": -1 })),
            &["?memory.swap.max=max", "memory.low=max"],
            &["memory.memsw.limit_in_bytes=-1", "memory.soft_limit_in_bytes=-1"],
        ),
        (
            memory(json!({ "swap": 1000 })),
            &["/linux/resources/memory/swap: unable to set swap limit without memory limit"],
            &["/linux/resources/memory/swap: unable to set swap limit without memory limit"],
        ),
        (
            memory(json!({ "limit": 1000, "swap": 999 })),
            &["memory.max=1000", "/linux/resources/memory/swap: memory+swap limit should be >= memory limit"],
            &[
                "memory.limit_in_bytes=1000",
                "/linux/resources/memory/swap: memory+swap limit should be >= memory limit",
            ],
        ),
        (
            memory(json!({ "limit": -2 })),
            &["/linux/resources/memory/limit: must be a number of bytes, or -1 for no limit"],
            &["/linux/resources/memory/limit: must be a number of bytes, or -1 for no limit"],
        ),
        (
            memory(json!({ "swappiness": 60, "disableOOMKiller": true, "kernelTCP": 9 })),
            &[
                "/linux/resources/memory/swappiness: cgroup v2 has no swappiness of its own",
                "/linux/resources/memory/disableOOMKiller: cgroup v2 cannot disable the OOM killer",
                "/linux/resources/memory/kernelTCP: cgroup v2 has no separate limit for TCP buffers",
            ],
            &["memory.kmem.tcp.limit_in_bytes=9", "memory.oom_control=1", "memory.swappiness=60"],
        ),
        (
            memory(json!({ "swappiness": 101 })),
            &["/linux/resources/memory/swappiness: must be between 0 and 100"],
            &["/linux/resources/memory/swappiness: must be between 0 and 100"],
        ),
        // What engines send for "not set" and "as ever".
        (
            memory(json!({
                "swappiness": u64::MAX, "disableOOMKiller": false, "useHierarchy": true, "checkBeforeUpdate": true,
            })),
            &[],
            &[],
        ),
        (
            memory(json!({ "kernel": 1000, "useHierarchy": false })),
            &[
                "/linux/resources/memory/kernel: kernels since 5.16 have no kernel memory limit",
                "/linux/resources/memory/useHierarchy: kernels since 5.11 always account hierarchically",
            ],
            &[
                "/linux/resources/memory/kernel: kernels since 5.16 have no kernel memory limit",
                "/linux/resources/memory/useHierarchy: kernels since 5.11 always account hierarchically",
            ],
        ),
    ]);
}

#[test]
fn cpu() {
    let cpu = |fields: Value| json!({ "cpu": fields });
    check(&[
        (cpu(json!({ "shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "cpus": "" })), &[], &[]),
        (cpu(json!({ "shares": 1024 })), &["cpu.weight=100"], &["cpu.shares=1024"]),
        (
            cpu(json!({ "shares": 1 })),
            &["cpu.weight=1"],
            &["/linux/resources/cpu/shares: the minimum allowed cpu-shares is 2"],
        ),
        (
            cpu(json!({ "shares": 300_000 })),
            &["cpu.weight=10000"],
            &["/linux/resources/cpu/shares: the maximum allowed cpu-shares is 262144"],
        ),
        (
            cpu(json!({ "quota": 5000, "period": 20_000, "burst": 1000 })),
            &["cpu.max=5000 20000", "cpu.max.burst=1000"],
            &["cpu.cfs_period_us=20000", "cpu.cfs_quota_us=5000", "cpu.cfs_burst_us=1000"],
        ),
        (
            cpu(json!({ "quota": -1, "burst": 0 })),
            &["cpu.max=max 100000", "?cpu.max.burst=0"],
            &["cpu.cfs_quota_us=-1", "?cpu.cfs_burst_us=0"],
        ),
        (cpu(json!({ "period": 50_000 })), &["cpu.max=max 50000"], &["cpu.cfs_period_us=50000"]),
        (
            cpu(json!({ "idle": 1, "shares": 2 })),
            &["cpu.weight=1", "cpu.idle=1"],
            &["cpu.shares=2", "cpu.idle=1"],
        ),
        (
            cpu(json!({ "idle": 2 })),
            &["/linux/resources/cpu/idle: must be 0 or 1"],
            &["/linux/resources/cpu/idle: must be 0 or 1"],
        ),
        (
            cpu(json!({ "realtimeRuntime": 900, "realtimePeriod": 1000 })),
            &[
                "/linux/resources/cpu/realtimeRuntime: cgroup v2 has no real-time limits",
                "/linux/resources/cpu/realtimePeriod: cgroup v2 has no real-time limits",
            ],
            &["cpu.rt_period_us=1000", "cpu.rt_runtime_us=900"],
        ),
        (
            cpu(json!({ "cpus": "0-1", "mems": "0" })),
            &["cpuset.cpus=0-1", "cpuset.mems=0"],
            &["cpuset.cpus=0-1", "cpuset.mems=0"],
        ),
    ]);
}

#[test]
fn shares_become_weights_through_three_fixed_points() {
    use super::v2::weight_of_shares;
    for (shares, weight) in
        [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000), (512, 59), (2048, 174)]
    {
        assert_eq!(weight_of_shares(shares), weight, "{shares}");
    }
    let weights: Vec<u64> = (2..=262_144).step_by(97).map(weight_of_shares).collect();
    assert!(weights.is_sorted());
}

#[test]
fn pids_and_the_rest() {
    check(&[
        (json!({ "pids": { "limit": 10 } }), &["pids.max=10"], &["pids.max=10"]),
        (json!({ "pids": { "limit": 0 } }), &["pids.max=1"], &["pids.max=1"]),
        (json!({ "pids": { "limit": -1 } }), &["pids.max=max"], &["pids.max=max"]),
        (
            json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4096 }] }),
            &["hugetlb.2MB.max=4096", "?hugetlb.2MB.rsvd.max=4096"],
            &["hugetlb.2MB.limit_in_bytes=4096", "?hugetlb.2MB.rsvd.limit_in_bytes=4096"],
        ),
        (
            json!({ "hugepageLimits": [{ "pageSize": "../2MB", "limit": 1 }, { "pageSize": "MB", "limit": 1 }] }),
            &[
                "/linux/resources/hugepageLimits/0/pageSize: must be a size such as 64KB, 2MB or 1GB",
                "/linux/resources/hugepageLimits/1/pageSize: must be a size such as 64KB, 2MB or 1GB",
            ],
            &[
                "/linux/resources/hugepageLimits/0/pageSize: must be a size such as 64KB, 2MB or 1GB",
                "/linux/resources/hugepageLimits/1/pageSize: must be a size such as 64KB, 2MB or 1GB",
            ],
        ),
        (
            json!({ "network": { "classID": 1_048_577, "priorities": [{ "name": "eth0", "priority": 5 }] } }),
            &[
                "/linux/resources/network/classID: cgroup v2 has no net_cls controller",
                "/linux/resources/network/priorities: cgroup v2 has no net_prio controller",
            ],
            &["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5"],
        ),
        (json!({ "network": { "classID": 0, "priorities": [] } }), &[], &[]),
        (
            json!({ "rdma": { "mlx5_1": { "hcaHandles": 3, "hcaObjects": 10 }, "mlx4_0": { "hcaObjects": 1 }, "x": {} } }),
            &["rdma.max=mlx4_0 hca_object=1", "rdma.max=mlx5_1 hca_handle=3 hca_object=10"],
            &["rdma.max=mlx4_0 hca_object=1", "rdma.max=mlx5_1 hca_handle=3 hca_object=10"],
        ),
        (
            json!({ "unified": { "memory.high": "100", "io.max": "8:0 rbps=1\n8:16 wbps=2\n" } }),
            &["io.max=8:0 rbps=1", "io.max=8:16 wbps=2", "memory.high=100"],
            &["/linux/resources/unified: invalid configuration: cannot use unified on cgroup v1"],
        ),
        (json!({ "unified": {} }), &[], &[]),
    ]);
}

#[test]
fn unified_takes_limits_and_nothing_else() {
    let unified = json!({ "unified": {
        "a/b": "1", "memory": "1", ".x": "1", "cgroup.procs": "1", "cgroup.kill": "1", "cgroup.max.depth": "3",
    } });
    assert_eq!(
        outcome(&v2(), &unified),
        [
            "cgroup.max.depth=3",
            "/linux/resources/unified/.x: unified resource \".x\" must be in the form CONTROLLER.PARAMETER",
            "/linux/resources/unified/a~1b: unified resource \"a/b\" must be a file name (no slashes)",
            "/linux/resources/unified/cgroup.kill: cgroup.kill is no resource",
            "/linux/resources/unified/cgroup.procs: cgroup.procs is no resource",
            "/linux/resources/unified/memory: unified resource \"memory\" must be in the form CONTROLLER.PARAMETER",
        ]
    );
}

#[test]
fn block_io() {
    let device = |fields: Value| json!([fields]);
    check(&[
        (json!({ "blockIO": { "weight": 0, "leafWeight": 0 } }), &[], &[]),
        (
            json!({ "blockIO": { "weight": 500 } }),
            &["io.bfq.weight=500|io.weight=4950"],
            &["blkio.bfq.weight=500"],
        ),
        (
            json!({ "blockIO": { "weight": 1001, "leafWeight": 20 } }),
            &[
                "/linux/resources/blockIO/weight: must be between 10 and 1000",
                "/linux/resources/blockIO/leafWeight: kernels since 5.0 have no leaf weight: it went with the CFQ scheduler",
            ],
            &[
                "/linux/resources/blockIO/weight: must be between 10 and 1000",
                "/linux/resources/blockIO/leafWeight: kernels since 5.0 have no leaf weight: it went with the CFQ scheduler",
            ],
        ),
        (
            json!({ "blockIO": { "weightDevice": device(json!({ "major": 8, "minor": 16, "weight": 10 })) } }),
            &["io.bfq.weight=8:16 10|io.weight=8:16 1"],
            &["blkio.bfq.weight_device=8:16 10"],
        ),
        (
            json!({ "blockIO": {
            "throttleReadBpsDevice": device(json!({ "major": 8, "minor": 0, "rate": 1000 })),
            "throttleWriteBpsDevice": device(json!({ "major": 8, "minor": 0, "rate": 0 })),
            "throttleReadIOPSDevice": device(json!({ "major": 8, "minor": 0, "rate": 5 })),
            "throttleWriteIOPSDevice": device(json!({ "major": 8, "minor": 0, "rate": 6 })),
        } }),
            &["io.max=8:0 rbps=1000", "io.max=8:0 wbps=max", "io.max=8:0 riops=5", "io.max=8:0 wiops=6"],
            &[
                "blkio.throttle.read_bps_device=8:0 1000",
                "blkio.throttle.write_bps_device=8:0 0",
                "blkio.throttle.read_iops_device=8:0 5",
                "blkio.throttle.write_iops_device=8:0 6",
            ],
        ),
    ]);
}

#[test]
fn a_controller_that_v1_does_not_have_is_a_problem_only_where_it_is_needed() {
    let mut host = v1();
    let CgroupLayout::Hybrid { hierarchies, .. } = &mut host.cgroups else { unreachable!() };
    hierarchies.retain(|hierarchy| !hierarchy.controllers.contains(&"pids".to_owned()));
    assert_eq!(outcome(&host, &json!({ "memory": { "limit": 5 } })), ["memory.limit_in_bytes=5"]);
    assert_eq!(
        outcome(&host, &json!({ "pids": { "limit": 5 } })),
        ["/linux/resources/pids/limit: this host has no cgroup v1 pids controller mounted",]
    );
}

#[test]
fn paths() {
    let path = |host: &Host, controller: &str, asked: Value| {
        let (plan, problems) = plan_linux(host, asked);
        if let [problem] = problems.as_slice() {
            return problem.to_string();
        }
        let directory = plan.directories.iter().find(|directory| {
            if controller.is_empty() {
                directory.is_v2()
            } else {
                directory.controllers.contains(&controller.to_owned())
            }
        });
        directory.unwrap().path.display().to_string()
    };
    let asked = |text: &str| json!({ "cgroupsPath": text });
    for (asked, two, unified, memory) in [
        (json!({}), "user.slice/web-1", "two/web-1", "own/web-1"),
        (asked(""), "user.slice/web-1", "two/web-1", "own/web-1"),
        (asked("/a/b"), "a/b", "a/b", "a/b"),
        (asked("a/b"), "user.slice/a/b", "two/a/b", "own/a/b"),
        (asked("//a/.//b/"), "a/b", "a/b", "a/b"),
        (asked("/../../a/../b"), "b", "b", "b"),
        (asked("../../../b"), "user.slice/b", "two/b", "own/b"),
        (
            asked("system.slice:docker:web"),
            "user.slice/system.slice:docker:web",
            "two/system.slice:docker:web",
            "own/system.slice:docker:web",
        ),
    ] {
        assert_eq!(path(&v2(), "", asked.clone()), format!("/sys/fs/cgroup/{two}"));
        assert_eq!(path(&v1(), "", asked.clone()), format!("/sys/fs/cgroup/unified/{unified}"));
        assert_eq!(path(&v1(), "memory", asked.clone()), format!("/sys/fs/cgroup/memory/{memory}"));
        assert_eq!(path(&v1(), "cpuacct", asked), format!("/sys/fs/cgroup/cpu,cpuacct/{memory}"));
    }
    for root in ["/", "/..", "..", "a/.."] {
        let problem = path(&v2(), "", asked(root));
        assert!(
            problem.ends_with("is the root of the cgroup tree; a container needs a directory of its own")
        );
        assert!(problem.starts_with("/linux/cgroupsPath: "));
    }
    assert_eq!(path(&v2(), "", asked("/a\0b")), "/linux/cgroupsPath: contains a NUL byte");
}

#[test]
fn without_privilege_a_cgroup_is_optional_unless_it_was_asked_for() {
    let mut host = v2();
    (host.privileged, host.euid) = (false, 1000);
    let optional = |linux: Value| {
        let (plan, problems) = plan_linux(&host, linux);
        assert_eq!(problems, []);
        assert_eq!(plan.device_rules, None);
        plan.optional
    };
    assert_eq!(optional(json!({})), Absence::Any);
    let devices = json!({ "resources": { "devices": [{ "allow": false, "access": "rwm" }] } });
    assert_eq!(optional(devices), Absence::Any);
    // A limit fails where its own directory could not be made.
    assert_eq!(optional(json!({ "resources": { "pids": { "limit": 5 } } })), Absence::Any);
    assert_eq!(optional(json!({ "cgroupsPath": "/a" })), Absence::WithoutControllers);
    assert_eq!(plan_linux(&v2(), json!({})).0.optional, Absence::Never);
}

#[test]
fn what_may_be_missing_is_up_to_the_caller_too() {
    let optional = |host: &Host, options: CreateOptions| {
        plan(None, &"web-1".parse().unwrap(), host, &options, &mut Vec::new()).optional
    };
    let user = Host { privileged: false, euid: 1000, ..v2() };
    let nested = Host { privileged: false, in_user_namespace: true, ..v2() };
    assert_eq!(optional(&user, CreateOptions::new().rootless(false)), Absence::Never);
    assert_eq!(optional(&nested, CreateOptions::new()), Absence::Any);
    assert_eq!(optional(&v2(), CreateOptions::new().rootless(true)), Absence::Any);
}

#[test]
fn without_a_cgroup_nothing_can_be_limited() {
    let mut problems = Vec::new();
    let linux = json!({ "cgroupsPath": "/a", "resources": { "memory": { "limit": 1 << 20 }, "pids": { "limit": 5 } } });
    let linux: spec::Linux = serde_json::from_value(linux).unwrap();
    let options = CreateOptions::new().no_cgroup(true);
    let plan = plan(Some(&linux), &"web-1".parse().unwrap(), &v2(), &options, &mut problems);
    let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    let resources = "/linux/resources";
    assert_eq!(
        pointers,
        ["/linux/cgroupsPath", &format!("{resources}/pids/limit"), &format!("{resources}/memory/limit")]
    );
    assert!(plan.disabled && plan.device_rules.is_none());
}

/// Of a container `web-1` with this `/linux` and these annotations, by the machine's systemd or by a user's.
fn plan_unit(host: &Host, user: bool, linux: Value, annotations: Value) -> (CgroupPlan, Vec<String>) {
    let manager = if user { SystemdManager::user("/run/user/7", None) } else { SystemdManager::system() };
    let options = CreateOptions::new().systemd(manager);
    let config = json!({ "ociVersion": "1.2.0", "linux": linux, "annotations": annotations });
    let spec: spec::Spec = serde_json::from_value(config).unwrap();
    let mut problems = Vec::new();
    let id = "web-1".parse().unwrap();
    let mut plan = plan(spec.linux().as_ref(), &id, host, &options, &mut problems);
    plan_annotations(&spec, &mut plan, &mut problems);
    (plan, problems.iter().map(Problem::to_string).collect())
}

/// Its properties but for those that every unit has, as text.
fn properties(resources: Value, annotations: Value) -> Vec<String> {
    let text = |plan: CgroupPlan| -> Vec<String> {
        let unit = plan.unit.unwrap();
        unit.properties.iter().map(|property| format!("{}={}", property.name, property.value)).collect()
    };
    let base = text(plan_unit(&v2(), false, json!({}), json!({})).0);
    let (plan, problems) = plan_unit(&v2(), false, json!({ "resources": resources }), annotations);
    let given = text(plan).into_iter().filter(|line| !base.contains(line));
    given.chain(problems).collect()
}

#[test]
fn a_unit_is_named_by_slice_prefix_and_name() {
    for (user, path, slice, name, directory) in [
        (false, "", "system.slice", "husk-web-1.scope", "/cg/system.slice/husk-web-1.scope"),
        (false, "a-b.slice:x:y", "a-b.slice", "x-y.scope", "/cg/a.slice/a-b.slice/x-y.scope"),
        (false, "-:x:y", "-.slice", "x-y.scope", "/cg/x-y.scope"),
        (false, "::y", "system.slice", "-y.scope", "/cg/system.slice/-y.scope"),
        (false, "a.slice:x:b-c.slice", "a.slice", "b-c.slice", "/cg/b.slice/b-c.slice"),
        (
            true,
            ":x:y",
            "user.slice",
            "x-y.scope",
            "/cg/user.slice/user-7.slice/user@7.service/user.slice/x-y.scope",
        ),
    ] {
        let mut host = v2();
        host.cgroups = CgroupLayout::Unified { mountpoint: "/cg".into() };
        host.own_cgroup = "/user.slice/user-7.slice/user@7.service/app.slice/a.service".to_owned();
        let (plan, problems) = plan_unit(&host, user, json!({ "cgroupsPath": path }), json!({}));
        assert_eq!(problems, [] as [&str; 0], "{path}");
        let unit = plan.unit.unwrap();
        assert_eq!((unit.slice.as_str(), unit.name.as_str()), (slice, name), "{path}");
        assert_eq!(plan.directories[0].path.to_str().unwrap(), directory, "{path}");
    }
    for (path, message) in [
        ("/a/b", "expected \"slice:prefix:name\" for systemd cgroups, got \"/a/b\" instead"),
        ("a:b:c:d", "expected \"slice:prefix:name\" for systemd cgroups, got \"a:b:c:d\" instead"),
        ("a:b:c", "\"a\" is not the name of a slice, such as a-b.slice"),
        ("a--b.slice:b:c", "\"a--b.slice\" is not the name of a slice, such as a-b.slice"),
        ("a.slice:b:c/d", "\"b-c/d.scope\" cannot be the name of a unit of systemd"),
        ("a.slice:b:c+d", "\"b-c+d.scope\" cannot be the name of a unit of systemd"),
    ] {
        let (plan, problems) = plan_unit(&v2(), false, json!({ "cgroupsPath": path }), json!({}));
        assert_eq!(plan.unit, None, "{path}");
        assert_eq!(problems, [format!("/linux/cgroupsPath: {message}")], "{path}");
    }
    let (_, problems) = plan_unit(&v1(), false, json!({}), json!({}));
    assert!(problems[0].contains("needs a host with cgroup v2 alone"), "{problems:?}");
}

#[test]
fn systemd_is_told_what_is_written() {
    for (resources, expected) in [
        (
            json!({ "memory": { "limit": 100, "swap": 150, "reservation": 7 } }),
            vec!["MemorySwapMax=50", "MemoryMax=100", "MemoryLow=7"],
        ),
        (json!({ "memory": { "limit": -1 } }), vec!["MemorySwapMax=infinity", "MemoryMax=infinity"]),
        (json!({ "pids": { "limit": 0 } }), vec!["TasksMax=1"]),
        (
            json!({ "cpu": { "shares": 1024, "cpus": "0-1,9", "mems": "0" } }),
            vec!["CPUWeight=100", "AllowedCPUs=[0x03, 0x02]", "AllowedMemoryNodes=[0x01]"],
        ),
        (json!({ "cpu": { "shares": 1024, "idle": 1 } }), vec!["CPUWeight=0"]),
        (
            json!({ "cpu": { "quota": 20000, "period": 50000 } }),
            vec!["CPUQuotaPeriodUSec=50000", "CPUQuotaPerSecUSec=400000"],
        ),
        (json!({ "cpu": { "quota": -1 } }), vec!["CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=infinity"]),
        (json!({ "blockIO": { "weight": 100 } }), vec!["IOWeight=910"]),
        // The last word is the unified one, and what has no property is only written.
        (
            json!({ "pids": { "limit": 5 }, "unified": { "pids.max": "6", "memory.high": "8", "memory.oom.group": "1",
            "cpu.max.burst": "1" } }),
            vec!["MemoryHigh=8", "OOMPolicy=\"kill\"", "TasksMax=6"],
        ),
    ] {
        assert_eq!(properties(resources.clone(), json!({})), expected, "{resources}");
    }
    // Whole percents, in both.
    let (plan, _) = plan_unit(&v2(), false, json!({ "resources": { "cpu": { "quota": 1500 } } }), json!({}));
    assert_eq!(plan.writes[0].value, "2000 100000");
}

#[test]
fn annotations_are_properties() {
    let sure = |name: &str| format!("org.systemd.property.{name}");
    let escaped = |name: &str| format!("/annotations/org.systemd.property.{name}");
    for (name, text, expected) in [
        ("TimeoutStopUSec", "uint64 5", "TimeoutStopUSec=5".to_owned()),
        ("TimeoutStopSec", "uint64 5", "TimeoutStopUSec=5000000".to_owned()),
        ("RuntimeMaxSec", "1.5", "RuntimeMaxUSec=1500000".to_owned()),
        ("CollectMode", "'inactive'", "CollectMode=\"inactive\"".to_owned()),
        ("After", "['a.service']", "After=[\"a.service\"]".to_owned()),
        ("KillSignal", "15", "KillSignal=15".to_owned()),
        ("TimeoutStopSec", "'5'", escaped("TimeoutStopSec") + ": \"'5'\" is no number of seconds"),
        ("No", "5", escaped("No") + ": \"No\" is not the name of a property: three or more letters"),
        (
            "No.Such",
            "5",
            escaped("No.Such") + ": \"No.Such\" is not the name of a property: three or more letters",
        ),
        (
            "Nice",
            "high",
            escaped("Nice")
                + ": \"high\" is no value in GVariant text format: \"high\" is neither a value nor a type",
        ),
    ] {
        assert_eq!(properties(json!({}), json!({ sure(name): text })), [expected], "{name}={text}");
    }
    // Without systemd they are labels like any other.
    let (plan, problems) = plan_linux(&v2(), json!({}));
    assert!(plan.unit.is_none() && problems.is_empty());
}

/// The lines for the v1 devices controller, without the defaults, which are the same each time.
fn device_lines(devices: Value) -> Vec<String> {
    let (plan, problems) = plan_linux(&v1(), json!({ "resources": { "devices": devices } }));
    let defaults = plan_linux(&v1(), json!({})).0.writes;
    let lines =
        plan.writes.iter().filter(|w| !defaults.contains(w)).map(|w| format!("{} {}", w.file, w.value));
    lines.chain(problems.iter().map(Problem::to_string)).collect()
}

#[test]
fn device_rules_of_v1() {
    let none = json!({ "allow": false, "access": "rwm" });
    let all = json!({ "allow": true, "access": "rwm" });
    let rule = |allow: bool, kind: &str, major: i64, minor: i64, access: &str| json!({ "allow": allow, "type": kind, "major": major, "minor": minor, "access": access });
    let (plan, _) = plan_linux(&v1(), json!({}));
    let defaults: Vec<String> = plan.writes.iter().map(|w| format!("{} {}", w.file, w.value)).collect();
    assert_eq!(
        defaults[..4],
        ["devices.deny a", "devices.allow c *:* m", "devices.allow b *:* m", "devices.allow c 1:3 rwm",]
    );
    assert_eq!(defaults.len(), 12);

    // The pointer of the base is that of its rule, so it shows up here.
    let base = "devices.deny a";
    for (rules, lines) in [
        (json!([]), vec![]),
        (json!([none]), vec![base]),
        (json!([rule(true, "c", 10, 229, "rwm"), none]), vec![base]),
        (json!([none, rule(true, "c", 10, 229, "rw")]), vec![base, "devices.allow c 10:229 rwm"]),
        (json!([none, rule(true, "b", 8, -1, "r"), rule(false, "b", 8, -1, "r")]), vec![base]),
        (
            json!([none, rule(true, "b", 8, -1, "rw"), rule(true, "b", 8, -1, "m")]),
            vec![base, "devices.allow b 8:* rwm"],
        ),
        (
            json!([
                none,
                rule(true, "b", 8, 1, "r"),
                rule(true, "b", 8, 2, "w"),
                rule(false, "b", 8, -1, "w")
            ]),
            vec![base, "devices.allow b 8:1 rm"],
        ),
        // A letter that the specification does not have, where it can only mean everything.
        (json!([none, rule(true, "b", 8, 1, "rw"), rule(false, "b", 8, 1, "ra")]), vec![base]),
        // Two lines that overlap need a third for both rights at once.
        (
            json!([none, rule(true, "b", 8, -1, "r"), rule(true, "b", -1, 1, "w")]),
            vec![base, "devices.allow b 8:* rm", "devices.allow b *:1 wm", "devices.allow b 8:1 rwm"],
        ),
        (
            json!([none, rule(true, "b", 8, -1, "rw"), rule(false, "b", 8, 1, "w")]),
            vec![
                base,
                "devices.allow b 8:* rwm",
                "/linux/resources/devices/2: the cgroup v1 devices controller cannot make an exception from an earlier \
             rule's exception",
            ],
        ),
        (json!([rule(true, "a", -1, 7, "r")]), vec!["devices.allow b *:7 rm", "devices.allow c *:7 rm"]),
    ] {
        assert_eq!(device_lines(rules.clone()), lines, "{rules}");
    }

    let (plan, problems) = plan_linux(
        &v1(),
        json!({ "resources": { "devices": [all, rule(false, "b", 8, 0, "w"),
        rule(false, "c", -1, -1, "m")] } }),
    );
    assert_eq!(problems, []);
    let lines: Vec<String> = plan.writes.iter().map(|w| format!("{} {}", w.file, w.value)).collect();
    // Making nodes of character devices is among the defaults, which come last.
    assert_eq!(lines, ["devices.allow a", "devices.deny b 8:0 w"]);
}

#[test]
fn device_rules_that_are_wrong() {
    let devices = json!([
        { "allow": true },
        { "allow": true, "access": "rx" },
        { "allow": true, "access": "ra" },
        { "allow": true, "type": "p", "access": "r" },
        { "allow": true, "type": "c", "major": -2, "minor": 5_000_000_000_i64, "access": "r" },
        { "allow": true, "type": "u", "major": 1, "minor": 9, "access": "r" },
    ]);
    for host in [v1(), v2()] {
        let (_, problems) = plan_linux(&host, json!({ "resources": { "devices": devices } }));
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            texts,
            [
                "/linux/resources/devices/0/access: device access at 0 field cannot be empty; give letters of \"rwm\"",
                "/linux/resources/devices/1/access: 'x' is none of r, w and m",
                "/linux/resources/devices/2/access: 'a' is none of r, w and m",
                "/linux/resources/devices/3/type: access to a fifo is not controlled by rules",
                "/linux/resources/devices/4/major: -2 is no device number",
                "/linux/resources/devices/4/minor: 5000000000 is no device number",
            ]
        );
    }
}

#[test]
fn a_listed_device_takes_the_place_of_the_default_rule() {
    let listed = json!({ "devices": [{ "path": "/dev/null", "type": "c", "major": 99, "minor": 1 }] });
    let (plan, _) = plan_linux(&v2(), listed);
    let rules = plan.device_rules.unwrap();
    assert_eq!(rules.len(), 10);
    assert!(!rules.iter().any(|rule| (rule.major, rule.minor) == (Some(1), Some(3))));
}

/// The writes of an update, or its problem.
fn updated(controllers: &[&[&str]], given: Value, saved: Value) -> Vec<String> {
    let places = controllers.iter().map(|names| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let path = PathBuf::from(format!("/{}", names.join(",")));
        (names, path)
    });
    let given: spec::LinuxResources = serde_json::from_value(given).unwrap();
    let saved: spec::LinuxResources = serde_json::from_value(saved).unwrap();
    match plan_update(places.collect(), false, &given, Some(&saved)) {
        Ok(update) => {
            let writes = update.cgroup.writes.iter().map(|write| format!("{}={}", write.file, write.value));
            writes
                .chain(update.at_least_usage.iter().map(|(name, limit)| format!("check {name} {limit}")))
                .collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn an_update_writes_what_is_given_and_what_belongs_to_it() {
    let saved = json!({
        "memory": { "limit": 100, "swap": 150, "reservation": 7 },
        "cpu": { "quota": 5000, "period": 20000, "shares": 9 },
        "pids": { "limit": 5 },
    });
    let one: &[&[&str]] = &[&[], &["memory"], &["cpu", "cpuacct"], &["pids"]];
    let two: &[&[&str]] = &[&[]];
    for (given, v2, v1) in [
        (json!({}), vec![], vec![]),
        (
            json!({ "memory": { "limit": 120 }, "pids": { "limit": 6 }, "devices": [{ "allow": true, "access": "r" }] }),
            vec!["pids.max=6", "memory.swap.max=30", "memory.max=120"],
            vec!["pids.max=6", "memory.limit_in_bytes=120", "memory.memsw.limit_in_bytes=150"],
        ),
        (
            json!({ "memory": { "swap": 110, "checkBeforeUpdate": true } }),
            vec!["memory.swap.max=10", "memory.max=100", "check memory+swap 110"],
            vec!["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=110", "check memory+swap 110"],
        ),
        (
            json!({ "memory": { "limit": 50, "checkBeforeUpdate": true } }),
            vec!["memory.swap.max=100", "memory.max=50", "check memory 50"],
            vec!["memory.limit_in_bytes=50", "memory.memsw.limit_in_bytes=150", "check memory 50"],
        ),
        (
            json!({ "memory": { "limit": -1 } }),
            vec!["memory.swap.max=max", "memory.max=max"],
            vec!["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
        ),
        (
            json!({ "memory": { "limit": 200 } }),
            vec!["/linux/resources/memory/swap: memory+swap limit should be >= memory limit"],
            vec!["/linux/resources/memory/swap: memory+swap limit should be >= memory limit"],
        ),
        (
            json!({ "cpu": { "quota": 8000 } }),
            vec!["cpu.max=8000 20000"],
            vec!["cpu.cfs_period_us=20000", "cpu.cfs_quota_us=8000"],
        ),
        (
            json!({ "cpu": { "period": 30000 } }),
            vec!["cpu.max=5000 30000"],
            vec!["cpu.cfs_period_us=30000", "cpu.cfs_quota_us=5000"],
        ),
        (
            json!({ "unified": { "memory.high": "5" } }),
            vec!["memory.high=5"],
            vec!["/linux/resources/unified: invalid configuration: cannot use unified on cgroup v1"],
        ),
        (
            json!({ "memory": { "kernel": 5 } }),
            vec!["/linux/resources/memory/kernel: kernels since 5.16 have no kernel memory limit"],
            vec!["/linux/resources/memory/kernel: kernels since 5.16 have no kernel memory limit"],
        ),
    ] {
        assert_eq!(updated(two, given.clone(), saved.clone()), v2, "v2: {given}");
        assert_eq!(updated(one, given.clone(), saved.clone()), v1, "v1: {given}");
    }
}
