//! What the container's process finds around itself: arguments, environment, identity, limits, descriptors.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, Stop, case};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(arguments_arrive_unchanged),
        case!(program_is_found_in_the_containers_path),
        case!(environment_is_the_configs),
        case!(home_comes_from_passwd),
        case!(home_of_the_config_stays),
        case!(starts_in_its_directory),
        case!(directory_is_made_when_missing),
        case!(runs_as_user_and_groups),
        case!(user_is_free_of_the_runtimes_groups),
        case!(umask_is_022),
        case!(umask_is_the_configs),
        case!(rlimits_are_set),
        case!(five_capability_sets),
        case!(capabilities_of_another_user),
        case!(ambient_capabilities_of_another_user),
        case!(unknown_capability_is_only_a_warning),
        case!(new_privileges_are_possible_when_asked_for),
        case!(oom_score_is_set),
        case!(oom_score_is_inherited),
        case!(leads_its_session),
        case!(signals_are_as_after_boot),
        case!(stdin_arrives),
        case!(streams_stay_apart),
        case!(leaked_descriptors_stay_outside),
        case!(preserved_descriptors_arrive),
        case!(sockets_of_activation_arrive),
        case!(directory_is_no_way_out),
    ]
}

fn arguments_arrive_unchanged(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/printf", "[%s]\n", "a b", "", "ü", "$HOME", "two\nlines", "-x"]);
    container.run()?.ok().prints("[a b]\n[]\n[ü]\n[$HOME]\n[two\nlines]\n[-x]");
    Ok(())
}

fn program_is_found_in_the_containers_path(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::create_dir(container.rootfs().join("own"))?;
    fs::hard_link(container.rootfs().join("bin/echo"), container.rootfs().join("own/echo"))?;
    container.config.put("/process/env", json!(["PATH=/nowhere:/own"])).args(&["echo", "found"]);
    container.run()?.ok().prints("found");
    Ok(())
}

fn environment_is_the_configs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.env("MARK=a=b c").env("EMPTY=").args(&["/bin/env"]);
    let finished = container.run_with(&[])?.env("LEAK", "1").output()?.ok();
    let mut lines: Vec<&str> = finished.stdout.lines().collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["EMPTY=", "HOME=/root", "MARK=a=b c", path, "TERM=xterm"]);
    Ok(())
}

fn home_comes_from_passwd(lab: &Lab) -> Outcome {
    for (uid, home) in [(0, "/root"), (1000, "/tmp"), (4321, "/")] {
        let mut container = lab.container()?;
        container.config.put("/process/user", json!({"uid": uid, "gid": 0}));
        container.run_sh("echo $HOME")?.ok().prints(home);
    }
    Ok(())
}

fn home_of_the_config_stays(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.env("HOME=/var");
    container.run_sh("echo $HOME")?.ok().prints("/var");
    Ok(())
}

fn starts_in_its_directory(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/cwd", json!("/etc/../var"));
    container.run_sh("pwd; readlink /proc/self/cwd")?.ok().prints("/var\n/var");
    Ok(())
}

/// Images name working directories that no layer holds; engines rely on the runtime to make them.
fn directory_is_made_when_missing(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/cwd", json!("/srv/work/here"));
    container.run_sh("pwd")?.ok().prints("/srv/work/here");
    Ok(())
}

fn runs_as_user_and_groups(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let user = json!({"uid": 1000, "gid": 2000, "additionalGids": [3000, 4000]});
    container.config.put("/process/user", user);
    let finished = container.run_sh("cat /proc/self/status; id -u; id -g")?.ok();
    assert_eq!(finished.value("Uid:"), "1000\t1000\t1000\t1000");
    assert_eq!(finished.value("Gid:"), "2000\t2000\t2000\t2000");
    let mut groups: Vec<&str> = finished.value("Groups:").split_whitespace().collect();
    groups.retain(|group| *group != "2000");
    assert_eq!(groups, ["3000", "4000"]);
    Ok(())
}

fn user_is_free_of_the_runtimes_groups(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    container.config.args(&["/bin/cat", "/proc/self/status"]);
    let run = container.run_with(&[])?.wrapped("setpriv", &["--groups", "0,77,78", "--"])?;
    let finished = run.output()?.ok();
    assert!(!finished.value("Groups:").contains("77"), "{finished}");
    Ok(())
}

