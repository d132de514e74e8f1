//! Cgroups that systemd makes: what it knows of the unit, and that what it does leaves the container alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use husk_conformance::suite::Case;
use husk_conformance::user::User;
use husk_conformance::{Container, Lab, Outcome, Stop, case, eventually};
use serde_json::json;

use crate::cgroups::read;
use crate::update::DeviceOpener;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(slice_prefix_and_name_are_the_configs),
        case!(name_is_the_containers_otherwise),
        case!(root_slice_is_a_dash),
        case!(slice_is_made_for_a_container, lacks "runc": "asks systemd for a slice with a process in it, which there is not"),
        case!(path_without_colons_is_refused, lacks "crun": "takes it for a slice and a name"),
        case!(limits_are_properties),
        case!(unified_limits_are_properties),
        case!(unit_is_delegated),
        case!(annotations_are_properties),
        case!(annotation_in_seconds),
        case!(malformed_annotation_is_refused),
        case!(unknown_property_is_refused),
        case!(update_changes_properties),
        case!(refused_update_changes_nothing),
        case!(reload_keeps_limits_and_devices),
        case!(reloads_open_no_device_for_a_moment),
        case!(oom_kill_leaves_the_others),
        case!(one_process_is_enough_of_a_limit),
        case!(too_little_memory_is_named),
        case!(unit_goes_with_the_container),
        case!(unit_goes_when_the_container_ends),
        case!(unit_goes_when_the_init_is_oom_killed),
        case!(failed_create_leaves_no_unit),
        case!(failed_unit_of_that_name_is_replaced),
        case!(unit_that_fails_is_there_until_delete, lacks "crun": "has it collected at once"),
        case!(weight_ends_idleness, lacks "crun": "leaves cpu.idle as it is"),
        case!(used_unit_of_that_name_is_refused),
        case!(frozen_directory_of_that_name_is_refused, lacks "crun": "stands still in it"),
        case!(systemctl_stop_ends_it),
        case!(exec_pause_and_ps_work),
        case!(users_have_their_own),
        case!(users_come_from_a_login_session),
    ]
}

/// A container in `SLICE:PREFIX:ID`, not made yet.
fn placed<'lab>(lab: &'lab Lab, slice: &str) -> Result<Container<'lab>, Stop> {
    let mut container = lab.container()?;
    container.by_systemd()?;
    container.config.put("/linux/cgroupsPath", json!(format!("{slice}:husk:{}", container.id)));
    Ok(container)
}

fn unit_of(container: &Container<'_>) -> String {
    format!("husk-{}.scope", container.id)
}

fn systemctl(args: &[&str]) -> Result<String, Stop> {
    let output = Command::new("systemctl").args(args).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A property as `systemctl show` has it.
fn shown(unit: &str, property: &str) -> Result<String, Stop> {
    systemctl(&["show", "--value", "--property", property, unit])
}

fn is_loaded(unit: &str) -> Result<bool, Stop> {
    Ok(shown(unit, "LoadState")? != "not-found")
}

fn cgroup_of(container: &Container<'_>) -> Result<String, Stop> {
    let text = container.proc_file("cgroup")?;
    Ok(text.trim().trim_start_matches("0::").to_owned())
}

fn slice_prefix_and_name_are_the_configs(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "husktest-a.slice")?;
    container.up()?;
    let unit = unit_of(&container);
    assert_eq!(cgroup_of(&container)?, format!("/husktest.slice/husktest-a.slice/{unit}"));
    assert_eq!(shown(&unit, "ActiveState")?, "active");
    assert_eq!(shown(&unit, "Slice")?, "husktest-a.slice");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn name_is_the_containers_otherwise(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_systemd()?;
    container.up()?;
    let cgroup = cgroup_of(&container)?;
    assert!(cgroup.starts_with("/system.slice/"), "{cgroup}");
    assert!(cgroup.ends_with(&format!("-{}.scope", container.id)), "{cgroup}");
    Ok(())
}

fn root_slice_is_a_dash(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "-.slice")?;
    container.up()?;
    assert_eq!(cgroup_of(&container)?, format!("/{}", unit_of(&container)));
    container.force_delete()?.ok();
    container.nothing_left()
}

