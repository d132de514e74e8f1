//! `--pidfd-socket`: a handle to the process that cannot come to mean another one.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use husk_conformance::descriptors::DescriptorSocket;
use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, Stop, case};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(create_sends_the_init, lacks "runc 1.1": "has no --pidfd-socket"),
        case!(run_sends_the_init, lacks "runc 1.1": "has no --pidfd-socket"),
        case!(an_annotation_names_a_socket, lacks "runc": "crun's annotation"),
        case!(exec_sends_the_process, lacks "runc 1.1": "has no --pidfd-socket"),
        case!(nobody_listens, lacks "runc 1.1": "has no --pidfd-socket", "runc 1.3": "leaves the state of what it could not create"),
        case!(nobody_listens_to_an_exec, lacks "runc 1.1": "has no --pidfd-socket"),
    ]
}

/// The id of the process behind a pidfd, as proc_pid_fdinfo(5) shows it; -1 when it has been reaped.
fn pid_of(pidfd: &OwnedFd) -> Result<i32, Stop> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = pid.ok_or_else(|| Stop::Failed(format!("no pidfd: {info}")))?;
    Ok(pid.trim().parse()?)
}

/// A pidfd is readable once its process has ended (pidfd_open(2)).
fn has_ended(pidfd: &OwnedFd, within_ms: u16) -> Result<bool, Stop> {
    Ok(poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(within_ms))? == 1)
}

fn create_sends_the_init(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]);
    let socket = DescriptorSocket::listen(&container.directory, "pidfd.sock")?;
    container.create_with(&["--pidfd-socket", &socket.path.to_string_lossy()])?.output()?.ok();
    let (pidfd, word) = socket.receive()?;
    assert_eq!((pid_of(&pidfd)?, word.as_str()), (container.pid()?.as_raw(), "standard"));
    container.start()?.ok();
    assert!(!has_ended(&pidfd, 0)?);
    container.kill("KILL")?.ok();
    assert!(has_ended(&pidfd, 10_000)?);
    Ok(())
}

fn run_sends_the_init(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    // One of them is the listing's own.
    container.config.sh("ls /proc/self/fd | wc -l; exec sleep 1000");
    let socket = DescriptorSocket::listen(&container.directory, "pidfd.sock")?;
    let flags = ["--detach", "--pidfd-socket", &socket.path.to_string_lossy()];
    let run = container.run_with(&flags)?.output()?.ok();
    let (pidfd, word) = socket.receive()?;
    assert_eq!((pid_of(&pidfd)?, word.as_str()), (container.pid()?.as_raw(), "standard"));
    husk_conformance::eventually("the container's own descriptors", || Ok(run.stdout_now()?.trim() == "4"))
}

/// As crun has it, beside the flag.
fn an_annotation_names_a_socket(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let sockets =
        ["annotated.sock", "flag.sock"].map(|name| DescriptorSocket::listen(&container.directory, name));
    let [annotated, flag] = sockets;
    let (annotated, flag) = (annotated?, flag?);
    container.config.args(&["/bin/sleep", "1000"]);
    container.config.put("/annotations/run.oci.pidfd_receiver", json!(annotated.path));
    container.create_with(&["--pidfd-socket", &flag.path.to_string_lossy()])?.output()?.ok();
    for socket in [annotated, flag] {
        assert_eq!(pid_of(&socket.receive()?.0)?, container.pid()?.as_raw());
    }
    container.force_delete()?.ok();
    container.config.put("/annotations/run.oci.pidfd_receiver", json!("relative"));
    container.create()?.exits(1).says(&["/annotations/run.oci.pidfd_receiver", "absolute"]);
    container.nothing_left()
}

fn exec_sends_the_process(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let socket = DescriptorSocket::listen(&container.directory, "pidfd.sock")?;
    let pid_file = container.directory.join("pid");
    let (path, pid_path) = (socket.path.to_string_lossy(), pid_file.to_string_lossy());
    let flags = ["--detach", "--pidfd-socket", &path, "--pid-file", &pid_path];
    container.exec(&flags, &["/bin/sleep", "1000"])?.ok();
    let (pidfd, word) = socket.receive()?;
    assert_eq!((pid_of(&pidfd)?.to_string(), word.as_str()), (fs::read_to_string(&pid_file)?, "setns"));
    assert!(!has_ended(&pidfd, 0)?);
    container.kill("KILL")?.ok();
    assert!(has_ended(&pidfd, 10_000)?);
    Ok(())
}

fn nobody_listens(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let path = container.directory.join("missing.sock");
    let create = container.create_with(&["--pidfd-socket", &path.to_string_lossy()])?;
    create.output()?.exits(1).says(&["missing.sock", "no such file or directory"]);
    container.nothing_left()
}

fn nobody_listens_to_an_exec(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let path = container.directory.join("missing.sock");
    let flags = ["--pidfd-socket", &path.to_string_lossy()];
    container.exec(&flags, &["/bin/true"])?.exits(255).says(&["missing.sock", "no such file or directory"]);
    Ok(())
}
