//! The six kinds of hooks: when, where and with what they run, and what their failure means.

use std::fs;
use std::time::{Duration, Instant};

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case, eventually};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(order_is_the_specs),
        case!(poststart_comes_after_the_start, lacks "runc 1.1": "runs it in create", "runc 1.3": "runs it in create"),
        case!(each_kind_runs_in_its_order),
        case!(state_is_on_stdin),
        case!(state_of_the_later_ones),
        case!(runtime_hooks_run_on_the_host),
        case!(create_container_hooks_run_before_the_pivot),
        case!(create_container_hooks_may_change_a_read_only_root),
        case!(start_container_hooks_run_in_the_container),
        case!(start_container_hooks_have_the_environment_of_the_process),
        case!(environment_is_the_hooks),
        case!(environment_of_start_container_is_the_programs),
        case!(create_container_hooks_stand_in_the_rootfs),
        case!(hooks_find_the_rootfs_at_its_path),
        case!(arguments_are_the_hooks),
        case!(failure_in_create_destroys_the_container),
        case!(failure_in_create_runs_the_last_hooks),
        case!(failure_of_start_container_stops_it),
        case!(failure_of_poststart_stops_it),
        case!(failure_of_poststop_is_not_fatal, lacks "runc 1.3": "fails with it, and leaves the container"),
        case!(failure_of_poststop_lets_the_others_run, lacks "runc 1.1": "stops at the first that fails", "runc 1.3": "fails with the first"),
        case!(timeout_is_a_failure),
        case!(in_time_is_no_failure),
        case!(missing_program),
        case!(failure_keeps_the_hooks_words),
        case!(failure_of_start_container_keeps_its_words, lacks "runc 1.1": "does not say which kind it was"),
    ]
}

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that runs a shell script. The shell is the host's, except for startContainer, which finds its own.
fn sh(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
}

/// A container in which `/log` is the file that is returned, writable from both sides by anybody.
fn with_log<'lab>(lab: &'lab Lab) -> Result<(Container<'lab>, String), Stop> {
    let mut container = lab.container()?;
    let log = container.directory.join("log").to_string_lossy().into_owned();
    fs::write(&log, "")?;
    container.config.mount("bind", &log, "/log", &["bind"]);
    Ok((container, log))
}

/// Where a hook of this kind finds the log.
fn log_for<'a>(kind: &str, log: &'a str) -> &'a str {
    if kind == "startContainer" { "/log" } else { log }
}

fn add(container: &mut Container<'_>, kind: &str, hook: Value) {
    container.config.put(&format!("/hooks/{kind}/-"), hook);
}

fn words(log: &str) -> Result<Vec<String>, Stop> {
    Ok(fs::read_to_string(log)?.split_whitespace().map(String::from).collect())
}

fn order_is_the_specs(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    for kind in KINDS.iter().filter(|kind| **kind != "poststart") {
        add(&mut container, kind, sh(&format!("echo {kind} >> {}", log_for(kind, &log))));
    }
    container.config.sh("echo program >> /log");
    container.create()?.ok();
    let create = ["prestart", "createRuntime", "createContainer"];
    assert_eq!(words(&log)?, create);
    container.start()?.ok();
    container.becomes("stopped")?;
    let start = [&create[..], &["startContainer", "program"]].concat();
    assert_eq!(words(&log)?, start);
    container.delete()?.ok();
    assert_eq!(words(&log)?, [&start[..], &["poststop"]].concat());
    container.nothing_left()
}

fn poststart_comes_after_the_start(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    add(&mut container, "poststart", sh(&format!("echo poststart >> {log}")));
    container.config.args(&["/bin/sleep", "1000"]);
    container.create()?.ok();
    assert_eq!(words(&log)?, Vec::<String>::new(), "after create");
    container.start()?.ok();
    assert_eq!(words(&log)?, ["poststart"], "after start");
    Ok(())
}