fn slice_is_made_for_a_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_systemd()?;
    // A dash in a slice's name is a level.
    let slice = format!("{}.slice", container.id.replace('-', "_"));
    container.config.put("/linux/cgroupsPath", json!(format!("system.slice:husk:{slice}")));
    container.up()?;
    assert_eq!(cgroup_of(&container)?, format!("/{slice}"));
    assert_eq!(shown(&slice, "ActiveState")?, "active");
    container.force_delete()?.ok();
    eventually("the slice is gone", || Ok(!Path::new("/sys/fs/cgroup").join(&slice).exists()))
}

fn path_without_colons_is_refused(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/linux/cgroupsPath", json!("/some/path")).args(&["/bin/true"]);
    container.create()?.exits(1).says(&["slice:prefix:name", "/some/path"]);
    container.nothing_left()
}

fn limits_are_properties(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    let resources = json!({
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 1024, "quota": 20_000, "period": 50_000},
        "pids": {"limit": 77},
    });
    for (key, value) in resources.as_object().into_iter().flatten() {
        container.config.put(&format!("/linux/resources/{key}"), value.clone());
    }
    container.up()?;
    let unit = unit_of(&container);
    for (property, value) in [
        ("MemoryMax", (64 << 20).to_string()),
        ("MemoryLow", (32 << 20).to_string()),
        ("CPUQuotaPerSecUSec", "400ms".to_owned()),
        ("CPUQuotaPeriodUSec", "50ms".to_owned()),
        ("TasksMax", "77".to_owned()),
    ] {
        assert_eq!(shown(&unit, property)?, value, "{property}");
    }
    // By the formula of 2025, or the one before.
    let weight = shown(&unit, "CPUWeight")?;
    assert!(weight == "100" || weight == "39", "{weight}");
    assert_eq!(read(&container, "memory", "", "memory.max")?, (64 << 20).to_string());
    assert_eq!(read(&container, "cpu", "", "cpu.max")?, "20000 50000");
    assert_eq!(read(&container, "cpu", "", "cpu.weight")?, weight);
    assert_eq!(read(&container, "pids", "", "pids.max")?, "77");
    Ok(())
}

