//! `update`: limits of a running container, as the cgroup's files show them, and as they work.

use husk_conformance::suite::Case;
use husk_conformance::{Container, Finished, Lab, Outcome, Stop, case, unable};
use serde_json::{Value, json};

use crate::cgroups::{needs_controller, read, up_with};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(memory),
        case!(memory_below_what_is_used, lacks "runc 1.1": "does not know checkBeforeUpdate and leaves it to the kernel", "runc 1.3": "looks at checkBeforeUpdate under v2 alone"),
        case!(memory_and_swap_go_up_and_down_together),
        case!(memory_is_enforced),
        case!(pids),
        case!(cpu),
        case!(processors_and_nodes),
        case!(idle_burst_and_weight, lacks "runc 1.1": "knows none of these flags but the weight"),
        case!(weight_of_an_idle_cgroup, lacks "runc": "warns only where systemd makes the cgroup"),
        case!(real_time),
        case!(resources_from_a_file),
        case!(resources_from_standard_input),
        case!(a_created_container),
        case!(a_paused_container),
        case!(a_stopped_container),
        case!(a_refused_value_leaves_the_others),
        case!(a_refused_pid_limit_leaves_the_others,
            lacks "runc": "keeps what it had written, with a warning"),
        case!(device_rules_stay),
        case!(device_rules_stay_at_every_moment),
        case!(later_updates_know_earlier_ones,
            lacks "runc": "passes the kernel's EINVAL on, without a reason"),
        case!(exec_works_afterwards),
    ]
}

fn update(container: &Container<'_>, flags: &[&str]) -> Result<Finished, Stop> {
    container.runtime(["update"])?.args(flags).arg(&container.id).output()
}

fn from_file(container: &Container<'_>, resources: &Value) -> Result<Finished, Stop> {
    let file = container.directory.join("resources.json");
    std::fs::write(&file, resources.to_string())?;
    let file = file.to_string_lossy().into_owned();
    update(container, &["--resources", &file])
}

fn memory_limit(container: &Container<'_>) -> Result<String, Stop> {
    read(container, "memory", "memory.limit_in_bytes", "memory.max")
}

fn quota(container: &Container<'_>) -> Result<String, Stop> {
    let text = read(container, "cpu", "cpu.cfs_quota_us", "cpu.max")?;
    Ok(text.split_whitespace().next().unwrap_or_default().replace("max", "-1"))
}

fn memory(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 64 << 20}))?;
    for (flag, bytes) in [("32M", 32 << 20), ("48mb", 48 << 20), ("67108864", 64 << 20)] {
        update(&container, &["--memory", flag, "--memory-reservation", "16M"])?.ok().prints("");
        assert_eq!(memory_limit(&container)?, bytes.to_string());
        let reserved = read(&container, "memory", "memory.soft_limit_in_bytes", "memory.low")?;
        assert_eq!(reserved, (16 << 20).to_string());
    }
    update(&container, &["--memory", "-1"])?.ok();
    let unlimited = memory_limit(&container)?;
    assert!(unlimited == "max" || unlimited.len() == 19, "{unlimited}");
    Ok(())
}

fn memory_below_what_is_used(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 64 << 20}))?;
    from_file(&container, &json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}}))?
        .exits(1)
        .says(&["rejecting memory limit 4096"]);
    let both = json!({"memory": {"limit": 4096, "swap": 8192, "checkBeforeUpdate": true}});
    from_file(&container, &both)?.exits(1).says(&["rejecting memory+swap limit 8192"]);
    assert_eq!(memory_limit(&container)?, (64 << 20).to_string());
    Ok(())
}

/// Under v1 the kernel takes the two only in one order, which differs.
fn memory_and_swap_go_up_and_down_together(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 32 << 20, "swap": 32 << 20}))?;
    for (limit, swap) in [(64u64 << 20, 96u64 << 20), (16 << 20, 24 << 20), (128 << 20, 128 << 20)] {
        let (memory, both) = (limit.to_string(), swap.to_string());
        update(&container, &["--memory", &memory, "--memory-swap", &both])?.ok();
        assert_eq!(memory_limit(&container)?, memory);
        let shown = read(&container, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")?;
        assert!(shown == both || shown == (swap - limit).to_string(), "{shown}");
    }
    Ok(())
}

