//! The command line beside what the topics test: global options, spellings, and flags that engines pass.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case, unable};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(root_of_the_machine_is_refused, lacks "runc 1.1": "looks for containers in it"),
        case!(root_may_be_relative),
        case!(debug_adds_to_the_log),
        case!(trace_has_a_time_for_each_step, lacks "runc": "has no such option", "crun": "has no such option"),
        case!(options_with_one_dash),
        case!(flags_may_say_true_or_false),
        case!(commas_separate_nothing),
        case!(no_subreaper_changes_nothing),
        case!(no_pivot),
        case!(spec_is_never_overwritten),
        case!(signals_of_any_case),
        case!(variables_of_runcs_own_change_nothing, lacks "runc": "a variable of its own breaks it"),
        case!(labels_of_an_exec_where_there_are_none),
        case!(update_flags_for_the_processor, lacks "runc 1.1": "knows no --cpu-burst"),
        case!(update_flags_for_memory),
        case!(limits_that_kernels_no_longer_have, lacks "runc": "takes the flag and does nothing"),
        case!(rdt_flags_without_rdt),
        case!(checkpoint_is_refused, lacks "runc": "can do it, with criu"),
    ]
}

fn root_of_the_machine_is_refused(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    // The last --root counts.
    let finished = container.runtime(["--root", "/", "list"])?.output()?.exits(1);
    finished.says(&["Option --root argument should not be set to /"]);
    Ok(())
}

fn root_may_be_relative(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.write_config()?;
    let run =
        container.runtime(["--root", "here", "run", "--detach", "--bundle", "bundle", &container.id])?;
    run.current_dir(&container.directory).output()?.ok();
    container.state_root = container.directory.join("here");
    assert_eq!(container.status()?, "running");
    assert_eq!(container.state()?["bundle"], json!(container.bundle));
    container.force_delete()?.ok();
    container.nothing_left()
}

fn trace_has_a_time_for_each_step(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    container.write_config()?;
    let file = container.directory.join("trace.json");
    let trace = file.to_string_lossy().into_owned();
    container
        .runtime(["run", "--trace", &trace, "--bundle", "bundle", &container.id])?
        .current_dir(&container.directory)
        .output()?
        .ok();
    let told: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let events = told["traceEvents"].as_array().expect("events");
    let start_of = |name: &str| {
        let event = events.iter().find(|event| event["name"] == name);
        event.and_then(|event| event["ts"].as_u64()).unwrap_or_else(|| panic!("no {name} in {told}"))
    };
    assert!(start_of("clone") <= start_of("mount") && start_of("mount") <= start_of("ready"), "{told}");
    container.nothing_left()
}

fn debug_adds_to_the_log(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    container.write_config()?;
    let log = container.directory.join("log").to_string_lossy().into_owned();
    let bundle = container.bundle.to_string_lossy().into_owned();
    let words = ["--debug", "--log", &log, "--log-format", "json", "run", "--bundle", &bundle, &container.id];
    container.runtime(words)?.output()?.ok();
    let lines = fs::read_to_string(&log)?;
    assert!(lines.lines().count() > 0, "it says something");
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line)?;
        assert_eq!(record["level"], "debug", "{line}");
        assert!(record["msg"].is_string() && record["time"].is_string(), "{line}");
    }
    Ok(())
}

fn options_with_one_dash(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.write_config()?;
    let bundle = container.bundle.to_string_lossy().into_owned();
    container.runtime(["run", "-detach", "-bundle", &bundle, "-no-subreaper", &container.id])?.output()?.ok();
    container.runtime(["delete", "-force", &container.id])?.output()?.ok();
    container.nothing_left()
}

/// As in Go: people write so in the runtimeArgs of engines.
fn flags_may_say_true_or_false(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.write_config()?;
    let bundle = container.bundle.to_string_lossy().into_owned();
    let words = ["--debug=false", "run", "--detach=true", "--keep=1", "--bundle", &bundle, &container.id];
    container.runtime(words)?.output()?.ok();
    assert_eq!(container.status()?, "running");
    container.exec(&["--tty=false"], &["/bin/echo", "--tty=false"])?.ok().prints("--tty=false");
    container.exec(&["--detach=perhaps"], &["/bin/true"])?.exits(1).says(&["perhaps"]);
    container.runtime(["list", "--quiet=t"])?.output()?.ok().prints(&container.id);
    container.runtime(["delete", "--force=false", &container.id])?.output()?.exits(1).says(&["not stopped"]);
    container.runtime(["delete", "--force=true", &container.id])?.output()?.ok();
    container.nothing_left()
}

fn commas_separate_nothing(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let flags = ["--env", "A=1,2,B=3", "--env", "C=x y"];
    container.exec(&flags, &["/bin/sh", "-c", "echo $A-$B-$C"])?.ok().prints("1,2,B=3--x y");
    Ok(())
}

fn no_subreaper_changes_nothing(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("exit 3");
    container.run_with(&["--no-subreaper"])?.output()?.exits(3);
    container.nothing_left()
}

