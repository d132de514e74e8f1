//! Strings that engines look for in what a runtime says, each provoked and named with who looks for it.
//!
//! containerd's shims read the last record of the log, Docker what containerd makes of it, Podman standard error by way of
//! conmon. So every string has to stand in both places.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(containerd_kills_what_has_ended),
        case!(containerd_finds_nothing),
        case!(podman_asks_for_the_state_of_nothing),
        case!(docker_and_podman_find_no_program, lacks "runc": "says less of a program that is not in PATH"),
        case!(docker_and_podman_may_not_execute),
        case!(docker_cannot_execute_a_directory, lacks "runc 1.1": "says permission denied"),
        case!(docker_mounts_a_directory_onto_a_file),
        case!(docker_executes_nothing_in_a_container),
        case!(docker_reads_the_version),
        case!(engines_read_the_features, lacks "runc 1.1": "does not have the fields yet"),
        case!(criu_is_asked_for_by_its_help, lacks "runc": "can checkpoint"),
        case!(crio_forces_and_updates),
        case!(runc_words_for_processes),
        case!(runc_words_for_terminals),
        case!(runc_words_for_containers),
        case!(runc_words_for_cgroups, lacks "runc 1.1": "shares it"),
    ]
}

/// Runs a command that fails with this status. Gives its message: standard error and the last record of the log, in small
/// letters, each on a line, without the marks that the log has for quotes.
fn failure(container: &Container<'_>, code: i32, command: &[&str]) -> Result<[String; 2], Stop> {
    container.write_config()?;
    let log = container.directory.join("engine.log");
    let _ = fs::remove_file(&log);
    let global = ["--log", &log.to_string_lossy(), "--log-format", "json"];
    let finished = container.runtime(global)?.args(command).output()?.exits(code);
    let text = fs::read_to_string(&log)?;
    let last: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    assert_eq!(last["level"], "error", "{text}");
    let message = last["msg"].as_str().unwrap_or_default();
    Ok([&finished.stderr, message].map(|text| text.to_lowercase().replace("\\\"", "\"")))
}

/// Expects each of the words in both.
#[track_caller]
fn say(places: &[String; 2], words: &[&str]) {
    for (place, text) in ["standard error", "the log"].iter().zip(places) {
        for word in words {
            assert!(text.contains(&word.to_lowercase()), "{place} lacks {word:?}: {text}");
        }
    }
}