fn memory_is_enforced(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 512 << 20}))?;
    let dd = "dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null && echo done";
    container.exec_sh(dd)?.ok().prints("done");
    update(&container, &["--memory", "32M", "--memory-swap", "32M"])?.ok();
    container.exec_sh(dd)?.exits(137).prints("");
    Ok(())
}

fn pids(lab: &Lab) -> Outcome {
    let container = up_with(lab, "pids", json!({"limit": 100}))?;
    let shown = || read(&container, "pids", "pids.max", "pids.max");
    update(&container, &["--pids-limit", "7"])?.ok();
    assert_eq!(shown()?, "7");
    update(&container, &["--pids-limit", "-1"])?.ok();
    assert_eq!(shown()?, "max");
    Ok(())
}

fn cpu(lab: &Lab) -> Outcome {
    let container = up_with(lab, "cpu", json!({"shares": 100, "quota": 20000, "period": 100_000}))?;
    update(&container, &["--cpu-quota", "50000", "--cpu-period", "200000", "--cpu-share", "512"])?.ok();
    assert_eq!(quota(&container)?, "50000");
    let period = read(&container, "cpu", "cpu.cfs_period_us", "cpu.max")?;
    assert!(period.ends_with("200000"), "{period}");
    let shares = read(&container, "cpu", "cpu.shares", "cpu.weight")?;
    assert!(["512", "59"].contains(&&*shares), "{shares}");
    update(&container, &["--cpu-quota=-1"])?.ok();
    assert_eq!(quota(&container)?, "-1");
    let period = read(&container, "cpu", "cpu.cfs_period_us", "cpu.max")?;
    assert!(period.ends_with("200000"), "the period stays: {period}");
    Ok(())
}

/// As its processes see it, the ones that run already too.
fn processors_and_nodes(lab: &Lab) -> Outcome {
    needs_controller("cpuset")?;
    let container = up_with(lab, "cpu", json!({}))?;
    let allowed = |key: &str| -> Result<String, Stop> {
        let status = container.proc_file("status")?;
        Ok(status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned())
    };
    let all = allowed("Cpus_allowed_list:")?;
    let one = all.rsplit([',', '-']).next().unwrap_or_default().to_owned();
    update(&container, &["--cpuset-cpus", &one, "--cpuset-mems", "0"])?.ok();
    assert_eq!(read(&container, "cpuset", "cpuset.cpus", "cpuset.cpus")?, one);
    assert_eq!(read(&container, "cpuset", "cpuset.mems", "cpuset.mems")?, "0");
    assert_eq!((allowed("Cpus_allowed_list:")?, allowed("Mems_allowed_list:")?), (one, "0".to_owned()));
    update(&container, &["--cpuset-cpus", &all])?.ok();
    assert_eq!(allowed("Cpus_allowed_list:")?, all);
    Ok(())
}

fn idle_burst_and_weight(lab: &Lab) -> Outcome {
    let container = up_with(lab, "cpu", json!({"quota": 20000, "period": 100_000}))?;
    let burst = || read(&container, "cpu", "cpu.cfs_burst_us", "cpu.max.burst");
    // A burst may not exceed the quota, which is raised at the same time.
    update(&container, &["--cpu-burst", "30000", "--cpu-quota", "40000"])?.ok();
    assert_eq!((quota(&container)?, burst()?), ("40000".to_owned(), "30000".to_owned()));
    let idle = || read(&container, "cpu", "cpu.idle", "cpu.idle");
    for value in ["1", "0"] {
        update(&container, &["--cpu-idle", value])?.ok();
        assert_eq!(idle()?, value);
    }
    // Where the kernel knows no weights of disks it is refused by its name.
    let finished = update(&container, &["--blkio-weight", "300"])?;
    let files = [
        ("blkio", "blkio.weight"),
        ("blkio", "blkio.bfq.weight"),
        ("io", "io.bfq.weight"),
        ("io", "io.weight"),
    ];
    let shown = files.iter().find_map(|(controller, name)| read(&container, controller, name, name).ok());
    match shown {
        Some(value) => {
            finished.ok();
            // 300 of 10 to 1000 is as much as 2930 of 1 to 10000.
            assert!(value.ends_with("300") || value.ends_with("2930"), "{value}");
        }
        None => drop(finished.exits(1).says(&["/linux/resources/blockIO/weight"])),
    }
    Ok(())
}