fn each_kind_runs_in_its_order(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    for kind in KINDS {
        for number in 1..=3 {
            add(&mut container, kind, sh(&format!("echo {kind}{number} >> {}", log_for(kind, &log))));
        }
    }
    container.config.args(&["/bin/true"]);
    container.run()?.ok();
    for kind in KINDS {
        let ran: Vec<String> = words(&log)?.into_iter().filter(|word| word.starts_with(kind)).collect();
        assert_eq!(ran, [1, 2, 3].map(|number| format!("{kind}{number}")));
    }
    container.nothing_left()
}

fn assert_state(container: &Container<'_>, text: &str, kind: &str, status: &str) -> Result<i64, Stop> {
    let state: Value = serde_json::from_str(text)
        .map_err(|error| Stop::Failed(format!("{kind} got on stdin: {text:?}: {error}")))?;
    assert_eq!(state["id"], json!(container.id), "{kind}");
    assert_eq!(state["status"], json!(status), "{kind}");
    assert_eq!(state["bundle"], json!(container.bundle), "{kind}");
    assert_eq!(state["annotations"]["org.example.mark"], "x y", "{kind}");
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{kind}: {state}");
    Ok(state["pid"].as_i64().unwrap_or_default())
}

fn state_is_on_stdin(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/annotations", json!({"org.example.mark": "x y"})).args(&["/bin/true"]);
    let file = |kind: &str| container.directory.join(format!("state-{kind}")).to_string_lossy().into_owned();
    let files: Vec<(&str, String)> =
        ["prestart", "createRuntime"].iter().map(|kind| (*kind, file(kind))).collect();
    for (kind, file) in &files {
        add(&mut container, kind, sh(&format!("cat > {file}")));
    }
    container.create()?.ok();
    for (kind, file) in &files {
        let pid = assert_state(&container, &fs::read_to_string(file)?, kind, "creating")?;
        assert_eq!(
            pid,
            i64::from(container.pid()?.as_raw()),
            "{kind}: the container's process as the host sees it"
        );
    }
    container.delete()?.ok();
    container.nothing_left()
}

fn state_of_the_later_ones(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    container.config.put("/annotations", json!({"org.example.mark": "x y"})).args(&["/bin/true"]);
    let stopped = container.directory.join("state-poststop");
    add(&mut container, "startContainer", sh("cat > /log"));
    add(&mut container, "poststop", sh(&format!("cat > {}", stopped.display())));
    container.create()?.ok();
    container.start()?.ok();
    container.becomes("stopped")?;
    assert_state(&container, &fs::read_to_string(&log)?, "startContainer", "created")?;
    container.delete()?.ok();
    assert_state(&container, &fs::read_to_string(&stopped)?, "poststop", "stopped")?;
    container.nothing_left()
}

/// The runtime's mount namespace, while the container's network is there to be configured.
fn runtime_hooks_run_on_the_host(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    let script = format!(
        "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); \
         readlink /proc/self/ns/mnt /proc/self/ns/net /proc/$pid/ns/net >> {log}"
    );
    add(&mut container, "createRuntime", sh(&script));
    container.create()?.ok();
    let seen = words(&log)?;
    let here =
        |kind: &str| Ok::<_, Stop>(fs::read_link(format!("/proc/self/ns/{kind}"))?.display().to_string());
    let theirs = fs::read_link(format!("/proc/{}/ns/net", container.pid()?))?;
    assert_eq!(seen, [here("mnt")?, here("net")?, theirs.display().to_string()]);
    Ok(())
}

/// The container's namespaces, with the host's paths still in place.
fn create_container_hooks_run_before_the_pivot(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    let script = format!(
        "readlink /proc/self/ns/mnt >> {log}; test -d {} && echo there >> {log}",
        container.bundle.display()
    );
    add(&mut container, "createContainer", sh(&script));
    container.create()?.ok();
    let theirs = fs::read_link(format!("/proc/{}/ns/mnt", container.pid()?))?;
    assert_eq!(words(&log)?, [theirs.display().to_string(), "there".into()]);
    Ok(())
}

/// That it is to be read-only is a matter of the program, not of those who prepare it.
fn create_container_hooks_may_change_a_read_only_root(lab: &Lab) -> Outcome {
    let (mut container, _) = with_log(lab)?;
    container.config.put("/root/readonly", json!(true));
    let script = format!("echo made > {}/etc/made", container.rootfs().display());
    add(&mut container, "createContainer", sh(&script));
    container.run_sh("cat /etc/made; touch /etc/more")?.exits(1).prints("made").says(&["read-only"]);
    Ok(())
}