fn unified_limits_are_properties(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    let unified = json!({
        "memory.high": "33554432", "memory.min": "4096", "pids.max": "99", "cpu.max": "5000 10000", "cpu.weight": "42",
    });
    container.config.put("/linux/resources/unified", unified);
    container.up()?;
    let unit = unit_of(&container);
    for (property, value) in [
        ("MemoryHigh", "33554432"),
        ("MemoryMin", "4096"),
        ("TasksMax", "99"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("CPUQuotaPeriodUSec", "10ms"),
        ("CPUWeight", "42"),
    ] {
        assert_eq!(shown(&unit, property)?, value, "{property}");
    }
    assert_eq!(read(&container, "memory", "", "memory.high")?, "33554432");
    assert_eq!(read(&container, "cpu", "", "cpu.max")?, "5000 10000");
    Ok(())
}

fn unit_is_delegated(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.up()?;
    assert_eq!(shown(&unit_of(&container), "Delegate")?, "yes");
    for controller in ["cpu", "io", "memory", "pids"] {
        read(&container, controller, "", "cgroup.controllers")?;
    }
    Ok(())
}

fn annotations_are_properties(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container
        .config
        .put("/annotations/org.systemd.property.TimeoutStopUSec", json!("uint64 123000000"))
        .put("/annotations/org.systemd.property.Description", json!("'a certain container'"));
    container.up()?;
    let unit = unit_of(&container);
    assert_eq!(shown(&unit, "TimeoutStopUSec")?, "2min 3s");
    assert_eq!(shown(&unit, "Description")?, "a certain container");
    Ok(())
}

fn annotation_in_seconds(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/annotations/org.systemd.property.TimeoutStopSec", json!("uint64 123"));
    container.up()?;
    assert_eq!(shown(&unit_of(&container), "TimeoutStopUSec")?, "2min 3s");
    Ok(())
}

fn malformed_annotation_is_refused(lab: &Lab) -> Outcome {
    for (name, value) in [("TimeoutStopSec", "soon"), ("No.Such", "5")] {
        let mut container = placed(lab, "")?;
        container.config.put(&format!("/annotations/org.systemd.property.{name}"), json!(value));
        container.config.args(&["/bin/true"]);
        let finished = container.create()?.says(&[&format!("org.systemd.property.{name}")]);
        assert_ne!(finished.code(), 0, "{finished}");
        container.nothing_left()?;
    }
    Ok(())
}

fn unknown_property_is_refused(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/annotations/org.systemd.property.NoSuchThing", json!("5")).args(&["/bin/true"]);
    let finished = container.create()?.says(&["NoSuchThing"]);
    assert_ne!(finished.code(), 0, "{finished}");
    container.nothing_left()
}

fn unit_that_fails_is_there_until_delete(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    // Its first process takes no SIGTERM.
    let limits = json!({"org.systemd.property.RuntimeMaxUSec": "uint64 500000",
        "org.systemd.property.TimeoutStopUSec": "uint64 500000"});
    container.config.put("/annotations", limits);
    container.up()?;
    let unit = unit_of(&container);
    container.becomes("stopped")?;
    eventually("the unit has failed", || Ok(shown(&unit, "ActiveState")? == "failed"))?;
    assert_eq!(shown(&unit, "Result")?, "timeout");
    container.runtime(["delete", &container.id])?.output()?.ok();
    assert_eq!(shown(&unit, "LoadState")?, "not-found");
    container.nothing_left()
}

fn weight_ends_idleness(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.up()?;
    container.runtime(["update", "--cpu-idle", "1", &container.id])?.output()?.ok();
    assert_eq!(read(&container, "cpu", "", "cpu.idle")?, "1");
    container.runtime(["update", "--cpu-share", "200", &container.id])?.output()?.ok();
    assert_eq!(read(&container, "cpu", "", "cpu.idle")?, "0");
    assert_ne!(shown(&unit_of(&container), "CPUWeight")?, "0");
    Ok(())
}

fn update_changes_properties(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/linux/resources/memory", json!({"limit": 64 << 20}));
    container.up()?;
    let unit = unit_of(&container);
    container
        .runtime(["update", "--memory", "40000000", "--pids-limit", "33", &container.id])?
        .output()?
        .ok();
    container
        .runtime(["update", "--cpu-quota", "30000", "--cpu-period", "60000", &container.id])?
        .output()?
        .ok();
    for (property, value) in [
        ("MemoryMax", "40000000"),
        ("TasksMax", "33"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("CPUQuotaPeriodUSec", "60ms"),
    ] {
        assert_eq!(shown(&unit, property)?, value, "{property}");
    }
    assert_eq!(read(&container, "pids", "", "pids.max")?, "33");
    assert_eq!(read(&container, "cpu", "", "cpu.max")?, "30000 60000");
    Ok(())
}

fn refused_update_changes_nothing(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/linux/resources/pids/limit", json!(50));
    container.up()?;
    let finished = container
        .runtime([
            "update",
            "--pids-limit",
            "60",
            "--cpu-quota",
            "1",
            "--cpu-period",
            "100000",
            &container.id,
        ])?
        .output()?;
    if finished.code() == 0 {
        // Rounded up to a whole percent: then it is a limit like any other.
        assert_eq!(read(&container, "cpu", "", "cpu.max")?, "1000 100000");
        return Ok(());
    }
    assert_eq!(shown(&unit_of(&container), "TasksMax")?, "50");
    assert_eq!(read(&container, "pids", "", "pids.max")?, "50");
    Ok(())
}

/// Who reloads systemd makes it write all that it knows once more.
fn reload_keeps_limits_and_devices(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"]);
    let device = json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
    let allow = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"});
    container
        .config
        .put("/linux/devices", json!([device]))
        .put("/linux/resources/devices", json!([{"allow": false, "access": "rwm"}, allow]))
        .put("/linux/resources/memory", json!({"limit": 64 << 20}))
        .put("/linux/resources/pids/limit", json!(44));
    container.up()?;
    let probe =
        "(: < /dev/kmsg) && echo reads; (: > /dev/kmsg) && echo writes; echo x >/dev/null && echo null; true";
    for round in 0..2 {
        let finished = container.exec_sh(probe)?.ok();
        assert_eq!(finished.stdout, "reads\nnull\n", "round {round}: {finished}");
        assert_eq!(read(&container, "memory", "", "memory.max")?, (64 << 20).to_string());
        assert_eq!(read(&container, "pids", "", "pids.max")?, "44");
        systemctl(&["daemon-reload"])?;
        let unit = unit_of(&container);
        systemctl(&["set-property", "--runtime", &unit, "IOWeight=50"])?;
        assert_eq!(shown(&unit, "IOWeight")?, "50");
    }
    Ok(())
}

fn reloads_open_no_device_for_a_moment(lab: &Lab) -> Outcome {
    placed(lab, "")?;
    let opener = DeviceOpener::up(lab, |container| {
        container.globals = vec!["--systemd-cgroup".to_owned()];
        let path = format!(":husk:{}", container.id);
        container.config.put("/linux/cgroupsPath", json!(path));
    })?;
    let unit = unit_of(&opener.container);
    for round in 1..=10 {
        systemctl(&["daemon-reload"])?;
        systemctl(&["set-property", "--runtime", &unit, &format!("IOWeight={round}")])?;
        opener.container.runtime(["update", "--pids-limit", "33", &opener.container.id])?.output()?.ok();
    }
    opener.never_noticed()
}

fn oom_kill_leaves_the_others(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/linux/resources/memory", json!({"limit": 32 << 20, "swap": 32 << 20}));
    container.up()?;
    container.exec_sh("dd if=/dev/zero of=/dev/null bs=200M count=1 && echo done")?.exits(137).prints("");
    container.exec_sh("echo others live")?.ok().prints("others live");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn one_process_is_enough_of_a_limit(lab: &Lab) -> Outcome {
    for limit in [1, 2] {
        let mut container = placed(lab, "")?;
        container.config.put("/linux/resources/pids", json!({"limit": limit}));
        container.up()?;
        assert_eq!(read(&container, "pids", "", "pids.max")?, limit.to_string());
        assert_eq!(shown(&unit_of(&container), "TasksMax")?, limit.to_string());
        systemctl(&["daemon-reload"])?;
        assert_eq!(read(&container, "pids", "", "pids.max")?, limit.to_string());
        container.force_delete()?.ok();
        container.nothing_left()?;
    }
    Ok(())
}

fn too_little_memory_is_named(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/linux/resources/memory", json!({"limit": 16 << 10, "swap": 16 << 10}));
    container.config.args(&["/bin/true"]);
    container.create()?.exits(1).says(&["container init was OOM-killed (memory limit too low?)"]);
    container.nothing_left()
}

fn unit_goes_with_the_container(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.up()?;
    let unit = unit_of(&container);
    assert!(is_loaded(&unit)?);
    container.force_delete()?.ok();
    assert!(!is_loaded(&unit)?, "at once when delete returns");
    // So another one can follow at once.
    container.up()?;
    container.force_delete()?.ok();
    container.nothing_left()
}

fn unit_goes_when_the_container_ends(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.args(&["/bin/true"]);
    container.create()?.ok();
    container.start()?.ok();
    container.becomes("stopped")?;
    let unit = unit_of(&container);
    eventually("systemd has forgotten the unit", || Ok(!is_loaded(&unit)?))?;
    container.delete()?.ok();
    container.nothing_left()
}

fn unit_goes_when_the_init_is_oom_killed(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.put("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
    container.config.args(&["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]);
    container.create()?.ok();
    container.start()?.ok();
    container.becomes("stopped")?;
    container.delete()?.ok();
    container.nothing_left()?;
    assert!(!is_loaded(&unit_of(&container))?);
    container.up()?;
    container.force_delete()?.ok();
    container.nothing_left()
}

fn failed_create_leaves_no_unit(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.config.args(&["/no/such/program"]);
    let finished = container.run()?;
    assert_ne!(finished.code(), 0, "{finished}");
    container.nothing_left()?;
    assert!(!is_loaded(&unit_of(&container))?);
    // One that fails after its process was made.
    container.config.args(&["/bin/true"]).mount("tmpfs", "tmpfs", "/tmp", &["size=nonsense"]);
    let finished = container.run()?;
    assert_ne!(finished.code(), 0, "{finished}");
    container.nothing_left()
}

fn failed_unit_of_that_name_is_replaced(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    let unit = unit_of(&container);
    // A scope fails when it is ended by its time limit.
    let mut other = Command::new("systemd-run")
        .args(["--scope", "--quiet", "--unit", &unit, "--property", "RuntimeMaxSec=100ms", "sleep", "1000"])
        .spawn()?;
    eventually("the other unit has failed", || Ok(shown(&unit, "ActiveState")? == "failed"))?;
    other.wait()?;
    container.up()?;
    assert_eq!(shown(&unit, "ActiveState")?, "active");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn used_unit_of_that_name_is_refused(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    let unit = unit_of(&container);
    let mut other =
        Command::new("systemd-run").args(["--scope", "--quiet", "--unit", &unit, "sleep", "1000"]).spawn()?;
    eventually("the other unit runs", || Ok(shown(&unit, "ActiveState")? == "active"))?;
    container.config.args(&["/bin/true"]);
    let finished = container.create()?;
    let lives = other.try_wait()?.is_none();
    other.kill()?;
    other.wait()?;
    finished.exits(1).says(&["container's cgroup is not empty"]);
    assert!(lives, "the other unit was ended");
    eventually("the other unit is gone", || Ok(!is_loaded(&unit)?))?;
    container.nothing_left()
}

/// systemd would put the container's process into it, to stand still there.
fn frozen_directory_of_that_name_is_refused(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    let frozen = Path::new("/sys/fs/cgroup/system.slice").join(unit_of(&container));
    fs::create_dir(&frozen)?;
    fs::write(frozen.join("cgroup.freeze"), "1")?;
    container.config.args(&["/bin/true"]);
    container.create()?.exits(1).says(&["cgroup unexpectedly frozen"]);
    assert_eq!(fs::read_to_string(frozen.join("cgroup.freeze"))?.trim(), "1");
    fs::remove_dir(&frozen)?;
    container.nothing_left()
}

fn systemctl_stop_ends_it(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    // A process that is first in its pid namespace gets no SIGTERM that it does not handle.
    container.config.put("/annotations/org.systemd.property.TimeoutStopUSec", json!("uint64 500000"));
    container.up()?;
    systemctl(&["stop", &unit_of(&container)])?;
    container.becomes("stopped")?;
    container.delete()?.ok();
    container.nothing_left()
}

fn exec_pause_and_ps_work(lab: &Lab) -> Outcome {
    let mut container = placed(lab, "")?;
    container.up()?;
    container.exec_sh("echo inside")?.ok().prints("inside");
    container.verb("pause")?.ok();
    assert_eq!(container.status()?, "paused");
    container.verb("resume")?.ok();
    let listed = container.runtime(["ps", "--format", "json", &container.id])?.output()?.ok();
    assert_eq!(listed.stdout.trim(), format!("[{}]", container.pid()?));
    container.verb("pause")?.ok();
    container.force_delete()?.ok();
    container.nothing_left()
}

/// A user's container, by the user's systemd, started from this cgroup of the user's.
fn by_the_users_own(lab: &Lab, from: &str) -> Outcome {
    let mut container = lab.container_of(&User::of_systemd(lab, from)?)?;
    container.by_systemd()?;
    container.config.put("/linux/resources", json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 44}}));
    container.up()?;
    let cgroup = cgroup_of(&container)?;
    assert!(cgroup.starts_with("/user.slice/user-4242.slice/user@4242.service/user.slice/"), "{cgroup}");
    assert_eq!(read(&container, "memory", "", "memory.max")?, (64 << 20).to_string());
    assert_eq!(read(&container, "pids", "", "pids.max")?, "44");
    let inside = container.exec_sh("cat /proc/self/cgroup")?.ok();
    inside.prints(&format!("0::{cgroup}"));
    container
        .runtime(["update", "--memory", "40000000", "--pids-limit", "33", &container.id])?
        .output()?
        .ok();
    assert_eq!(read(&container, "pids", "", "pids.max")?, "33");
    container.verb("pause")?.ok();
    assert_eq!(container.status()?, "paused");
    container.verb("resume")?.ok();
    container.force_delete()?.ok();
    container.nothing_left()?;
    // One whose creation fails leaves none, either.
    container.config.args(&["/no/such/program"]);
    assert_ne!(container.run()?.code(), 0);
    container.nothing_left()
}

fn users_have_their_own(lab: &Lab) -> Outcome {
    by_the_users_own(lab, "user@4242.service/app.slice")
}

/// The kernel lets nobody carry a process out of a session into what is delegated; systemd does it.
fn users_come_from_a_login_session(lab: &Lab) -> Outcome {
    by_the_users_own(lab, "session-42.scope")
}
