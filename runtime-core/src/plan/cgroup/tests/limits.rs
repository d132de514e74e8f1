//! Each resource, under v2 and under v1.

use super::*;

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
        (cpu(json!({ "idle": 1, "shares": 2 })), &["cpu.idle=1"], &["cpu.shares=2", "cpu.idle=1"]),
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
    use crate::plan::cgroup::v2::weight_of_shares;
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
