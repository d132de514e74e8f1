//! Resources in, writes or problems out, for v2 and for v1.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod devices;
mod limits;
mod paths;
mod units;
mod updates;

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
