//! Further processes in a running container: what they join, what they are given, how they end.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case, eventually};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(gives_output_and_status),
        case!(gives_the_signal),
        case!(forwards_signals),
        case!(stdin_arrives),
        case!(options_after_the_id_are_the_commands),
        case!(joins_all_namespaces),
        case!(joins_the_cgroup),
        case!(joins_a_user_namespace),
        case!(detached_with_a_pid_file),
        case!(detached_ends_with_the_container),
        case!(environment_is_the_containers),
        case!(starts_in_a_directory),
        case!(runs_as_a_user),
        case!(refuses_users_that_are_none),
        case!(refuses_users_out_of_range, lacks "runc": "takes 2^32 for 0, which is root"),
        case!(has_additional_groups),
        case!(has_the_containers_capabilities),
        case!(gets_more_capabilities),
        case!(capabilities_are_never_inheritable),
        case!(has_the_containers_privileges),
        case!(makes_inheritable_capabilities_ambient),
        case!(takes_a_process_file),
        case!(process_file_needs_no_user),
        case!(interpreter_is_missing, lacks "runc 1.1": "ends in 1"),
        case!(process_file_is_broken),
        case!(preserves_descriptors),
        case!(needs_a_running_container),
        case!(works_in_a_created_container),
        case!(a_user_enters_a_created_container),
        case!(many_at_once),
        case!(root_is_the_containers),
    ]
}

fn gives_output_and_status(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    for code in [0, 3, 127, 255] {
        let finished = container.exec_sh(&format!("echo out; echo err >&2; exit {code}"))?.exits(code);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }
    Ok(())
}

fn gives_the_signal(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.exec_sh("kill -KILL $$")?.exits(137);
    container.exec_sh("kill -TERM $$")?.exits(143);
    Ok(())
}

fn forwards_signals(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let script = "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let running = container.exec_with(&[], &["/bin/sh", "-c", script])?.spawn()?;
    eventually("the first line", || Ok(running.stdout()?.contains("ready")))?;
    running.signal(nix::sys::signal::Signal::SIGTERM)?;
    running.wait()?.exits(7).prints("ready\ngot it");
    Ok(())
}

fn stdin_arrives(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let input = container.directory.join("input");
    fs::write(&input, "one\ntwo\n")?;
    let exec = container.exec_with(&[], &["/bin/cat"])?.stdin(fs::File::open(&input)?);
    exec.output()?.ok().prints("one\ntwo");
    Ok(())
}

fn options_after_the_id_are_the_commands(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container
        .exec(&[], &["/bin/printf", "%s.", "-t", "--detach", "--", "--user", "x"])?
        .ok()
        .prints("-t.--detach.--.--user.x.");
    Ok(())
}

fn joins_all_namespaces(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.namespace("cgroup");
    container.up()?;
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        let link = fs::read_link(format!("/proc/{}/ns/{kind}", container.pid()?))?;
        let here = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        assert_ne!(link, here);
        let seen = container.exec(&[], &["/bin/readlink", &format!("/proc/self/ns/{kind}")])?.ok();
        seen.prints(&link.to_string_lossy());
    }
    Ok(())
}

fn joins_the_cgroup(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let expected = container.proc_file("cgroup")?;
    container.exec(&[], &["/bin/cat", "/proc/self/cgroup"])?.ok().prints(&expected);
    Ok(())
}

fn joins_a_user_namespace(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
    container.up()?;
    let link = fs::read_link(format!("/proc/{}/ns/user", container.pid()?))?;
    container.exec(&[], &["/bin/readlink", "/proc/self/ns/user"])?.ok().prints(&link.to_string_lossy());
    container.exec(&[], &["/bin/id", "-u"])?.ok().prints("0");
    Ok(())
}

fn detached_with_a_pid_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let file = container.directory.join("pid");
    let flags = ["--detach", "--pid-file", &file.to_string_lossy()];
    container.exec(&flags, &["/bin/sleep", "999"])?.ok();
    let pid: i32 = fs::read_to_string(&file)?.parse()?;
    let line = fs::read(format!("/proc/{pid}/cmdline"))?;
    assert_eq!(String::from_utf8_lossy(&line), "/bin/sleep\0999\0");
    Ok(())
}

fn detached_ends_with_the_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.exec(&["--detach"], &["/bin/sleep", "999"])?.ok();
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    container.delete()?.ok();
    container.nothing_left()
}

