//! System calls that a profile leaves to an agent (SCMP_ACT_NOTIFY): who is asked, with which words, and what then happens.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::sync::mpsc::channel;
use std::time::Duration;

use husk_conformance::agent::{Agent, Answer, Asked};
use husk_conformance::suite::Case;
use husk_conformance::user::{USER, User};
use husk_conformance::{Container, Lab, Outcome, Stop, case, eventually};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(a_call_is_answered),
        case!(the_agent_gets_the_state),
        case!(an_executed_process_has_its_own_listener),
        case!(an_error_is_answered),
        case!(calls_of_the_runtime_itself),
        case!(calls_that_send),
        case!(a_process_without_privileges),
        case!(the_listener_does_not_get_inside),
        case!(nobody_answers_any_more),
        case!(nobody_listens),
        case!(nobody_listens_to_an_exec),
        case!(no_agent_is_named),
        case!(an_agent_that_is_not_needed),
        case!(calls_that_cannot_be_notified),
        case!(only_a_fatal_signal_interrupts, lacks "runc 1.1": "does not know the flag", "runc 1.3": "does not know the flag"),
        case!(a_start_hook_asks_too),
        case!(an_ordinary_user_has_an_agent),
        case!(nobody_looks_into_a_waiting_process, lacks "runc": "lets itself be looked into until the start"),
        case!(an_agent_named_by_annotation, lacks "runc": "crun's annotation"),
        case!(an_agent_named_by_the_environment, lacks "runc": "crun's variable"),
    ]
}

/// Leaves these calls to the agent, both with no_new_privs and without.
fn notify(container: &mut Container<'_>, agent: &Agent, names: &[&str]) {
    container.config.writable().put(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": agent.path,
            "listenerMetadata": "some words",
            "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}]
        }),
    );
}

const BOTH: [bool; 2] = [false, true];

fn no_new_privileges(container: &mut Container<'_>, yes: bool) {
    container.config.put("/process/noNewPrivileges", json!(yes));
}

/// Makes another directory than the one that is asked for.
fn make_another(asked: &Asked) -> Answer {
    let path = asked.text(0).unwrap_or_default();
    match fs::create_dir(format!("/proc/{}/root{path}-other", asked.pid)) {
        Ok(()) => Answer::Value(0),
        Err(error) => Answer::Errno(error.raw_os_error().unwrap_or(Errno::ENOENT as i32)),
    }
}

fn a_call_is_answered(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::listen(&container.directory, make_another)?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        container.run_sh("mkdir /new && ls -d /new*")?.ok().prints("/new-other");
        assert_eq!(agent.names(), ["mkdir"]);
        container.nothing_left()?;
    }
    Ok(())
}

fn the_agent_gets_the_state(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::permitting(&container.directory)?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        container.config.put("/annotations", json!({"some": "thing"})).sh("mkdir /new");
        container.create()?.ok();
        // At the creation, so that whoever starts it later need not know of agents.
        let state = agent.state()?;
        let pid = container.pid()?.as_raw();
        assert_eq!((&state["fds"], &state["metadata"]), (&json!(["seccompFd"]), &json!("some words")));
        assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
        assert_eq!(state["pid"], pid);
        let inner = &state["state"];
        assert_eq!((&inner["id"], &inner["pid"]), (&json!(container.id), &json!(pid)), "{state}");
        assert_eq!((&inner["status"], &inner["bundle"]), (&json!("creating"), &json!(container.bundle)));
        assert_eq!(inner["annotations"]["some"], "thing");
        assert!(agent.has_no_more());
        container.start()?.ok();
        assert_eq!(agent.next()?.name, "mkdir");
        container.becomes("stopped")?;
        assert!(container.has("/new"));
    }
    Ok(())
}

/// The runtime had to look into it for the listener. It has files of the host open, and others may have come meanwhile.
fn nobody_looks_into_a_waiting_process(lab: &Lab) -> Outcome {
    let mut container = lab.container_of(&User::new()?)?;
    let agent = Agent::permitting(&container.directory)?;
    chown(&agent.path, Some(USER), Some(USER))?;
    notify(&mut container, &agent, &["mkdir"]);
    container.config.args(&["/bin/true"]);
    container.create()?.ok();
    agent.state()?;
    let owner = || Ok::<_, Stop>(fs::metadata(format!("/proc/{}/environ", container.pid()?))?.uid());
    eventually("the process belongs to the host's root again", || Ok(owner()? == 0))?;
    container.force_delete()?.ok();
    container.nothing_left()
}

