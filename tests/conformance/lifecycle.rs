//! Create, start, state, kill, delete, run: what follows what, what is refused, and with which words and status.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case, eventually, traces};
use nix::sys::signal::Signal;
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(create_waits_for_start),
        case!(bundle_is_the_current_directory),
        case!(options_may_follow_the_id),
        case!(state_follows_the_container),
        case!(state_needs_the_same_root),
        case!(run_gives_the_exit_status),
        case!(run_gives_the_signal),
        case!(run_forwards_signals),
        case!(run_removes_the_container),
        case!(run_keep_keeps_the_container),
        case!(run_detached_returns),
        case!(start_twice),
        case!(start_after_the_end),
        case!(kill_takes_names_and_numbers),
        case!(kill_sends_term_by_default),
        case!(kill_refuses_unknown_signals),
        case!(kill_of_a_stopped_container),
        case!(kill_of_a_created_container),
        case!(a_created_container_can_be_asked_to_end),
        case!(init_dies_before_start),
        case!(delete_of_a_running_container),
        case!(delete_of_a_created_container),
        case!(delete_force_of_a_running_container),
        case!(delete_force_takes_descendants_along),
        case!(kill_takes_those_along_that_outlive_init, lacks "runc 1.1": "says that the container is not running", "runc 1.3": "is content when nobody is left"),
        case!(unknown_container),
        case!(id_is_taken),
        case!(id_is_invalid),
        case!(pid_file_is_complete),
        case!(pid_file_replaces_atomically),
        case!(pid_file_is_absent_after_a_failure),
        case!(many_at_once),
    ]
}

fn create_waits_for_start(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().sh("echo started; echo x > /ran");
    let created = container.create()?.ok().prints("");
    assert_eq!(container.status()?, "created");
    assert!(!container.has("/ran"), "the program ran before start");
    container.start()?.ok().prints("");
    container.becomes("stopped")?;
    assert!(container.has("/ran"), "the program did not run");
    assert_eq!(created.stdout_now()?, "started\n", "stdout of create is that of the container");
    container.delete()?.ok().prints("");
    container.nothing_left()
}

fn bundle_is_the_current_directory(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo here");
    container.write_config()?;
    container.runtime(["run", &container.id])?.current_dir(&container.bundle).output()?.ok().prints("here");
    container.nothing_left()
}

fn options_may_follow_the_id(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo here");
    container.write_config()?;
    container
        .runtime(["run", &container.id, "--bundle"])?
        .arg(&container.bundle)
        .output()?
        .ok()
        .prints("here");
    container.nothing_left()
}

fn state_follows_the_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("read line");
    container.create()?.ok();
    let created = container.state()?;
    assert_eq!(created["status"], "created");
    assert!(created["pid"].as_i64() > Some(0), "{created}");
    container.config.args(&["/bin/sleep", "1000"]);
    container.force_delete()?.ok();
    container.create()?.ok();
    container.start()?.ok();
    let running = container.state()?;
    assert_eq!(running["status"], "running");
    assert!(running["pid"].as_i64() > Some(0), "{running}");
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    assert_eq!(container.state()?["pid"], json!(0), "the pid of a stopped container");
    container.delete()?.ok();
    container.nothing_left()
}

fn state_needs_the_same_root(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let other = lab.container()?;
    other.runtime(["state", &container.id])?.output()?.exits(1).says(&["container does not exist"]);
    container.force_delete()?.ok();
    container.nothing_left()
}

fn run_gives_the_exit_status(lab: &Lab) -> Outcome {
    for code in [0, 1, 3, 126, 127, 255] {
        let mut container = lab.container()?;
        container.run_sh(&format!("echo out; echo err >&2; exit {code}"))?.exits(code).prints("out");
        container.nothing_left()?;
    }
    Ok(())
}

fn run_gives_the_signal(lab: &Lab) -> Outcome {
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let mut container = lab.container()?;
        // The first process of a pid namespace ignores signals that it has no handler for.
        container.config.without_namespace("pid").args(&["/bin/sleep", "1000"]);
        let running = container.run_with(&[])?.spawn()?;
        container.becomes("running")?;
        container.kill(signal)?.ok();
        running.wait()?.exits(code);
        container.nothing_left()?;
    }
    Ok(())
}

fn run_forwards_signals(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    let running = container.run_with(&[])?.spawn()?;
    eventually("the container's first line", || Ok(running.stdout()?.contains("ready")))?;
    running.signal(Signal::SIGTERM)?;
    running.wait()?.exits(7).prints("ready\ngot it");
    container.nothing_left()
}