fn umask_is_022(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("umask");
    let run = container.run_with(&[])?;
    run.wrapped("/bin/sh", &["-c", "umask 077; exec \"$@\"", "sh"])?.output()?.ok().prints("0022");
    Ok(())
}

fn umask_is_the_configs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/user/umask", json!(0o027));
    container.run_sh("umask")?.ok().prints("0027");
    Ok(())
}

fn rlimits_are_set(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put(
        "/process/rlimits",
        json!([
            {"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 4096},
            {"type": "RLIMIT_NPROC", "soft": 300, "hard": 400},
            {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 2 << 20},
            {"type": "RLIMIT_FSIZE", "soft": 1 << 30, "hard": u64::MAX},
        ]),
    );
    let finished = container.run_sh("cat /proc/self/limits")?.ok();
    for (name, soft, hard) in [
        ("Max open files", "512", "1024"),
        ("Max core file size", "0", "4096"),
        ("Max processes", "300", "400"),
        ("Max stack size", "1048576", "2097152"),
        ("Max file size", "1073741824", "unlimited"),
    ] {
        let limits: Vec<&str> = finished.value(name).split_whitespace().take(2).collect();
        assert_eq!(limits, [soft, hard], "{name}");
    }
    Ok(())
}

/// CHOWN, KILL, NET_BIND_SERVICE and SYS_CHROOT are bits 0, 5, 10 and 18.
fn five_capability_sets(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put(
        "/process/capabilities",
        json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"],
            "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "inheritable": ["CAP_CHOWN", "CAP_KILL"],
            "effective": ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
            "ambient": ["CAP_KILL"],
        }),
    );
    let init = container.run_sh("cat /proc/self/status")?.ok();
    assert_eq!(init.value("CapBnd:"), "0000000000040421");
    assert_eq!(init.value("CapInh:"), "0000000000000021");
    assert_eq!(init.value("CapAmb:"), "0000000000000020");
    // After root's execve both sets are what it was permitted, as no new privileges may come.
    assert_eq!(init.value("CapPrm:"), "0000000000000421");
    assert_eq!(init.value("CapEff:"), "0000000000000421");
    container.nothing_left()
}

fn capabilities_of_another_user(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    let status = container.run_sh("cat /proc/self/status")?.ok();
    assert_eq!(status.value("CapEff:"), "0000000000000000", "CVE-2016-8867");
    assert_eq!(status.value("CapPrm:"), "0000000000000000");
    assert_eq!(status.value("CapBnd:"), "0000000020000420");
    Ok(())
}

fn ambient_capabilities_of_another_user(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/user", json!({"uid": 1000, "gid": 1000}));
    container.config.capabilities(&["CAP_NET_BIND_SERVICE"]);
    let status = container.run_sh("cat /proc/self/status")?.ok();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(status.value(set), "0000000000000400", "{set}");
    }
    Ok(())
}

/// The runtime specification: a value that the kernel does not know is logged, and should not be an error.
fn unknown_capability_is_only_a_warning(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.capabilities(&["CAP_KILL", "CAP_OF_THE_FUTURE"]);
    let status = container.run_sh("cat /proc/self/status")?.ok();
    assert_eq!(status.value("CapBnd:"), "0000000000000020");
    Ok(())
}

fn new_privileges_are_possible_when_asked_for(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/noNewPrivileges", json!(false));
    assert_eq!(container.run_sh("cat /proc/self/status")?.ok().value("NoNewPrivs:"), "0");
    Ok(())
}

fn oom_score_is_set(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/process/oomScoreAdj", json!(512));
    container.run_sh("cat /proc/self/oom_score_adj")?.ok().prints("512");
    Ok(())
}

fn oom_score_is_inherited(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let here = fs::read_to_string("/proc/self/oom_score_adj")?;
    container.run_sh("cat /proc/self/oom_score_adj")?.ok().prints(&here);
    Ok(())
}

fn leads_its_session(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("read -r stat < /proc/1/stat; echo $stat")?.ok();
    let fields: Vec<&str> = finished.stdout.split(' ').collect();
    assert_eq!((fields[4], fields[5]), ("1", "1"), "process group and session: {finished}");
    Ok(())
}