fn environment_is_the_containers(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.env("MARK=container").env("OTHER=kept");
    container.up()?;
    let exec = container.exec_with(&["--env", "MARK=exec", "--env", "NEW=a=b c"], &["/bin/env"])?;
    let finished = exec.env("LEAK", "1").output()?.ok();
    for line in ["MARK=exec", "OTHER=kept", "NEW=a=b c", "HOME=/root", "TERM=xterm"] {
        assert!(finished.stdout.lines().any(|found| found == line), "{line}: {finished}");
    }
    assert!(!finished.stdout.contains("LEAK"), "{finished}");
    Ok(())
}

fn starts_in_a_directory(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/cwd", json!("/var"));
    container.up()?;
    container.exec(&[], &["/bin/pwd"])?.ok().prints("/var");
    container.exec(&["--cwd", "/etc"], &["/bin/pwd"])?.ok().prints("/etc");
    Ok(())
}

fn runs_as_a_user(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let script = "echo $(id -u) $(id -g) $HOME";
    container.exec(&["--user", "1000"], &["/bin/sh", "-c", script])?.ok().prints("1000 0 /tmp");
    container.exec(&["-u", "1000:2000"], &["/bin/sh", "-c", script])?.ok().prints("1000 2000 /tmp");
    let status = container.exec(&["-u", "1000"], &["/bin/cat", "/proc/self/status"])?.ok();
    assert_eq!(status.value("CapEff:"), "0000000000000000");
    Ok(())
}

/// CVE-2026-30892: whatever is not exactly a number must not be read as one.
fn refuses_users_that_are_none(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    for user in ["1000abc", " 1000", "1000:", ":1000", "0x10", "1000:2000:3000"] {
        let finished = container.exec(&["--user", user], &["/bin/id"])?;
        assert_eq!((finished.code(), finished.stdout.as_str()), (255, ""), "{user:?}: {finished}");
    }
    Ok(())
}

fn refuses_users_out_of_range(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    for user in ["4294967296", "-1", "0:4294967296"] {
        let finished = container.exec(&["--user", user], &["/bin/id"])?;
        assert_eq!((finished.code(), finished.stdout.as_str()), (255, ""), "{user:?}: {finished}");
    }
    Ok(())
}

fn has_additional_groups(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let flags = ["--additional-gids", "3000", "--additional-gids", "4000"];
    let status = container.exec(&flags, &["/bin/cat", "/proc/self/status"])?.ok();
    let groups: Vec<&str> = status.value("Groups:").split_whitespace().filter(|id| *id != "0").collect();
    assert_eq!(groups, ["3000", "4000"]);
    Ok(())
}

fn has_the_containers_capabilities(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let status = container.exec(&[], &["/bin/cat", "/proc/self/status"])?.ok();
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(status.value(set), "0000000020000420", "{set}");
    }
    assert_eq!(status.value("Seccomp:"), "0");
    Ok(())
}

fn gets_more_capabilities(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let status = container.exec(&["--cap", "CAP_CHOWN"], &["/bin/cat", "/proc/self/status"])?.ok();
    assert_eq!(status.value("CapEff:"), "0000000020000421");
    Ok(())
}

/// CVE-2022-29162: an inheritable capability would let a program with file capabilities gain it as any user.
fn capabilities_are_never_inheritable(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let status = container.exec(&["--cap", "CAP_CHOWN"], &["/bin/cat", "/proc/self/status"])?.ok();
    assert_eq!(status.value("CapInh:"), "0000000000000000");
    Ok(())
}

/// What the config has made inheritable may become ambient; nothing else can.
fn makes_inheritable_capabilities_ambient(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/capabilities/inheritable", json!(["CAP_KILL"]));
    container.config.put("/process/capabilities/ambient", json!([]));
    container.up()?;
    let flags = ["--cap", "CAP_KILL", "--cap", "CAP_SYSLOG"];
    let status = container.exec(&flags, &["/bin/cat", "/proc/self/status"])?.ok();
    assert_eq!(status.value("CapAmb:"), "0000000000000020");
    Ok(())
}

fn process_file_needs_no_user(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let file = container.directory.join("process.json");
    fs::write(&file, json!({"args": ["/bin/id", "-u"], "cwd": "/"}).to_string())?;
    container.exec(&["--process", &file.to_string_lossy()], &[])?.ok().prints("0");
    Ok(())
}

/// One line, with the words from which engines conclude 127.
fn interpreter_is_missing(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let script = container.rootfs().join("script");
    fs::write(&script, "#!/no/such/interpreter\n")?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    container.up()?;
    container.exec(&[], &["/script"])?.exits(255).says(&["exec /script: no such file or directory"]);
    Ok(())
}

