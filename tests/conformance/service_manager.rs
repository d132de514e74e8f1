//! What a service manager says to a runtime that it starts, and hears from it: readiness (sd_notify(3)) and sockets to
//! activate (sd_listen_fds(3)).

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Running, Stop, case, eventually};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(start_waits_for_readiness),
        case!(a_detached_run_waits_for_readiness),
        case!(a_barrier_comes_last, lacks "runc 1.1": "knows no barrier yet"),
        case!(one_that_ends_is_not_waited_for),
        case!(a_foreground_run_tells_its_own_pid, lacks "runc": "serves no terminal and no end before the container is ready"),
        case!(only_readiness_gets_out),
        case!(no_manager_listens),
        case!(names_of_sockets_arrive, lacks "runc": "does not pass LISTEN_FDNAMES on"),
    ]
}

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn listen(container: &Container<'_>) -> Result<Manager, Stop> {
        let path = container.directory.join("manager.sock");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Manager { socket, path })
    }

    fn variable(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// What comes, a line each, until there is this one. A barrier's file is closed as it comes.
    fn hears_until(&self, last: &str) -> Result<Vec<String>, Stop> {
        let (mut lines, mut message) = (Vec::new(), [0; 4096]);
        while !lines.iter().any(|line| line == last) {
            let length = self.socket.recv(&mut message)?;
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            lines.extend(text.lines().map(str::to_owned));
        }
        Ok(lines)
    }

    fn hears_nothing(&self) -> Result<bool, Stop> {
        self.socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(self.socket.recv(&mut [0; 16]).is_err())
    }
}

/// Says something as the container would.
fn say(container: &Container<'_>, message: &str) -> Outcome {
    let socket = UnixDatagram::unbound()?;
    let path = format!("/proc/{}/root/run/notify/notify.sock", container.pid()?);
    eventually("the container's socket", || Ok(socket.send_to(message.as_bytes(), &path).is_ok()))
}

/// Gives what came after the two words that have to come: the barrier, if the runtime has one.
fn ready(
    container: &Container<'_>,
    manager: &Manager,
    mut running: Running,
    main_pid: &str,
) -> Result<Option<String>, Stop> {
    assert!(manager.hears_nothing()?);
    assert!(running.is_running()?);
    manager.socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    say(container, "READY=1\n")?;
    let main_pid = format!("MAINPID={main_pid}");
    assert_eq!(manager.hears_until(&main_pid)?, ["READY=1".to_owned(), main_pid]);
    manager.socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut message = [0; 64];
    let barrier = manager.socket.recv(&mut message).ok();
    running.wait()?.ok();
    Ok(barrier.map(|length| String::from_utf8_lossy(&message[..length]).into_owned()))
}

/// Before the runtime ends, the manager has seen what it said (sd_notify_barrier(3)).
fn a_barrier_comes_last(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().args(&["/bin/sleep", "1000"]);
    let manager = Manager::listen(&container)?;
    let run = container.run_with(&["--detach"])?.env("NOTIFY_SOCKET", &manager.variable()).spawn()?;
    container.becomes("running")?;
    let last = ready(&container, &manager, run, &container.pid()?.to_string())?;
    assert_eq!(last.as_deref(), Some("BARRIER=1"));
    Ok(())
}

fn start_waits_for_readiness(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().sh("echo $NOTIFY_SOCKET; exec sleep 1000");
    let manager = Manager::listen(&container)?;
    let created = container.create_with(&[])?.env("NOTIFY_SOCKET", &manager.variable()).output()?.ok();
    let start = container.runtime(["start"])?.arg(&container.id).env("NOTIFY_SOCKET", &manager.variable());
    let start = start.spawn()?;
    container.becomes("running")?;
    ready(&container, &manager, start, &container.pid()?.to_string())?;
    assert_eq!(created.stdout_now()?.trim(), "/run/notify/notify.sock");
    container.force_delete()?.ok();
    container.nothing_left()
}

fn a_detached_run_waits_for_readiness(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().args(&["/bin/sleep", "1000"]);
    let manager = Manager::listen(&container)?;
    let run = container.run_with(&["--detach"])?.env("NOTIFY_SOCKET", &manager.variable()).spawn()?;
    container.becomes("running")?;
    ready(&container, &manager, run, &container.pid()?.to_string())?;
    container.force_delete()?.ok();
    container.nothing_left()
}

fn one_that_ends_is_not_waited_for(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().args(&["/bin/true"]);
    let manager = Manager::listen(&container)?;
    container.create_with(&[])?.env("NOTIFY_SOCKET", &manager.variable()).output()?.ok();
    let start = container.runtime(["start"])?.arg(&container.id).env("NOTIFY_SOCKET", &manager.variable());
    start.output()?.ok();
    assert!(manager.hears_nothing()?);
    container.delete()?.ok();
    container.nothing_left()
}

fn a_foreground_run_tells_its_own_pid(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().args(&["/bin/sleep", "1000"]);
    let manager = Manager::listen(&container)?;
    let run = container.run_with(&[])?.env("NOTIFY_SOCKET", &manager.variable()).spawn()?;
    container.becomes("running")?;
    say(&container, "READY=1")?;
    let pid = format!("MAINPID={}", run.pid());
    assert_eq!(manager.hears_until(&pid)?, ["READY=1".to_owned(), pid]);
    container.kill("KILL")?.ok();
    run.wait()?.exits(137);
    // And one that never is ready ends as ever.
    container.config.sh("exit 3");
    container.run_with(&[])?.env("NOTIFY_SOCKET", &manager.variable()).output()?.exits(3);
    container.nothing_left()
}

/// A container must not choose another main process, nor hand in files.
fn only_readiness_gets_out(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().args(&["/bin/sleep", "1000"]);
    let manager = Manager::listen(&container)?;
    let run = container.run_with(&["--detach"])?.env("NOTIFY_SOCKET", &manager.variable()).spawn()?;
    container.becomes("running")?;
    say(&container, "STATUS=starting\nMAINPID=1")?;
    say(&container, "FDSTORE=1")?;
    ready(&container, &manager, run, &container.pid()?.to_string())?;
    Ok(())
}

fn no_manager_listens(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.writable().args(&["/bin/true"]);
    container.create_with(&[])?.env("NOTIFY_SOCKET", "/no/such/socket").output()?.ok();
    let start = container.runtime(["start"])?.arg(&container.id).env("NOTIFY_SOCKET", "/no/such/socket");
    start.output()?.exits(1).says(&["/no/such/socket", "no such file or directory"]);
    Ok(())
}

fn names_of_sockets_arrive(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.env("LISTEN_FDNAMES=mine").sh("echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES");
    let give = "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web; exec \"$0\" \"$@\"";
    let run = container.run_with(&[])?.wrapped("/bin/sh", &["-c", give])?;
    run.output()?.ok().prints("1 1 web");
    Ok(())
}