fn run_removes_the_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.run_sh("exit 3")?.exits(3);
    container.verb("state")?.exits(1).says(&["container does not exist"]);
    container.nothing_left()
}

fn run_keep_keeps_the_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("exit 3");
    container.run_with(&["--keep"])?.output()?.exits(3);
    assert_eq!(container.status()?, "stopped");
    container.delete()?.ok();
    container.nothing_left()
}

fn run_detached_returns(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo out; sleep 1000");
    let finished = container.run_with(&["--detach"])?.output()?.ok();
    assert_eq!(container.status()?, "running");
    eventually("the container's output", || Ok(finished.stdout_now()? == "out\n"))?;
    container.force_delete()?.ok();
    container.nothing_left()
}

fn start_twice(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.start()?.exits(1).says(&["cannot start an already running container"]);
    assert_eq!(container.status()?, "running");
    Ok(())
}

fn start_after_the_end(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    container.create()?.ok();
    container.start()?.ok();
    container.becomes("stopped")?;
    container.start()?.exits(1).says(&["cannot start a container that has stopped"]);
    container.delete()?.ok();
    container.nothing_left()
}

fn kill_takes_names_and_numbers(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'echo usr2' USR2; echo ready; \
         while :; do sleep 0.02; done");
    let finished = container.run_with(&["--detach"])?.output()?.ok();
    eventually("ready", || Ok(finished.stdout_now()?.contains("ready")))?;
    let mut expected = String::from("ready\n");
    for (signal, word) in [
        ("1", "hup"),
        ("USR1", "usr1"),
        ("SIGUSR2", "usr2"),
        ("sighup", "hup"),
        ("usr1", "usr1"),
        ("12", "usr2"),
    ] {
        container.kill(signal)?.ok().prints("");
        expected.push_str(&format!("{word}\n"));
        eventually(&format!("{word} after kill {signal}"), || Ok(finished.stdout_now()? == expected))?;
    }
    Ok(())
}

fn kill_sends_term_by_default(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("trap 'echo term; exit 0' TERM; echo ready; while :; do sleep 0.02; done");
    let finished = container.run_with(&["--detach"])?.output()?.ok();
    eventually("ready", || Ok(finished.stdout_now()?.contains("ready")))?;
    container.verb("kill")?.ok();
    eventually("term", || Ok(finished.stdout_now()? == "ready\nterm\n"))?;
    container.becomes("stopped")
}

fn kill_refuses_unknown_signals(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.kill("NOSUCH")?.exits(1).says(&["unknown signal"]);
    assert_eq!(container.status()?, "running");
    Ok(())
}

fn kill_of_a_stopped_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.kill("9")?.ok();
    container.becomes("stopped")?;
    container.kill("9")?.exits(1).says(&["container not running"]);
    // Engines kill whole containers this way, also those that have just ended by themselves.
    container.runtime(["kill", "--all", &container.id, "9"])?.output()?.ok();
    container.delete()?.ok();
    container.nothing_left()
}

fn kill_of_a_created_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().sh("echo x > /ran");
    container.create()?.ok();
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    assert!(!container.has("/ran"));
    container.delete()?.ok();
    container.nothing_left()
}

/// Its first process is number 1 of a pid namespace, to which no signal means anything that it has not asked for.
fn a_created_container_can_be_asked_to_end(lab: &Lab) -> Outcome {
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let mut container = lab.container()?;
        container.config.writable().sh("echo x > /ran");
        container.create()?.ok();
        container.kill(signal)?.ok();
        container.becomes("stopped")?;
        container.start()?.exits(1).says(&["cannot start a container that has stopped"]);
        assert!(!container.has("/ran"), "{signal}");
        container.delete()?.ok();
        container.nothing_left()?;
    }
    Ok(())
}

fn init_dies_before_start(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    container.create()?.ok();
    nix::sys::signal::kill(container.pid()?, Signal::SIGKILL)?;
    container.becomes("stopped")?;
    container.start()?.exits(1).says(&["cannot start a container that has stopped"]);
    container.delete()?.ok();
    container.nothing_left()
}

fn delete_of_a_running_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.delete()?.exits(1).says(&["cannot delete container", "that is not stopped: running"]);
    assert_eq!(container.status()?, "running");
    Ok(())
}

fn delete_of_a_created_container(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.create()?.ok();
    assert_eq!(container.status()?, "created");
    container.delete()?.ok();
    container.nothing_left()
}

fn delete_force_of_a_running_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.force_delete()?.ok().prints("");
    container.verb("state")?.exits(1).says(&["container does not exist"]);
    container.nothing_left()
}