fn has_the_containers_privileges(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/noNewPrivileges", json!(false));
    container.up()?;
    let cat = ["/bin/cat", "/proc/self/status"];
    assert_eq!(container.exec(&[], &cat)?.ok().value("NoNewPrivs:"), "0");
    assert_eq!(container.exec(&["--no-new-privs"], &cat)?.ok().value("NoNewPrivs:"), "1");
    Ok(())
}

fn takes_a_process_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let file = container.directory.join("process.json");
    let process = json!({
        "args": ["/bin/sh", "-c", "echo $(id -u):$(id -g) $PWD $MARK; ulimit -n; exit 4"],
        "env": ["PATH=/bin", "MARK=here"],
        "cwd": "/var",
        "user": {"uid": 1000, "gid": 2000},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 77}],
    });
    fs::write(&file, process.to_string())?;
    let finished =
        container.runtime(["exec", "--process", &file.to_string_lossy(), &container.id])?.output()?;
    finished.exits(4).prints("1000:2000 /var here\n77");
    Ok(())
}

fn process_file_is_broken(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let file = container.directory.join("process.json");
    for (content, word) in [
        (r#"{"args": ["/bin/true"], "cwd": "x", "user": {"uid": 0, "gid": 0}}"#, "absolute"),
        (r#"{"args": [], "cwd": "/", "user": {"uid": 0, "gid": 0}}"#, "args"),
        (r#"{"args": ["#, ""),
    ] {
        fs::write(&file, content)?;
        let exec = container.runtime(["exec", "-p", &file.to_string_lossy(), &container.id])?;
        exec.output()?.exits(255).says(&[word]);
    }
    let exec = container.runtime(["exec", "-p", "/no/such/file", &container.id])?;
    exec.output()?.exits(255).says(&["no such file or directory"]);
    Ok(())
}

fn preserves_descriptors(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    fs::write(container.directory.join("three"), "three\n")?;
    let script = format!("exec 3<{}/three 4</dev/null; exec \"$@\"", container.directory.display());
    for (flags, seen) in [(&["--preserve-fds", "1"][..], "0\n1\n2\n3"), (&[][..], "0\n1\n2")] {
        let exec = container.exec_with(flags, &["/bin/sh", "-c", "ls /proc/$$/fd; true"])?;
        exec.wrapped("/bin/sh", &["-c", &script, "sh"])?.output()?.ok().prints(seen);
    }
    Ok(())
}

fn needs_a_running_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    container.exec(&[], &["/bin/true"])?.exits(255).says(&["cannot exec in a stopped container"]);
    container.delete()?.ok();
    container.nothing_left()
}

fn works_in_a_created_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    container.create()?.ok();
    container.exec_sh("hostname")?.ok();
    assert_eq!(container.status()?, "created");
    Ok(())
}

/// The container's first process is the runtime's own code there, and still root.
fn a_user_enters_a_created_container(lab: &Lab) -> Outcome {
    for in_user_namespace in [false, true] {
        let mut container = lab.container()?;
        if in_user_namespace {
            container.config.user_namespace(100_000).without_mount("/sys/fs/cgroup");
        }
        container.config.args(&["/bin/echo", "started"]);
        container.create()?.ok();
        let script = "id -u; id -g; pwd; grep CapEff /proc/self/status; readlink /proc/1/exe || echo closed";
        let finished =
            container.exec(&["--user", "999:999", "--cwd", "/tmp"], &["/bin/sh", "-c", script])?.ok();
        assert_eq!(finished.stdout, "999\n999\n/tmp\nCapEff:\t0000000000000000\nclosed\n", "{finished}");
        assert_eq!(container.status()?, "created");
        container.start()?.ok();
        container.becomes("stopped")?;
        container.delete()?.ok();
        container.nothing_left()?;
    }
    Ok(())
}

fn many_at_once(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let start = |number| {
        let word = format!("number {number}");
        Ok::<_, husk_conformance::Stop>((container.exec_with(&[], &["/bin/echo", &word])?.spawn()?, word))
    };
    let all: Vec<_> = (0..10).map(start).collect::<Result<_, _>>()?;
    for (running, word) in all {
        running.wait()?.ok().prints(&word);
    }
    Ok(())
}

/// What the container's processes put into their root cannot lead an exec out of it.
fn root_is_the_containers(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    std::os::unix::fs::symlink("/", container.rootfs().join("out"))?;
    container.up()?;
    let name = lab.directory.file_name().unwrap_or_default().to_string_lossy();
    let finished = container.exec(&["--cwd", "/out/tmp"], &["/bin/ls", "-a", "/out", "/out/tmp", "."])?.ok();
    assert!(!finished.stdout.contains(name.as_ref()), "{finished}");
    container.exec(&["--cwd", "/proc/self/fd/7"], &["/bin/true"])?.exits(255);
    Ok(())
}