/// Somebody without privileges, whose container's root is nobody outside.
fn an_ordinary_user_has_an_agent(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container_of(&User::new()?)?;
        let agent = Agent::listen(&container.directory, make_another)?;
        chown(&agent.path, Some(USER), Some(USER))?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        container.config.sh("mkdir /new && ls -d /new*; exec sleep 1000");
        let created = container.create()?.ok();
        container.start()?.ok();
        eventually("what the agent made", || Ok(created.stdout_now()? == "/new-other\n"))?;
        // The kernel lets nobody without privileges take anything out of a process that joins others.
        container.exec_sh("true")?.exits(255).says(&["pidfd_getfd", "operation not permitted"]);
        assert_eq!(agent.names(), ["mkdir"]);
        container.force_delete()?.ok();
        container.nothing_left()?;
    }
    Ok(())
}

fn an_executed_process_has_its_own_listener(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::listen(&container.directory, make_another)?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        container.up()?;
        agent.state()?;
        container.exec(&[], &["/bin/mkdir", "/new"])?.ok();
        assert!(container.has("/new-other") && !container.has("/new"));
        let state = agent.state()?;
        assert_eq!(state["state"]["status"], "running");
        assert_eq!(state["state"]["pid"], container.pid()?.as_raw());
        assert_eq!(state["pid"], agent.next()?.pid);
        assert_ne!(state["pid"], state["state"]["pid"]);
    }
    Ok(())
}

fn an_error_is_answered(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let agent = Agent::listen(&container.directory, |_| Answer::Errno(Errno::ENOMEDIUM as i32))?;
    notify(&mut container, &agent, &["chmod", "fchmod", "fchmodat"]);
    container.run_sh("touch /file && chmod 777 /file")?.exits(1).says(&["No medium found"]);
    assert_eq!(fs::metadata(container.rootfs().join("file"))?.mode() & 0o777, 0o644);
    Ok(())
}

/// Calls that the runtime makes itself under the filter, or could.
fn calls_of_the_runtime_itself(lab: &Lab) -> Outcome {
    let names =
        ["execve", "openat", "openat2", "read", "close", "fcntl", "prctl", "setresuid", "poll", "clone"];
    permit(lab, &names, "execve")
}

/// Among them those by which others send the listener itself.
fn calls_that_send(lab: &Lab) -> Outcome {
    permit(lab, &["sendmsg", "sendto", "writev", "recvmsg", "recvfrom", "execve"], "execve")
}

fn permit(lab: &Lab, names: &[&str], seen: &str) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::permitting(&container.directory)?;
        notify(&mut container, &agent, names);
        no_new_privileges(&mut container, yes);
        container.run_sh("echo fine")?.ok().prints("fine");
        assert!(agent.names().iter().any(|name| name == seen));
        container.nothing_left()?;
        container.up()?;
        container.exec(&[], &["/bin/echo", "good"])?.ok().prints("good");
    }
    Ok(())
}

fn a_process_without_privileges(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::listen(&container.directory, |_| Answer::Value(0))?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        container.config.user_namespace(100_000).put("/process/user", json!({"uid": 1, "gid": 1}));
        container.run_sh("mkdir /new && id -u")?.ok().prints("1");
        assert_eq!(agent.names(), ["mkdir"]);
    }
    Ok(())
}

fn the_listener_does_not_get_inside(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::permitting(&container.directory)?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        let list = ["/bin/ls", "/proc/self/fd"];
        container.config.args(&list);
        // The last is that of the listing itself.
        container.run()?.ok().prints("0\n1\n2\n3");
        container.up()?;
        container.exec(&[], &list)?.ok().prints("0\n1\n2\n3");
    }
    Ok(())
}

/// Without an agent the call does not exist, at any time between the creation and the call.
fn nobody_answers_any_more(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::permitting(&container.directory)?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        container.config.sh("mkdir /new; echo $?");
        let created = container.create()?.ok();
        agent.state()?;
        agent.stop()?;
        container.start()?.ok();
        container.becomes("stopped")?;
        assert_eq!(created.stdout_now()?.trim(), "1");
        assert!(!container.has("/new"));
    }
    Ok(())
}

fn nobody_listens(lab: &Lab) -> Outcome {
    for path in ["/no/such/agent.sock", "@husk-conformance-no-such-agent"] {
        let mut container = lab.container()?;
        let agent = Agent::permitting(&container.directory)?;
        notify(&mut container, &agent, &["mkdir"]);
        container.config.put("/linux/seccomp/listenerPath", json!(path));
        container.create()?.exits(1).says(&["failed to connect with seccomp agent"]);
        container.nothing_left()?;
    }
    Ok(())
}

fn nobody_listens_to_an_exec(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let agent = Agent::permitting(&container.directory)?;
    notify(&mut container, &agent, &["mkdir"]);
    container.up()?;
    fs::remove_file(&agent.path)?;
    container.exec(&[], &["/bin/true"])?.exits(255).says(&["failed to connect with seccomp agent"]);
    Ok(())
}