/// What the runtime and its callers block or ignore is none of the container's business.
fn signals_are_as_after_boot(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/cat", "/proc/self/status"]);
    let run = container.run_with(&[])?;
    let ignoring = "trap '' USR1; exec \"$@\"";
    let status = run.wrapped("/bin/sh", &["-c", ignoring, "sh"])?.output()?.ok();
    for set in ["SigBlk:", "SigIgn:", "SigPnd:", "ShdPnd:"] {
        // Signals 32 and 33 belong to the C library, which lets nobody reset them.
        let signals = u64::from_str_radix(status.value(set), 16)? & !(0b11 << 31);
        assert_eq!(signals, 0, "{set} {signals:x}");
    }
    Ok(())
}

fn stdin_arrives(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let input = container.directory.join("input");
    fs::write(&input, "one\ntwo\n")?;
    container.config.args(&["/bin/cat"]);
    container.run_with(&[])?.stdin(File::open(&input)?).output()?.ok().prints("one\ntwo");
    Ok(())
}

fn streams_stay_apart(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let finished = container.run_sh("echo out; echo err >&2")?.ok();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    Ok(())
}

/// A thread with a descriptor table of its own leaks fifty descriptors into the runtime, and into no other test.
fn leaked_descriptors_stay_outside(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("ls /proc/$$/fd; true");
    let run = container.run_with(&[])?;
    let leaking = || -> Result<_, Stop> {
        unshare(CloneFlags::CLONE_FILES)?;
        let mut leaked = Vec::new();
        for _ in 0..50 {
            let file = File::open("/")?;
            fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
            leaked.push(file);
        }
        let running = run.spawn()?;
        let seen = fs::read_dir(format!("/proc/{}/fd", running.pid()))?.count();
        assert!(seen >= 50, "the runtime itself got {seen} descriptors");
        running.wait()
    };
    let finished = std::thread::scope(|scope| scope.spawn(leaking).join());
    match finished {
        Ok(finished) => finished?.ok().prints("0\n1\n2"),
        Err(panic) => std::panic::resume_unwind(panic),
    };
    container.nothing_left()
}

/// Starts the runtime from a shell that opens descriptors 3 and 4 first.
fn with_descriptors(
    container: &husk_conformance::Container<'_>,
    flags: &[&str],
    prefix: &str,
) -> Result<husk_conformance::Finished, Stop> {
    fs::write(container.directory.join("three"), "three\n")?;
    fs::write(container.directory.join("four"), "four\n")?;
    let directory = container.directory.to_string_lossy();
    let script = format!("exec 3<{directory}/three 4<{directory}/four; {prefix} exec \"$@\"");
    let run = container.run_with(flags)?;
    run.wrapped("/bin/sh", &["-c", &script, "sh"])?.output()
}

fn preserved_descriptors_arrive(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("ls /proc/$$/fd; cat <&3; cat <&4");
    with_descriptors(&container, &["--preserve-fds", "2"], "")?.ok().prints("0\n1\n2\n3\n4\nthree\nfour");
    let mut container = lab.container()?;
    container.config.sh("ls /proc/$$/fd; cat <&3");
    with_descriptors(&container, &["--preserve-fds", "1"], "")?.ok().prints("0\n1\n2\n3\nthree");
    container.nothing_left()
}

fn sockets_of_activation_arrive(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.sh("echo $LISTEN_FDS $LISTEN_PID; ls /proc/$$/fd; cat <&3");
    let prefix = "export LISTEN_FDS=1 LISTEN_PID=$$;";
    with_descriptors(&container, &[], prefix)?.ok().prints("1 1\n0\n1\n2\n3\nthree");
    container.nothing_left()
}

/// CVE-2024-21626: a working directory that names a descriptor of the runtime leads to the host.
fn directory_is_no_way_out(lab: &Lab) -> Outcome {
    let outside = File::open("/")?;
    let mut tried = vec![outside.as_raw_fd()];
    tried.extend(3..12);
    for fd in tried {
        let mut container = lab.container()?;
        container.config.put("/process/cwd", json!(format!("/proc/self/fd/{fd}")));
        container.config.args(&["/bin/ls", "-a", "."]);
        container.run()?.exits(1).says(&[&format!("/proc/self/fd/{fd}")]);
        container.nothing_left()?;
    }
    Ok(())
}