/// Without a pid namespace of its own the kernel does not end a container's processes with its first one.
fn delete_force_takes_descendants_along(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.without_namespace("pid").sh("sleep 1000 & sleep 1000 & echo two; wait");
    let finished = container.run_with(&["--detach"])?.output()?.ok();
    eventually("two processes", || Ok(finished.stdout_now()?.contains("two")))?;
    assert!(traces::processes(&container.id).len() >= 3);
    container.force_delete()?.ok();
    container.nothing_left()
}

/// The first process is gone, and who was executed beside it is not.
fn kill_takes_those_along_that_outlive_init(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.without_namespace("pid");
    container.up()?;
    container.exec(&["--detach"], &["/bin/sleep", "1000"])?.ok();
    let processes = traces::processes(&container.id).len();
    nix::sys::signal::kill(container.pid()?, Signal::SIGKILL)?;
    container.becomes("stopped")?;
    assert!(processes >= 2 && !traces::processes(&container.id).is_empty(), "one is left");
    container.kill("TERM")?.exits(1).says(&["container not running"]);
    container.kill("KILL")?.ok();
    eventually("nobody is left", || Ok(traces::processes(&container.id).is_empty()))?;
    container.kill("KILL")?.exits(1).says(&["container not running"]);
    container.delete()?.ok();
    container.nothing_left()
}

fn unknown_container(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        container.verb(verb)?.exits(1).says(&["container does not exist"]);
    }
    container.exec(&[], &["/bin/true"])?.exits(255).says(&["container does not exist"]);
    container.force_delete()?.ok();
    container.nothing_left()
}

fn id_is_taken(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let pid = container.pid()?;
    container.create()?.exits(1).says(&["container with given ID already exists"]);
    assert_eq!(container.pid()?, pid, "the first container goes on");
    assert_eq!(container.status()?, "running");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn id_is_invalid(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.write_config()?;
    let long = "x".repeat(2000);
    for id in [".", "..", "a/b", "/a", "a b", "ä", "a*", "a\nb", &long] {
        let finished =
            container.runtime(["create", "--bundle"])?.arg(&container.bundle).arg(id).output()?.exits(1);
        if id != long {
            finished.says(&["invalid container ID format"]);
        }
    }
    container.runtime(["create", "--bundle"])?.arg(&container.bundle).arg("").output()?.exits(1);
    container.nothing_left()
}

fn pid_file_is_complete(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let directory = container.directory.join("pids");
    fs::create_dir(&directory)?;
    let file = directory.join("pid");
    container.create_with(&["--pid-file", &file.to_string_lossy()])?.output()?.ok();
    assert_eq!(fs::read_to_string(&file)?, container.pid()?.to_string());
    assert_eq!(fs::read_dir(&directory)?.count(), 1, "the pid file is alone");
    Ok(())
}

/// Whoever reads the file meanwhile sees all of the old or all of the new one, so the old one is not written into.
fn pid_file_replaces_atomically(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let (file, old) = (container.directory.join("pid"), container.directory.join("old"));
    fs::write(&file, "old")?;
    fs::hard_link(&file, &old)?;
    container.create_with(&["--pid-file", &file.to_string_lossy()])?.output()?.ok();
    assert_eq!(fs::read_to_string(&file)?, container.pid()?.to_string());
    assert_eq!(fs::read_to_string(&old)?, "old");
    Ok(())
}

fn pid_file_is_absent_after_a_failure(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/no/such/program"]);
    let file = container.directory.join("pid");
    container
        .create_with(&["--pid-file", &file.to_string_lossy()])?
        .output()?
        .exits(1)
        .says(&["no such file"]);
    assert!(!file.exists());
    container.nothing_left()
}

fn many_at_once(lab: &Lab) -> Outcome {
    let first = lab.container()?;
    let mut others = Vec::new();
    for _ in 0..8 {
        let mut container = first.sibling()?;
        container.config.args(&["/bin/sleep", "1000"]);
        others.push(container);
    }
    let starting: Vec<_> = others
        .iter()
        .map(|container| container.run_with(&["--detach"])?.spawn())
        .collect::<Result<_, _>>()?;
    for running in starting {
        running.wait()?.ok();
    }
    let listed = first.runtime(["list", "--quiet"])?.output()?.ok();
    for container in &others {
        assert!(listed.stdout.lines().any(|id| id == container.id), "{listed}");
        container.force_delete()?.ok();
        container.nothing_left()?;
    }
    Ok(())
}