fn no_agent_is_named(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let agent = Agent::permitting(&container.directory)?;
    notify(&mut container, &agent, &["mkdir"]);
    container.config.put("/linux/seccomp/listenerPath", json!(""));
    container.create()?.exits(1).says(&["listenerPath is not set"]);
    container.nothing_left()
}

fn an_agent_that_is_not_needed(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let profile =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/such", "listenerMetadata": "x"});
    container.config.put("/linux/seccomp", profile);
    container.run_sh("echo fine")?.ok().prints("fine");
    Ok(())
}

fn calls_that_cannot_be_notified(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let agent = Agent::permitting(&container.directory)?;
    notify(&mut container, &agent, &["mkdir", "write"]);
    container.create()?.exits(1).says(&["SCMP_ACT_NOTIFY cannot be used for the write syscall"]);
    container.nothing_left()?;
    notify(&mut container, &agent, &["mkdir"]);
    container.config.put("/linux/seccomp/defaultAction", json!("SCMP_ACT_NOTIFY"));
    container.create()?.exits(1).says(&["SCMP_ACT_NOTIFY cannot be used as default action"]);
    container.nothing_left()
}

/// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV. A signal with a handler arrives while the agent has the call: with the flag the
/// wait goes on, without it it ends.
fn only_a_fatal_signal_interrupts(lab: &Lab) -> Outcome {
    for (flags, goes_on) in [(json!([]), false), (json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), true)] {
        let mut container = lab.container()?;
        let (tell, told) = channel();
        let agent = Agent::listen(&container.directory, move |asked| {
            // The runtime may enter directories of its own.
            if asked.text(0).is_ok_and(|path| path == "/dev/shm") {
                let _ = kill(Pid::from_raw(asked.pid.cast_signed()), Signal::SIGUSR1);
                std::thread::sleep(Duration::from_millis(100));
                let _ = tell.send(asked.still_waits());
            }
            Answer::Continue
        })?;
        notify(&mut container, &agent, &["chdir"]);
        container.config.put("/linux/seccomp/flags", flags);
        container.run_sh("trap 'echo caught' USR1; cd /dev/shm; true")?.ok().prints("caught");
        assert_eq!(told.recv_timeout(Duration::from_secs(10))?, goes_on);
    }
    Ok(())
}

/// A startContainer hook runs under the filter, and with no fd of the runtime.
fn a_start_hook_asks_too(lab: &Lab) -> Outcome {
    for yes in BOTH {
        let mut container = lab.container()?;
        let agent = Agent::listen(&container.directory, make_another)?;
        notify(&mut container, &agent, &["mkdir"]);
        no_new_privileges(&mut container, yes);
        let script = "mkdir /hook; exec ls /proc/self/fd > /fds";
        container
            .config
            .put("/hooks/startContainer", json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]));
        container.run_sh("true")?.ok();
        assert!(container.has("/hook-other") && !container.has("/hook"));
        assert_eq!(fs::read_to_string(container.rootfs().join("fds"))?, "0\n1\n2\n3\n");
    }
    Ok(())
}

fn unnamed<'lab>(lab: &'lab Lab) -> Result<(Container<'lab>, Agent), Stop> {
    let mut container = lab.container()?;
    let agent = Agent::listen(&container.directory, make_another)?;
    notify(&mut container, &agent, &["mkdir"]);
    container.config.remove("/linux/seccomp/listenerPath");
    Ok((container, agent))
}

fn an_agent_named_by_annotation(lab: &Lab) -> Outcome {
    let (mut container, agent) = unnamed(lab)?;
    container.config.put("/annotations", json!({"run.oci.seccomp.receiver": agent.path}));
    container.run_sh("mkdir /new && ls -d /new*")?.ok().prints("/new-other");
    container.config.put("/annotations", json!({"run.oci.seccomp.receiver": "agent.sock"}));
    container.create()?.exits(1).says(&["absolute", "/annotations/run.oci.seccomp.receiver"]);
    container.nothing_left()
}

fn an_agent_named_by_the_environment(lab: &Lab) -> Outcome {
    let (mut container, agent) = unnamed(lab)?;
    let variable = agent.path.to_string_lossy();
    container.config.sh("mkdir /new; exec sleep 1000");
    container.create_with(&[])?.env("RUN_OCI_SECCOMP_RECEIVER", &variable).output()?.ok();
    container.start()?.ok();
    eventually("what the agent makes", || Ok(container.has("/new-other")))?;
    // The container's agent is that of its other processes, too.
    container.exec(&[], &["/bin/mkdir", "/second"])?.ok();
    assert!(container.has("/second-other"));
    let states: Vec<Value> = vec![agent.state()?, agent.state()?];
    assert_ne!(states[0]["pid"], states[1]["pid"]);
    Ok(())
}