fn no_pivot(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::write(container.rootfs().join("mark"), "the container's root\n")?;
    container.config.args(&["/bin/cat", "/mark"]);
    container.run_with(&["--no-pivot"])?.output()?.ok().prints("the container's root");
    container.config.args(&["/bin/sleep", "1000"]);
    container.run_with(&["--no-pivot", "--detach"])?.output()?.ok();
    container.exec(&[], &["/bin/cat", "/../../mark"])?.ok().prints("the container's root");
    Ok(())
}

fn spec_is_never_overwritten(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let file = container.bundle.join("config.json");
    fs::write(&file, "mine")?;
    let spec = container.runtime(["spec", "--bundle"])?.arg(&container.bundle);
    spec.output()?.exits(1).says(&["File config.json exists. Remove it first"]);
    assert_eq!(fs::read_to_string(file)?, "mine");
    Ok(())
}

fn signals_of_any_case(lab: &Lab) -> Outcome {
    for signal in ["hup", "SIGHUP", "Hup", "sighup", "1"] {
        let mut container = lab.container()?;
        container.config.sh("trap 'echo hung up; exit 0' HUP; echo ready; while :; do sleep 0.01; done");
        let run = container.run_with(&[])?.spawn()?;
        husk_conformance::eventually("the container is ready", || Ok(run.stdout()?.contains("ready")))?;
        container.kill(signal)?.ok();
        assert!(run.wait()?.ok().stdout.contains("hung up"), "{signal}");
    }
    Ok(())
}

fn variables_of_runcs_own_change_nothing(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("env | grep -c LIBCONTAINER");
    let run = container.run_with(&[])?.env("_LIBCONTAINER_INITPIPE", "x").env("_LIBCONTAINER_LOGPIPE", "9");
    run.output()?.exits(1).prints("0");
    Ok(())
}

fn labels_of_an_exec_where_there_are_none(lab: &Lab) -> Outcome {
    if fs::metadata("/sys/fs/selinux/enforce").is_ok() {
        return unable("this machine has SELinux");
    }
    let mut container = lab.container()?;
    container.up()?;
    let label = ["--process-label", "system_u:system_r:nowhere_t:s0"];
    container.exec(&label, &["/bin/true"])?.exits(255).says(&["selinux"]);
    if fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|enabled| enabled.starts_with(b"Y")) {
        return Ok(());
    }
    container.exec(&["--apparmor", "no-such-profile"], &["/bin/true"])?.exits(255).says(&["apparmor"]);
    Ok(())
}

fn update_flags_for_the_processor(lab: &Lab) -> Outcome {
    let cpu = json!({"quota": 20_000, "period": 100_000});
    let container = crate::cgroups::up_with(lab, "cpu", cpu)?;
    let burst = crate::cgroups::file(&container, "cpu", "cpu.cfs_burst_us", "cpu.max.burst")?;
    container.runtime(["update", "--cpu-burst", "7000", &container.id])?.output()?.ok();
    assert_eq!(fs::read_to_string(burst)?.trim(), "7000");
    let idle = crate::cgroups::file(&container, "cpu", "cpu.idle", "cpu.idle")?;
    container.runtime(["update", "--cpu-idle", "1", &container.id])?.output()?.ok();
    assert_eq!(fs::read_to_string(idle)?.trim(), "1");
    Ok(())
}

/// With units as Docker writes them.
fn update_flags_for_memory(lab: &Lab) -> Outcome {
    let container = crate::cgroups::up_with(lab, "memory", json!({"limit": 64 << 20}))?;
    let args = ["update", "--memory", "48m", "--memory-reservation", "24M", &container.id];
    container.runtime(args)?.output()?.ok();
    let read = |v1: &str, v2: &str| crate::cgroups::read(&container, "memory", v1, v2);
    assert_eq!(read("memory.limit_in_bytes", "memory.max")?, (48 << 20).to_string());
    assert_eq!(read("memory.soft_limit_in_bytes", "memory.low")?, (24 << 20).to_string());
    Ok(())
}

fn limits_that_kernels_no_longer_have(lab: &Lab) -> Outcome {
    let container = crate::cgroups::up_with(lab, "memory", json!({"limit": 64 << 20}))?;
    let finished = container.runtime(["update", "--kernel-memory", "32m", &container.id])?.output()?;
    finished.exits(1).says(&["/memory/kernel", "no kernel memory limit"]);
    Ok(())
}

fn rdt_flags_without_rdt(lab: &Lab) -> Outcome {
    if fs::metadata("/sys/fs/resctrl/schemata").is_ok() {
        return unable("this machine has resctrl");
    }
    let mut container = lab.container()?;
    container.up()?;
    // systemd sets one of its own.
    let limit = || crate::cgroups::read(&container, "pids", "pids.max", "pids.max");
    let before = limit()?;
    for flag in ["--l3-cache-schema=L3:0=f", "--mem-bw-schema=MB:0=50"] {
        let update = container.runtime(["update", flag, "--pids-limit", "77", &container.id])?.output()?;
        update.exits(1).says(&["schema", "not enabled"]);
    }
    assert_eq!(limit()?, before, "nothing else is taken either");
    Ok(())
}

fn checkpoint_is_refused(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    for command in ["checkpoint", "restore"] {
        container.runtime([command, &container.id])?.output()?.exits(1).says(&[command, "not supported"]);
    }
    assert_eq!(container.status()?, "running");
    Ok(())
}