fn start_container_hooks_have_the_environment_of_the_process(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    container.config.env("MARK=of-the-process");
    add(&mut container, "startContainer", sh("echo $MARK >> /log"));
    container.run_sh("true")?.ok();
    assert_eq!(words(&log)?, ["of-the-process"]);
    Ok(())
}

fn start_container_hooks_run_in_the_container(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    add(
        &mut container,
        "startContainer",
        sh("readlink /proc/self/ns/mnt >> /log; ls -d /bin/busybox >> /log"),
    );
    container.config.args(&["/bin/sleep", "1000"]);
    container.create()?.ok();
    assert_eq!(words(&log)?, Vec::<String>::new(), "not before start");
    container.start()?.ok();
    let theirs = fs::read_link(format!("/proc/{}/ns/mnt", container.pid()?))?.display().to_string();
    eventually("both words", || Ok(words(&log)?.len() == 2))?;
    assert_eq!(words(&log)?, [theirs, "/bin/busybox".into()]);
    Ok(())
}

fn environment_is_the_hooks(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    let mut hook = sh(&format!("/usr/bin/env > {log}"));
    hook["env"] = json!(["MARK=a=b c", "PATH=/usr/bin:/bin"]);
    add(&mut container, "createRuntime", hook);
    container.create_with(&[])?.env("LEAK", "1").output()?.ok();
    let env = fs::read_to_string(&log)?;
    assert!(env.lines().any(|line| line == "MARK=a=b c"), "{env}");
    assert!(!env.contains("LEAK"), "{env}");
    Ok(())
}

/// Where its config gives none. runc keeps to that, and hooks that were written for it count on `PATH`.
fn environment_of_start_container_is_the_programs(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    container.config.put("/process/env", json!(["PATH=/bin:/sbin", "MARK=program"])).args(&["/bin/true"]);
    add(&mut container, "startContainer", sh("echo $MARK $HOME $PATH >> /log"));
    container.run()?.ok();
    assert_eq!(words(&log)?, ["program", "/root", "/bin:/sbin"]);
    Ok(())
}

fn create_container_hooks_stand_in_the_rootfs(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    add(&mut container, "createContainer", sh("echo x > etc/made-by-hook"));
    container.config.args(&["/bin/cat", "/etc/made-by-hook"]);
    container.run()?.ok().prints("x");
    Ok(())
}

/// NVIDIA's hook enters the container's mount namespace and mounts at the rootfs's path, which is the host's.
fn hooks_find_the_rootfs_at_its_path(lab: &Lab) -> Outcome {
    for kind in ["prestart", "createRuntime"] {
        let mut container = lab.container()?;
        let source = container.directory.join("source");
        fs::write(&source, "from the hook")?;
        let target = container.rootfs().join("etc/target");
        fs::write(&target, "from the image")?;
        let script = format!(
            "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); nsenter -m -t $pid mount --bind {} {}",
            source.display(),
            target.display()
        );
        let mut hook = sh(&script);
        hook["env"] = json!(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        add(&mut container, kind, hook);
        container.config.args(&["/bin/cat", "/etc/target"]);
        container.run()?.ok().prints("from the hook");
        assert_eq!(fs::read_to_string(&target)?, "from the image", "{kind}: the host sees nothing of it");
        container.nothing_left()?;
    }
    Ok(())
}

fn arguments_are_the_hooks(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    let script = format!("echo $0.$1.$2 > {log}");
    add(
        &mut container,
        "createRuntime",
        json!({"path": "/bin/sh", "args": ["any", "-c", script, "zero", "one", "two"]}),
    );
    container.create()?.ok();
    assert_eq!(words(&log)?, ["zero.one.two"]);
    Ok(())
}

fn failure_in_create_destroys_the_container(lab: &Lab) -> Outcome {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let (mut container, log) = with_log(lab)?;
        add(&mut container, kind, sh("exit 3"));
        add(&mut container, kind, sh(&format!("echo next >> {log}")));
        add(&mut container, "poststop", sh(&format!("echo poststop >> {log}")));
        container.create()?.exits(1).says(&["hook"]);
        assert!(!words(&log)?.contains(&"next".into()), "{kind}: the hooks after a failed one do not run");
        container.nothing_left()?;
    }
    Ok(())
}