fn weight_of_an_idle_cgroup(lab: &Lab) -> Outcome {
    let container = up_with(lab, "cpu", json!({"shares": 512}))?;
    let both = update(&container, &["--cpu-share", "200", "--cpu-idle", "1"])?;
    both.ok().says(&["unable to apply both"]);
    assert_eq!(read(&container, "cpu", "cpu.idle", "cpu.idle")?, "1");
    let idle = update(&container, &["--cpu-idle", "0"])?.ok();
    assert!(!idle.stderr.contains("unable"), "{idle}");
    assert_eq!(read(&container, "cpu", "cpu.idle", "cpu.idle")?, "0");
    Ok(())
}

fn real_time(lab: &Lab) -> Outcome {
    if std::fs::metadata("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").is_err() {
        return unable("only v1 has budgets for real-time processes, if the kernel has");
    }
    let container = up_with(lab, "cpu", json!({"realtimeRuntime": 1_000, "realtimePeriod": 900_000}))?;
    update(&container, &["--cpu-rt-period", "800000", "--cpu-rt-runtime", "2000"])?.ok();
    assert_eq!(read(&container, "cpu", "cpu.rt_runtime_us", "")?, "2000");
    assert_eq!(read(&container, "cpu", "cpu.rt_period_us", "")?, "800000");
    Ok(())
}

fn resources_from_a_file(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 64 << 20}))?;
    from_file(&container, &json!({"memory": {"limit": 32 << 20}, "pids": {"limit": 9}}))?.ok().prints("");
    assert_eq!(memory_limit(&container)?, (32 << 20).to_string());
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "9");
    Ok(())
}

/// As engines do it. The flags beside it do not count.
fn resources_from_standard_input(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 64 << 20}))?;
    let file = container.directory.join("resources.json");
    std::fs::write(&file, json!({"memory": {"limit": 48 << 20}}).to_string())?;
    let line = container.runtime(["update", "--resources", "-", "--memory", "16M", &container.id])?;
    line.stdin(std::fs::File::open(&file)?).output()?.ok();
    assert_eq!(memory_limit(&container)?, (48 << 20).to_string());
    Ok(())
}

fn a_created_container(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.create()?.ok();
    update(&container, &["--pids-limit", "5"])?.ok();
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "5");
    container.delete()?.ok();
    container.nothing_left()
}

fn a_paused_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.verb("pause")?.ok();
    update(&container, &["--pids-limit", "5"])?.ok();
    assert_eq!(container.status()?, "paused");
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "5");
    container.verb("resume")?.ok();
    Ok(())
}

fn a_stopped_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    update(&container, &["--pids-limit", "5"])?.exits(1).says(&["container not running"]);
    Ok(())
}

/// More processors than there are: the kernel refuses it, after the other values were taken.
fn a_refused_value_leaves_the_others(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/resources/memory", json!({"limit": 64 << 20}));
    container.config.put("/linux/resources/cpu", json!({"quota": 20000}));
    container.config.put("/linux/resources/pids", json!({"limit": 50}));
    container.up()?;
    let flags = ["--cpu-quota", "30000", "--memory", "32M", "--pids-limit", "60", "--cpuset-cpus", "100000"];
    update(&container, &flags)?.exits(1).says(&["cpuset.cpus"]);
    assert_eq!(memory_limit(&container)?, (64 << 20).to_string());
    assert_eq!(quota(&container)?, "20000");
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "50");
    Ok(())
}

