//! What a failure says: the words that engines match, the exit status, and the log file.
//!
//! Docker and Podman turn these words into their own exit statuses (127 for a program that is not there, 126 for
//! one that cannot be executed); containerd shows the last record of the log file and nothing else.

use std::fs;

use husk_conformance::suite::Case;
use husk_conformance::{Container, Lab, Outcome, Stop, case};
use serde_json::Value;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(program_is_not_in_path),
        case!(program_is_not_at_its_path),
        case!(program_is_not_executable),
        case!(program_is_a_directory),
        case!(program_has_no_known_format, lacks "runc 1.3": "ends in 255, and the log says nothing"),
        case!(exec_failures_end_in_255),
        case!(success_is_silent),
        case!(log_has_one_object_after_a_failure),
        case!(log_is_empty_after_a_success),
        case!(log_is_appended_to),
        case!(log_as_text),
        case!(log_format_is_unknown),
        case!(usage_is_refused),
    ]
}

fn create_fails<'lab>(lab: &'lab Lab, args: &[&str], words: &[&str]) -> Result<Container<'lab>, Stop> {
    let mut container = lab.container()?;
    fs::write(container.rootfs().join("etc/not-executable"), "#!/bin/sh\n")?;
    container.config.args(args);
    container.create()?.exits(1).says(words);
    container.nothing_left()?;
    Ok(container)
}

fn program_is_not_in_path(lab: &Lab) -> Outcome {
    create_fails(lab, &["no-such-program"], &["no-such-program", "executable file not found in $PATH"])?;
    Ok(())
}

fn program_is_not_at_its_path(lab: &Lab) -> Outcome {
    create_fails(lab, &["/no/such/program"], &["/no/such/program", "no such file or directory"])?;
    Ok(())
}

fn program_is_not_executable(lab: &Lab) -> Outcome {
    create_fails(lab, &["/etc/not-executable"], &["/etc/not-executable", "permission denied"])?;
    Ok(())
}

fn program_is_a_directory(lab: &Lab) -> Outcome {
    let words: &[&str] =
        if lab.runtime.is("runc 1.1") { &["permission denied"] } else { &["is a directory"] };
    create_fails(lab, &["/etc"], words)?;
    Ok(())
}

/// Only the kernel knows at the end, so `run` fails and `create` cannot.
fn program_has_no_known_format(lab: &Lab) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    let mut container = lab.container()?;
    let program = container.rootfs().join("bin/noise");
    fs::write(&program, "\x01\x02\x03 no program")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    container.config.args(&["/bin/noise"]);
    container.run()?.exits(1).says(&["exec format error"]);
    container.nothing_left()
}

fn exec_failures_end_in_255(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    for (flags, program, word) in [
        (&[][..], "no-such-program", "executable file not found in $PATH"),
        (&[][..], "/no/such/program", "no such file or directory"),
        (&[][..], "/etc/passwd", "permission denied"),
        (&["--cwd", "/no/such/directory"][..], "/bin/true", "no such file or directory"),
        (&["--user", "nobody-here"][..], "/bin/true", "nobody-here"),
    ] {
        container.exec(flags, &[program])?.exits(255).says(&[word]);
    }
    assert_eq!(container.status()?, "running");
    Ok(())
}

/// Some test suites and engines take any "error" on stderr for a failure.
fn success_is_silent(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]);
    let mut commands = vec![container.create()?, container.start()?, container.verb("state")?];
    commands.push(container.exec(&[], &["/bin/true"])?);
    commands.push(container.kill("KILL")?);
    container.becomes("stopped")?;
    commands.push(container.delete()?);
    for finished in commands {
        assert_eq!(finished.stderr, "", "{finished}");
    }
    Ok(())
}

/// Runs `COMMAND` with `--log`, and returns the log.
fn log_of(container: &Container<'_>, format: &str, command: &[&str], code: i32) -> Result<String, Stop> {
    let log = container.directory.join("log");
    let global = ["--log", &log.to_string_lossy(), "--log-format", format];
    container.runtime(global)?.args(command).output()?.exits(code);
    Ok(fs::read_to_string(&log).unwrap_or_default())
}

fn create_command(container: &Container<'_>) -> Vec<String> {
    vec!["create".into(), "--bundle".into(), container.bundle.to_string_lossy().into(), container.id.clone()]
}

fn records(log: &str) -> Result<Vec<Value>, Stop> {
    log.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// level, msg and time, in which containerd reads an RFC 3339 time: 2026-11-20T20:21:08.123Z or with +01:00.
fn assert_error_record(record: &Value, word: &str) {
    assert_eq!(record["level"], "error", "{record}");
    assert!(record["msg"].as_str().is_some_and(|text| text.contains(word)), "{record}");
    let time = record["time"].as_str().unwrap_or_default();
    let digits = time.bytes().take(19).filter(u8::is_ascii_digit).count();
    let zone = time.ends_with('Z') || time.rfind(['+', '-']).is_some_and(|at| time.len() == at + 6);
    assert!(digits == 14 && time.as_bytes().get(10) == Some(&b'T') && zone, "time {time:?}");
}

fn log_has_one_object_after_a_failure(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.args(&["no-such-program"]);
    container.write_config()?;
    let create = create_command(&container);
    let words: Vec<&str> = create.iter().map(String::as_str).collect();
    let log = log_of(&container, "json", &words, 1)?;
    let records = records(&log)?;
    assert_eq!(records.len(), 1, "{log}");
    assert_error_record(&records[0], "executable file not found in $PATH");
    container.nothing_left()
}

fn log_is_empty_after_a_success(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.write_config()?;
    let create = create_command(&container);
    let words: Vec<&str> = create.iter().map(String::as_str).collect();
    assert_eq!(log_of(&container, "json", &words, 0)?, "");
    assert_eq!(container.status()?, "created");
    assert_eq!(log_of(&container, "json", &["start", &container.id], 0)?, "");
    assert_eq!(log_of(&container, "json", &["delete", "--force", &container.id], 0)?, "");
    Ok(())
}

fn log_is_appended_to(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    log_of(&container, "json", &["state", &container.id], 1)?;
    let log = log_of(&container, "json", &["start", &container.id], 1)?;
    let records = records(&log)?;
    assert_eq!(records.len(), 2, "{log}");
    for record in &records {
        assert_error_record(record, "container does not exist");
    }
    Ok(())
}

fn log_as_text(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let log = log_of(&container, "text", &["state", &container.id], 1)?;
    assert!(log.contains("level=error") && log.contains("container does not exist"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    Ok(())
}

fn log_format_is_unknown(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.runtime(["--log-format", "xml", "list"])?.output()?.exits(1).says(&["invalid log-format: xml"]);
    Ok(())
}

fn usage_is_refused(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    for words in [&["state"][..], &["state", "a", "b"], &["create", "--no-such-flag", "a"], &["exec"]] {
        let finished = container.runtime(words)?.output()?;
        assert_ne!(finished.code(), 0, "{finished}");
        assert_ne!(format!("{}{}", finished.stdout, finished.stderr).trim(), "", "it explains: {finished}");
    }
    Ok(())
}