/// Podman looks for a lack of permission first, whatever else there is: status 126.
#[track_caller]
fn speak_of_no_permission(places: &[String; 2]) {
    for text in places {
        for word in ["permission denied", "operation not permitted"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}

fn create(container: &Container<'_>) -> Result<[String; 2], Stop> {
    let bundle = container.bundle.to_string_lossy().into_owned();
    failure(container, 1, &["create", "--bundle", &bundle, &container.id])
}

/// checkKillError of containerd's shim, and that of the shim in Rust: the process is gone already.
fn containerd_kills_what_has_ended(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/true"]);
    container.run_with(&["--detach"])?.output()?.ok();
    container.becomes("stopped")?;
    say(&failure(&container, 1, &["kill", &container.id, "9"])?, &["container not running"]);
    // go-runc passes --all still, and then it is no failure.
    container.runtime(["kill", "--all", &container.id, "9"])?.output()?.ok();
    Ok(())
}

/// The same two, and what both ignore when they delete.
fn containerd_finds_nothing(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    for command in
        [&["kill", "nobody", "9"][..], &["delete", "nobody"], &["start", "nobody"], &["pause", "nobody"]]
    {
        say(&failure(&container, 1, command)?, &["container does not exist"]);
    }
    container.runtime(["delete", "--force", "nobody"])?.output()?.ok();
    Ok(())
}

fn podman_asks_for_the_state_of_nothing(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    say(&failure(&container, 1, &["state", "nobody"])?, &["does not exist"]);
    Ok(())
}

/// Status 127 of Docker (translateContainerdStartErr, which wants the command too) and Podman (getOCIRuntimeError).
fn docker_and_podman_find_no_program(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["no-such-program"]);
    let said = create(&container)?;
    say(&said, &["no-such-program", "executable file not found in $PATH", "no such file or directory"]);
    speak_of_no_permission(&said);
    container.config.args(&["/no/such/program"]);
    let said = create(&container)?;
    say(&said, &["/no/such/program", "no such file or directory"]);
    speak_of_no_permission(&said);
    container.nothing_left()
}

/// Status 126 of both.
fn docker_and_podman_may_not_execute(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    fs::write(container.rootfs().join("etc/not-executable"), "#!/bin/sh\n")?;
    container.config.args(&["/etc/not-executable"]);
    say(&create(&container)?, &["/etc/not-executable", "permission denied"]);
    container.nothing_left()
}

/// Status 126 of Docker.
fn docker_cannot_execute_a_directory(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/etc"]);
    say(&create(&container)?, &["/etc", "is a directory"]);
    container.nothing_left()
}

/// Status 127 of Docker, with its question whether a directory was mounted onto a file.
fn docker_mounts_a_directory_onto_a_file(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    let source = container.directory.join("source");
    fs::create_dir(&source)?;
    container.config.mount("bind", &source.to_string_lossy(), "/etc/passwd", &["rbind"]);
    say(&create(&container)?, &["error mounting", "to rootfs at", "/etc/passwd", "not a directory"]);
    container.nothing_left()
}

/// `docker exec` and `podman exec` derive the same two statuses from the same words.
fn docker_executes_nothing_in_a_container(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let exec = |program: &str| failure(&container, 255, &["exec", &container.id, program]);
    let said = exec("no-such-program")?;
    say(&said, &["no-such-program", "executable file not found in $PATH"]);
    speak_of_no_permission(&said);
    say(&exec("/no/such/program")?, &["/no/such/program", "no such file or directory"]);
    say(&exec("/etc/passwd")?, &["/etc/passwd", "permission denied"]);
    Ok(())
}

/// `docker info`: the first line, and the commit.
fn docker_reads_the_version(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let said = container.runtime_alone(["--version"])?.output()?.ok();
    let first = said.stdout.lines().next().unwrap_or_default();
    let version = first.split_once(" version ").map(|(_, version)| version).unwrap_or_default();
    assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{said}");
    assert!(said.stdout.lines().any(|line| line.starts_with("commit: ")), "{said}");
    Ok(())
}

/// dockerd and BuildKit: whether mounts can be read-only all the way down, and which annotations nobody may pass. containerd:
/// whether ids of mounts can be mapped.
fn engines_read_the_features(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let features: Value =
        serde_json::from_str(&container.runtime_alone(["features"])?.output()?.ok().stdout)?;
    let options = features["mountOptions"].as_array().cloned().unwrap_or_default();
    assert!(options.contains(&json!("rro")), "{options:?}");
    let annotations = features["potentiallyUnsafeConfigAnnotations"].as_array().cloned().unwrap_or_default();
    assert!(annotations.contains(&json!("org.systemd.property.")), "{annotations:?}");
    assert_eq!(features.pointer("/linux/mountExtensions/idmap/enabled"), Some(&json!(true)), "{features}");
    Ok(())
}

/// Podman and CRI-O: `checkpoint --help` succeeds where the runtime can checkpoint.
fn criu_is_asked_for_by_its_help(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.runtime_alone(["checkpoint", "--help"])?.output()?.exits(1);
    container.runtime_alone(["checkpoint", "-h"])?.output()?.ok();
    Ok(())
}

/// CRI-O: any failure of `state` means stopped; it kills with -a, deletes with --force, updates from standard input.
fn crio_forces_and_updates(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let resources = container.directory.join("resources.json");
    fs::write(&resources, json!({"pids": {"limit": 55}}).to_string())?;
    let update = container.runtime(["update", "--resources", "-", &container.id])?;
    update.stdin(fs::File::open(&resources)?).output()?.ok();
    assert_eq!(crate::cgroups::read(&container, "pids", "pids.max", "pids.max")?, "55");
    container.runtime(["kill", "-a", &container.id, "KILL"])?.output()?.ok();
    container.becomes("stopped")?;
    container.runtime(["delete", "--force", &container.id])?.output()?.ok();
    container.verb("state")?.exits(1);
    container.nothing_left()
}

fn runc_words_for_processes(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    for (flags, words) in [
        (&["--cwd", "relative"][..], "Cwd must be an absolute path"),
        (&["--cwd", "/no/such/directory"], "chdir to cwd (\"/no/such/directory\") set in config.json failed"),
        (&["--env", "NOTHING"], "invalid environment variable"),
        (&["--process-label", "x:y:z"], "selinux label is specified in config"),
    ] {
        let command = [&["exec"], flags, &[&container.id, "/bin/true"]].concat();
        say(&failure(&container, 255, &command)?, &[words]);
    }
    container.verb("pause")?.ok();
    let words = "cannot exec in a paused container (use --ignore-paused to override)";
    say(&failure(&container, 255, &["exec", &container.id, "/bin/true"])?, &[words]);
    say(&failure(&container, 1, &["pause", &container.id])?, &["container not running"]);
    container.verb("resume")?.ok();
    say(&failure(&container, 1, &["resume", &container.id])?, &["container not paused"]);
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    let words = "cannot exec in a stopped container";
    say(&failure(&container, 255, &["exec", &container.id, "/bin/true"])?, &[words]);
    Ok(())
}

fn runc_words_for_terminals(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let detached = "cannot allocate tty if runc will detach without setting console socket";
    let command = ["exec", "--tty", "--detach", &container.id, "/bin/true"];
    say(&failure(&container, 255, &command)?, &[detached]);
    let nobody = "cannot use console socket if runc will not detach or allocate tty";
    let command = ["exec", "--console-socket", "/nowhere", &container.id, "/bin/true"];
    say(&failure(&container, 255, &command)?, &[nobody]);
    let mut other = container.sibling()?;
    other.config.put("/process/terminal", json!(true));
    say(&create(&other)?, &[detached]);
    other.nothing_left()
}

fn runc_words_for_containers(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    say(&create(&container)?, &["container with given ID already exists"]);
    say(&failure(&container, 1, &["start", &container.id])?, &["cannot start an already running container"]);
    let words = format!("cannot delete container {} that is not stopped: running", container.id);
    say(&failure(&container, 1, &["delete", &container.id])?, &[&words]);
    say(&failure(&container, 1, &["state", "a/b"])?, &["invalid container ID format"]);
    say(&failure(&container, 1, &["state", ""])?, &["container id cannot be empty"]);
    let empty = container.directory.join("empty");
    fs::create_dir(&empty)?;
    let command = ["create", "--bundle", &empty.to_string_lossy(), "other"];
    say(&failure(&container, 1, &command)?, &["JSON specification file config.json not found"]);
    container.verb("pause")?.ok();
    say(
        &failure(&container, 1, &["start", &container.id])?,
        &["cannot start a container in the paused state"],
    );
    container.kill("KILL")?.ok();
    container.becomes("stopped")?;
    say(&failure(&container, 1, &["start", &container.id])?, &["cannot start a container that has stopped"]);
    Ok(())
}

fn runc_words_for_cgroups(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.by_itself();
    let path = json!(format!("/{}", container.id));
    container.config.put("/linux/cgroupsPath", path.clone());
    container.up()?;
    let mut tenant = container.sibling()?;
    tenant.by_itself();
    tenant.config.put("/linux/cgroupsPath", path);
    say(&create(&tenant)?, &["container's cgroup is not empty"]);
    tenant.nothing_left()
}
