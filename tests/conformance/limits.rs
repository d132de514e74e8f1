//! Limits of the controllers that few containers use, as the cgroup files show them.

use std::fs;
use std::path::Path;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, Stop, case, unable};
use serde_json::{Value, json};

use crate::cgroups::{file, read, up_with};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(burst_of_a_quota, lacks "runc 1.1": "does not know cpu.burst"),
        case!(idle_group, lacks "runc 1.1": "does not know cpu.idle"),
        case!(real_time_budget),
        case!(memory_swappiness),
        case!(memory_without_oom_killer),
        case!(memory_of_tcp, lacks "runc": "ignores it, with a warning"),
        case!(throttled_device),
        case!(weight_of_the_disks),
        case!(huge_pages),
        case!(huge_pages_are_limited),
        case!(network_class_and_priorities),
        case!(rdma_objects),
        case!(unified_keys),
        case!(unified_keys_without_v2),
    ]
}

fn has_v1(controller: &str) -> bool {
    Path::new("/sys/fs/cgroup").join(controller).join("cgroup.procs").exists()
}

fn burst_of_a_quota(lab: &Lab) -> Outcome {
    let cpu = json!({"quota": 20_000, "period": 50_000, "burst": 5_000});
    let container = up_with(lab, "cpu", cpu)?;
    assert_eq!(read(&container, "cpu", "cpu.cfs_burst_us", "cpu.max.burst")?, "5000");
    Ok(())
}

fn idle_group(lab: &Lab) -> Outcome {
    let container = up_with(lab, "cpu", json!({"idle": 1}))?;
    assert_eq!(read(&container, "cpu", "cpu.idle", "cpu.idle")?, "1");
    Ok(())
}

fn real_time_budget(lab: &Lab) -> Outcome {
    if fs::metadata("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").is_err() {
        return unable("only v1 has budgets for real-time processes, if the kernel has");
    }
    let container = up_with(lab, "cpu", json!({"realtimeRuntime": 9_000, "realtimePeriod": 900_000}))?;
    assert_eq!(read(&container, "cpu", "cpu.rt_runtime_us", "")?, "9000");
    assert_eq!(read(&container, "cpu", "cpu.rt_period_us", "")?, "900000");
    Ok(())
}

fn memory_swappiness(lab: &Lab) -> Outcome {
    if !has_v1("memory") {
        return unable("only v1 has a swappiness of a group");
    }
    let container = up_with(lab, "memory", json!({"limit": 64 << 20, "swappiness": 17}))?;
    assert_eq!(read(&container, "memory", "memory.swappiness", "")?, "17");
    Ok(())
}

fn memory_without_oom_killer(lab: &Lab) -> Outcome {
    if !has_v1("memory") {
        return unable("only v1 has groups without an OOM killer");
    }
    let container = up_with(lab, "memory", json!({"limit": 64 << 20, "disableOOMKiller": true}))?;
    assert!(read(&container, "memory", "memory.oom_control", "")?.contains("oom_kill_disable 1"));
    Ok(())
}

/// A block device of this machine that is a whole disk: the throttles take no others.
/// Buffers of TCP have a limit of their own under v1.
fn memory_of_tcp(lab: &Lab) -> Outcome {
    if !has_v1("memory") {
        return unable("only v1 has a limit for the buffers of TCP");
    }
    let container = up_with(lab, "memory", json!({"kernelTCP": 32 << 20}))?;
    assert_eq!(read(&container, "memory", "memory.kmem.tcp.limit_in_bytes", "")?, (32 << 20).to_string());
    Ok(())
}

fn disk() -> Result<(u32, u32), Stop> {
    for entry in fs::read_dir("/sys/block")?.flatten() {
        let number = fs::read_to_string(entry.path().join("dev")).unwrap_or_default();
        if let Some((major, minor)) = number.trim().split_once(':')
            && let (Ok(major), Ok(minor)) = (major.parse(), minor.parse())
        {
            return Ok((major, minor));
        }
    }
    unable("this machine has no disk")
}