fn failure_in_create_runs_the_last_hooks(lab: &Lab) -> Outcome {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let (mut container, log) = with_log(lab)?;
        add(&mut container, kind, sh("exit 3"));
        add(&mut container, "poststop", sh(&format!("echo poststop >> {log}")));
        container.create()?.exits(1).says(&["hook"]);
        assert_eq!(words(&log)?, ["poststop"], "{kind}");
        container.nothing_left()?;
    }
    Ok(())
}

fn failure_of_start_container_stops_it(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    add(&mut container, "startContainer", sh("exit 3"));
    container.config.sh("echo program >> /log");
    let finished = container.run()?.says(&["hook"]);
    assert_ne!(finished.code(), 0, "{finished}");
    assert_eq!(words(&log)?, Vec::<String>::new(), "the program must not run");
    container.nothing_left()
}

fn failure_of_poststart_stops_it(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    add(&mut container, "poststart", sh("exit 3"));
    container.config.args(&["/bin/sleep", "1000"]);
    container.run_with(&["--detach"])?.output()?.exits(1).says(&["hook"]);
    container.nothing_left()
}

fn after_failing_poststop(lab: &Lab) -> Result<Vec<String>, Stop> {
    let (mut container, log) = with_log(lab)?;
    add(&mut container, "poststop", sh(&format!("echo first >> {log}; exit 3")));
    add(&mut container, "poststop", sh(&format!("echo second >> {log}")));
    container.up()?;
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    container.delete()?.ok();
    container.nothing_left()?;
    words(&log)
}

fn failure_of_poststop_is_not_fatal(lab: &Lab) -> Outcome {
    assert_eq!(after_failing_poststop(lab)?.first().map(String::as_str), Some("first"));
    Ok(())
}

fn failure_of_poststop_lets_the_others_run(lab: &Lab) -> Outcome {
    assert_eq!(after_failing_poststop(lab)?, ["first", "second"]);
    Ok(())
}

fn timeout_is_a_failure(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let mut hook = sh("exec sleep 1000");
    hook["timeout"] = json!(1);
    // By this nothing_left finds the hook's process, should it survive.
    hook["env"] = json!(["PATH=/usr/bin:/bin", format!("ID={}", container.id)]);
    add(&mut container, "createRuntime", hook);
    let since = Instant::now();
    container.create()?.exits(1).says(&["hook", "1"]);
    assert!(since.elapsed() < Duration::from_secs(10), "after {:?}", since.elapsed());
    container.nothing_left()
}

fn in_time_is_no_failure(lab: &Lab) -> Outcome {
    let (mut container, log) = with_log(lab)?;
    let mut hook = sh(&format!("sleep 0.1; echo ran >> {log}"));
    hook["timeout"] = json!(20);
    add(&mut container, "createRuntime", hook);
    container.create()?.ok();
    assert_eq!(words(&log)?, ["ran"]);
    Ok(())
}

fn missing_program(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    add(&mut container, "createRuntime", json!({"path": "/no/such/hook"}));
    container.create()?.exits(1).says(&["/no/such/hook", "no such file or directory"]);
    container.nothing_left()
}

/// NVIDIA's and others' hooks say on stderr what is wrong; without that nobody finds the cause.
fn failure_keeps_the_hooks_words(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    add(&mut container, "createRuntime", sh("echo the disk is on fire >&2; exit 3"));
    container.create()?.exits(1).says(&["the disk is on fire", "3"]);
    container.nothing_left()
}

fn failure_of_start_container_keeps_its_words(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    add(&mut container, "startContainer", sh("echo all is well"));
    add(&mut container, "startContainer", sh("echo the disk is on fire >&2; exit 3"));
    container.config.args(&["/bin/true"]);
    let finished =
        container.run()?.says(&["error running startContainer hook #1:", "the disk is on fire", "3"]);
    assert_ne!(finished.code(), 0, "{finished}");
    container.nothing_left()
}