/// A number that the kernel cannot have: what was changed before it is changed back.
fn a_refused_pid_limit_leaves_the_others(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/linux/resources/cpu", json!({"quota": 20000}));
    container.config.put("/linux/resources/pids", json!({"limit": 50}));
    container.up()?;
    update(&container, &["--cpu-quota", "30000", "--pids-limit", "9000000000"])?.exits(1).says(&["pids.max"]);
    assert_eq!(quota(&container)?, "20000");
    assert_eq!(read(&container, "pids", "pids.max", "pids.max")?, "50");
    Ok(())
}

fn device_rules_stay(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let devices = json!([{"allow": false, "access": "rwm"}]);
    from_file(&container, &json!({"devices": devices, "pids": {"limit": 30}}))?.ok();
    container.exec_sh("echo x >/dev/null && echo open")?.ok().prints("open");
    Ok(())
}

/// Engines send all that they know of a container's resources, devices included; rules that were in force for whoever
/// opens devices meanwhile would be gone for a moment if they were written anew one by one.
fn device_rules_stay_at_every_moment(lab: &Lab) -> Outcome {
    let opener = DeviceOpener::up(lab, |_| ())?;
    let rules = json!([{"allow": true, "access": "rwm"}]);
    for round in 0..20 {
        let resources =
            json!({"devices": rules, "pids": {"limit": 30 + round}, "memory": {"limit": (64 + round) << 20}});
        from_file(&opener.container, &resources)?.ok();
        assert_eq!(read(&opener.container, "pids", "pids.max", "pids.max")?, (30 + round).to_string());
    }
    opener.never_noticed()
}

/// A container that opens two devices all the time, one that its rules allow and one that they do not, and tells of
/// what should not be.
pub(crate) struct DeviceOpener<'lab> {
    pub(crate) container: Container<'lab>,
    output: Finished,
}

impl<'lab> DeviceOpener<'lab> {
    pub(crate) fn up(lab: &'lab Lab, change: impl Fn(&mut Container<'lab>)) -> Result<Self, Stop> {
        let mut container = lab.container()?;
        container.config.capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"]);
        let kmsg = json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
        container.config.put("/linux/devices", json!([kmsg]));
        container.config.put("/linux/resources/devices", json!([{"allow": false, "access": "rwm"}]));
        change(&mut container);
        container.config.sh(
            "exec 2>/dev/null; while :; do { :; } </dev/kmsg && echo opened; { :; } </dev/full || echo refused; \
             i=$((i + 1)); [ $((i % 500)) != 0 ] || echo round; done",
        );
        let output = container.run_with(&["--detach"])?.output()?.ok();
        let opener = DeviceOpener { container, output };
        opener.goes_on()?;
        Ok(opener)
    }

    /// Waits for some more rounds of it.
    fn goes_on(&self) -> Outcome {
        let before = self.output.stdout_now()?.len();
        husk_conformance::eventually("further rounds", || Ok(self.output.stdout_now()?.len() > before + 10))
    }

    pub(crate) fn never_noticed(self) -> Outcome {
        self.goes_on()?;
        let text = self.output.stdout_now()?;
        assert!(text.lines().all(|line| line == "round"), "{text}");
        self.container.force_delete()?.ok();
        self.container.nothing_left()
    }
}

fn later_updates_know_earlier_ones(lab: &Lab) -> Outcome {
    let container = up_with(lab, "memory", json!({"limit": 32 << 20, "swap": 64 << 20}))?;
    update(&container, &["--memory-swap", "96M"])?.ok();
    update(&container, &["--memory", "80M"])?.ok();
    assert_eq!(memory_limit(&container)?, (80 << 20).to_string());
    update(&container, &["--memory", "100M"])?
        .exits(1)
        .says(&["memory+swap limit should be >= memory limit"]);
    assert_eq!(memory_limit(&container)?, (80 << 20).to_string());
    Ok(())
}

/// The saved config is still one.
fn exec_works_afterwards(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    update(&container, &["--pids-limit", "50", "--memory", "128M"])?.ok();
    container.exec(&[], &["/bin/echo", "here"])?.ok().prints("here");
    container.force_delete()?.ok();
    container.nothing_left()
}