fn throttled_device(lab: &Lab) -> Outcome {
    let (major, minor) = disk()?;
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let limits = json!({
        "throttleReadBpsDevice": rate(1_048_576), "throttleWriteBpsDevice": rate(2_097_152),
        "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400)
    });
    let container = up_with(lab, "blockIO", limits)?;
    if has_v1("blkio") {
        for (name, rate) in
            [("read_bps", "1048576"), ("write_bps", "2097152"), ("read_iops", "300"), ("write_iops", "400")]
        {
            let line = read(&container, "blkio", &format!("blkio.throttle.{name}_device"), "")?;
            assert_eq!(line, format!("{major}:{minor} {rate}"));
        }
        return Ok(());
    }
    let line = read(&container, "io", "", "io.max")?;
    assert_eq!(line, format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=300 wiops=400"));
    Ok(())
}

fn weight_of_the_disks(lab: &Lab) -> Outcome {
    let mut probe = lab.container()?;
    probe.up()?;
    let names = [("blkio.weight", "io.weight"), ("blkio.bfq.weight", "io.bfq.weight")];
    let controller = if has_v1("blkio") { "blkio" } else { "io" };
    let mut found = None;
    for (v1, v2) in names {
        if file(&probe, controller, v1, v2)?.exists() {
            found = found.or(Some((v1, v2)));
        }
    }
    let Some((v1, v2)) = found else {
        return unable("no scheduler of this kernel knows weights (bfq, iocost)");
    };
    let container = up_with(lab, "blockIO", json!({"weight": 500}))?;
    let value = read(&container, controller, v1, v2)?;
    assert!(value.ends_with("500") || value == "default 4950", "{value}");
    Ok(())
}

fn huge_pages(lab: &Lab) -> Outcome {
    if !has_v1("hugetlb") {
        let mut probe = lab.container()?;
        probe.up()?;
        file(&probe, "hugetlb", "", "")?;
    }
    let container = up_with(lab, "hugepageLimits", json!([{"pageSize": "2MB", "limit": 4_194_304}]))?;
    let limit = read(&container, "hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max")?;
    assert_eq!(limit, "4194304");
    Ok(())
}

/// Two pages may be had, a third may not, though the machine has more.
fn huge_pages_are_limited(lab: &Lab) -> Outcome {
    let free = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if !free.is_ok_and(|pages| pages.trim().parse::<u32>().is_ok_and(|pages| pages > 3)) {
        return unable("this machine has no huge pages of 2 MB set aside");
    }
    let mut container = lab.container()?;
    container.config.mount("hugetlbfs", "none", "/mnt/huge", &["pagesize=2M"]);
    container.config.put("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 4_194_304}]));
    container.up()?;
    file(&container, "hugetlb", "", "")?;
    let script =
        "cd /mnt/huge; fallocate -l 4194304 two && echo two; fallocate -l 2097152 third || echo no third";
    container.exec_sh(script)?.ok().prints("two\nno third");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn network_class_and_priorities(lab: &Lab) -> Outcome {
    if !has_v1("net_cls") && !has_v1("net_cls,net_prio") {
        return unable("only v1 has network classes, and this machine has not");
    }
    let network = json!({"classID": 1_048_577, "priorities": [{"name": "lo", "priority": 7}]});
    let container = up_with(lab, "network", network)?;
    assert_eq!(read(&container, "net_cls", "net_cls.classid", "")?, "1048577");
    assert!(read(&container, "net_prio", "net_prio.ifpriomap", "")?.contains("lo 7"));
    Ok(())
}

fn rdma_objects(lab: &Lab) -> Outcome {
    let mut probe = lab.container()?;
    probe.up()?;
    file(&probe, "rdma", "", "")?;
    let Some(device) = fs::read_dir("/sys/class/infiniband").ok().and_then(|mut list| list.next()) else {
        return unable("this machine has no RDMA device");
    };
    let name = device?.file_name().to_string_lossy().into_owned();
    let container = up_with(lab, "rdma", json!({&name: {"hcaHandles": 3, "hcaObjects": 10_000}}))?;
    let line = read(&container, "rdma", "rdma.max", "rdma.max")?;
    assert_eq!(line, format!("{name} hca_handle=3 hca_object=10000"));
    Ok(())
}

fn unified(lab: &Lab, keys: Value) -> Result<husk_conformance::Container<'_>, Stop> {
    let mut container = lab.container()?;
    container.config.put("/linux/resources/unified", keys);
    Ok(container)
}

fn unified_keys(lab: &Lab) -> Outcome {
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !controllers.contains("pids") {
        return unable("no controller is in the v2 hierarchy of this machine");
    }
    let mut container = unified(lab, json!({"pids.max": "77"}))?;
    container.up()?;
    assert_eq!(read(&container, "pids", "", "pids.max")?, "77");
    Ok(())
}

fn unified_keys_without_v2(lab: &Lab) -> Outcome {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return unable("this machine has cgroup v2 alone");
    }
    let container = unified(lab, json!({"pids.max": "77"}))?;
    container.run()?.exits(1).says(&["unified"]);
    container.nothing_left()
}
