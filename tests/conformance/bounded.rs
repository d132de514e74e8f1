//! Nothing waits for ever: whoever keeps the runtime waiting is named, and what hangs can be deleted.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case, eventually};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::socket::{Backlog, listen};
use nix::sys::wait::{WaitPidFlag, waitpid};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(listener_that_never_accepts),
        case!(config_that_is_a_fifo, lacks "runc": "waits for ever"),
        case!(config_without_end),
        case!(step_that_hangs_is_named, lacks "runc": "has no limit for a step"),
        case!(hung_hook_of_the_runtime_is_explained, lacks "runc": "knows no step"),
        case!(hung_start_can_be_deleted, lacks "runc": "start does not end"),
        case!(gate_that_nobody_passes_is_named, lacks "runc": "has no limit for a step"),
        case!(init_that_does_not_die),
        case!(systemd_that_never_answers, lacks "runc": "waits for ever"),
    ]
}

/// A queue of one connection, and that one is taken: connect(2) waits.
fn listener_that_never_accepts(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let path = container.directory.join("console.sock");
    let listener = UnixListener::bind(&path)?;
    listen(&listener, Backlog::new(0)?)?;
    let _first = std::os::unix::net::UnixStream::connect(&path)?;
    container.config.put("/process/terminal", json!(true)).args(&["/bin/true"]);
    let since = Instant::now();
    let socket = path.to_string_lossy().into_owned();
    let finished = container.create_with(&["--console-socket", &socket])?.output()?.exits(1);
    finished.says(&["console"]);
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
    container.nothing_left()
}

fn config_that_is_a_fifo(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    nix::unistd::mkfifo(&container.bundle.join("config.json"), nix::sys::stat::Mode::S_IRUSR)?;
    let create = container.runtime(["create", "--bundle"])?.arg(&container.bundle).arg(&container.id);
    create.output()?.exits(1).says(&["config.json", "not a regular file"]);
    container.nothing_left()
}

fn config_without_end(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let config = std::fs::File::create(container.bundle.join("config.json"))?;
    config.set_len(1 << 40)?;
    let create = container.runtime(["create", "--bundle"])?.arg(&container.bundle).arg(&container.id);
    let refused = create.output()?.exits(1);
    assert!(!refused.stderr.is_empty(), "{refused}");
    container.nothing_left()
}

/// A process that is stopped stands still as one does on a dead disk.
fn step_that_hangs_is_named(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let stop = "kill -STOP $(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p')";
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", stop], "env": ["PATH=/bin:/usr/bin"]});
    container.config.put("/hooks/createRuntime", json!([hook])).args(&["/bin/true"]);
    container.write_config()?;
    let create = container.runtime(["--step-timeout", "1s", "create", "--bundle"])?;
    let finished = create.arg(&container.bundle).arg(&container.id).output()?.exits(1);
    finished.says(&["step wait-for-hooks did not end in time", "--step-timeout"]);
    container.nothing_left()
}

fn hung_hook_of_the_runtime_is_explained(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let hook = json!({"path": "/bin/sleep", "args": ["sleep", "1000"],
        "env": [format!("ID={}", container.id)]});
    container.config.put("/hooks/createRuntime", json!([hook])).args(&["/bin/true"]);
    let creating = container.create_with(&[])?.spawn()?;
    eventually("the hook's step", || {
        let state = container.verb("state")?;
        Ok(state.code() == 0 && state.stdout.contains("\"step\": \"runtime-hook\""))
    })?;
    // Its init can be ended, but the hook has all the time that its config gives it.
    let refused = container.force_delete()?.exits(1).says(&["being changed by process"]);
    assert!(refused.stderr.contains(&format!("process {}", creating.pid())), "{refused}");
    creating.signal(Signal::SIGKILL)?;
    creating.wait()?;
    container.force_delete()?.ok();
    for pid in husk_conformance::traces::processes(&container.id) {
        nix::sys::signal::kill(pid, Signal::SIGKILL)?;
    }
    container.nothing_left()
}

fn hung_start_can_be_deleted(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let hook = json!({"path": "/bin/sleep", "args": ["sleep", "1000"]});
    container.config.put("/hooks/startContainer", json!([hook])).args(&["/bin/true"]);
    container.create()?.ok();
    let starting = container.runtime(["start", &container.id])?.spawn()?;
    eventually("the hook's step", || {
        let state = container.state()?;
        Ok(state["step"] == "start-container-hook" && state["stepItem"] == 0)
    })?;
    container.force_delete()?.ok();
    starting.wait()?.exits(1);
    container.nothing_left()
}

/// An init that is stopped never comes through the gate that `start` opens.
fn gate_that_nobody_passes_is_named(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    container.create()?.ok();
    nix::sys::signal::kill(container.pid()?, Signal::SIGSTOP)?;
    let start = container.runtime(["--step-timeout", "1s", "start", &container.id])?;
    start.output()?.exits(1).says(&["step start-gate did not end in time", "--step-timeout"]);
    assert_eq!(container.status()?, "created");
    container.force_delete()?.ok();
    container.nothing_left()
}

/// A process that is held at its very end (PTRACE_EVENT_EXIT) dies as late as one whose disk has gone.
fn init_that_does_not_die(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let init = container.pid()?;
    ptrace::seize(init, ptrace::Options::PTRACE_O_TRACEEXIT)?;
    container.force_delete()?.exits(1).says(&["still running"]);
    waitpid(init, Some(WaitPidFlag::__WALL))?;
    ptrace::cont(init, None)?;
    container.force_delete()?.ok();
    container.nothing_left()
}

/// In a mount namespace of its own, where /run is a directory with such a systemd, and cgroup v2 is alone.
fn systemd_that_never_answers(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_itself();
    let run = container.directory.join("run");
    std::fs::create_dir_all(run.join("systemd/system"))?;
    let _silent = UnixListener::bind(run.join("systemd/private"))?;
    container
        .config
        .args(&["/bin/true"])
        .put("/linux/cgroupsPath", json!(format!("system.slice:x:{}", container.id)));
    container.globals = vec!["--systemd-cgroup".to_owned()];
    let there = "mount -t cgroup2 none /sys/fs/cgroup && mount --bind \"$0\" /run && exec \"$@\"";
    let run = run.to_string_lossy().into_owned();
    let create = container
        .create_with(&[])?
        .wrapped("/usr/bin/unshare", &["--mount", "/bin/sh", "-c", there, &run])?;
    // Its patience ends after 30 seconds.
    let finished = create.within(Duration::from_secs(90)).output()?;
    finished.exits(1).says(&["systemd did not answer in time"]);
    container.nothing_left()
}
