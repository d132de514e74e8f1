//! What husk prints and writes without any container: versions, lists, logs, specs, completions, man pages.

use crate::support::Scratch;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_version_has_the_lines_that_engines_look_for() {
    let scratch = Scratch::new();
    let text = scratch.husk(&["--version"]).ok().stdout;
    assert_eq!(text.lines().next(), Some(concat!("husk version ", env!("CARGO_PKG_VERSION"))));
    let spec =
        text.lines().find_map(|line| line.strip_prefix("spec: ")).expect("a line for the specification");
    assert!(spec.split('.').all(|part| part.parse::<u32>().is_ok()), "{spec}");
    for name in ["commit: ", "libseccomp: "] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
    assert_eq!(scratch.husk(&["-v"]).ok().stdout, text);
}

#[test]
fn the_version_under_the_name_of_runc_is_that_of_its_commands() {
    let text = Scratch::new().runc(&["--version"]).ok().stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], concat!("runc version 1.5.0+husk.", env!("CARGO_PKG_VERSION")));
    assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("spec: "), "{text}");
}

#[test]
fn an_empty_list_is_a_heading_or_null() {
    let scratch = Scratch::new();
    let heading = format!("{:12}{:12}{:12}{:12}{:12}OWNER\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED");
    assert_eq!(scratch.husk(&["list"]).ok().stdout, heading);
    assert_eq!(scratch.husk(&["list", "--format", "json"]).ok().stdout, "null\n");
    assert_eq!(scratch.husk(&["list", "--format=json", "-q"]).ok().stdout, "");
}

#[test]
fn a_root_that_is_not_there_has_no_list() {
    let scratch = Scratch::new();
    let run = scratch.run(Path::new(env!("CARGO_BIN_EXE_husk")), &["list"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("cannot read") && run.stderr.contains("no such file or directory"),
        "{}",
        run.stderr
    );
    assert!(!scratch.path().join("state").exists(), "looking makes no directory");
}

#[test]
fn under_the_name_of_runc_the_words_are_runcs() {
    let scratch = Scratch::new();
    let help = scratch.runc(&["--help"]).ok().stdout;
    assert!(help.starts_with("NAME:\n   runc - Open Container Initiative runtime"), "{help}");
    let help = scratch.runc(&["kill", "-h"]).ok().stdout;
    assert!(help.starts_with("NAME:\n   runc kill - "), "{help}");
    let failed = scratch.runc(&["create", "x"]);
    assert!(failed.stderr.starts_with("runc create failed: JSON specification file"), "{}", failed.stderr);
    let own = scratch.husk(&["create", "x"]);
    assert!(own.stderr.starts_with("husk: JSON specification file"), "{}", own.stderr);
    let unknown = scratch.husk(&["nonsense", "--help"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("No help topic for 'nonsense'"), "{}", unknown.stderr);
}

#[test]
fn features_are_json_indented_by_four() {
    let text = Scratch::new().husk(&["features"]).ok().stdout;
    let value: Value = serde_json::from_str(&text).expect("features are JSON");
    assert!(value["ociVersionMax"].is_string());
    assert!(text.starts_with("{\n    \"") && text.ends_with("}\n"));
}

#[test]
fn the_doctor_says_the_same_to_people_and_to_programs() {
    let scratch = Scratch::new();
    let (told, listed) = (scratch.husk(&["doctor"]), scratch.husk(&["doctor", "--json"]));
    let findings: Vec<Value> = serde_json::from_str(&listed.stdout).expect("findings are JSON");
    assert!(findings.iter().any(|finding| finding["about"] == "machine" && finding["what"] == "kernel"));
    for finding in &findings {
        let seen = finding["seen"].as_str().expect("a finding says what was seen");
        assert!(told.stdout.contains(seen), "{seen} / {}", told.stdout);
    }
    let missing = findings.iter().any(|finding| finding["verdict"] == "missing");
    assert_eq!((told.code, listed.code), (i32::from(missing), i32::from(missing)));
}

#[test]
fn a_failure_is_exactly_one_record_in_the_log_and_success_is_none() {
    let scratch = Scratch::new();
    let records = || std::fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
    scratch.husk(&["--log", "log", "--log-format", "json", "list"]).ok();
    assert_eq!(records(), "");
    // A failure of the library, one of husk's own, and one of usage.
    for (count, args) in
        [&["state", "nobody"][..], &["checkpoint", "x"], &["create", "--nonsense"]].iter().enumerate()
    {
        let line = [&["--log", "log", "--log-format", "json"], *args].concat();
        let run = scratch.husk(&line);
        let records = records();
        assert_eq!(records.lines().count(), count + 1, "{records}");
        let record: Value =
            serde_json::from_str(records.lines().last().unwrap_or("")).expect("a record is JSON");
        assert_eq!(record["level"], "error");
        let message = record["msg"].as_str().expect("a record has a message");
        assert!(run.stderr.starts_with(&format!("husk: {message}\n")), "{} / {message}", run.stderr);
        let time = record["time"].as_str().expect("a record has a time");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 20, "{time}");
    }
}

#[test]
fn the_text_log_has_logrus_form() {
    let scratch = Scratch::new();
    scratch.husk(&["--log", "log", "state", "nobody"]).failed(1, "container does not exist");
    let text = std::fs::read_to_string(scratch.path().join("log")).expect("the log is there");
    assert!(text.starts_with("time=\"20"), "{text}");
    assert!(text.ends_with("Z\" level=error msg=\"container does not exist: nobody\"\n"), "{text}");
}

#[test]
fn debug_adds_records_of_level_debug() {
    let scratch = Scratch::new();
    scratch.husk(&["--debug", "--log", "log", "--log-format", "json", "state", "nobody"]);
    let text = std::fs::read_to_string(scratch.path().join("log")).expect("the log is there");
    let levels: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a record is JSON")["level"].clone())
        .collect();
    assert!(levels.len() > 1);
    assert_eq!(levels.iter().filter(|level| *level == "error").count(), 1);
    assert!(levels.iter().all(|level| level == "error" || level == "debug"), "{levels:?}");
}

#[test]
fn a_log_that_cannot_be_opened_is_said() {
    let run = Scratch::new().husk(&["--log", "/nowhere/log", "list"]);
    run.failed(1, "cannot open the log /nowhere/log: no such file or directory (ENOENT)");
}

#[test]
fn spec_writes_a_config_and_never_over_one() {
    let scratch = Scratch::new();
    scratch.husk(&["spec"]).ok();
    let path = scratch.path().join("config.json");
    let text = std::fs::read_to_string(&path).expect("the config is there");
    let config: Value = serde_json::from_str(&text).expect("the config is JSON");
    assert_eq!(config["process"]["args"], serde_json::json!(["sh"]));
    assert!(text.contains("\n\t\"process\""), "it is indented by tabs");
    std::fs::write(&path, "mine").expect("the config can be replaced");
    scratch.husk(&["spec"]).failed(1, "File config.json exists. Remove it first");
    assert_eq!(std::fs::read_to_string(&path).expect("the config is there"), "mine");
    std::fs::create_dir(scratch.path().join("user")).expect("a directory can be made");
    scratch.husk(&["spec", "--rootless", "--bundle", "user"]).ok();
    let text = std::fs::read_to_string(scratch.path().join("user/config.json")).expect("the config is there");
    let config: Value = serde_json::from_str(&text).expect("the config is JSON");
    let namespaces = config["linux"]["namespaces"].as_array().expect("it has namespaces");
    assert!(namespaces.iter().any(|namespace| namespace["type"] == "user"));
}

#[test]
fn completions_know_the_commands_and_load() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = scratch.husk(&["completion", shell]).ok().stdout;
        assert!(script.contains("console-socket") && script.contains("resume"), "{shell}");
    }
    let script = scratch.husk(&["completion", "bash"]).stdout;
    std::fs::write(scratch.path().join("husk.bash"), script).expect("the script can be written");
    let loads = Command::new("bash").arg("-n").arg(scratch.path().join("husk.bash")).status();
    assert!(loads.expect("bash runs").success());
}

#[test]
fn man_pages_are_one_a_visible_command() {
    let scratch = Scratch::new();
    scratch.husk(&["man", "--dir", "man"]).ok();
    let mut pages: Vec<String> = std::fs::read_dir(scratch.path().join("man"))
        .expect("the directory is there")
        .map(|entry| entry.expect("it can be read").file_name().into_string().expect("names are text"))
        .collect();
    pages.sort();
    assert_eq!(pages.len(), 21, "{pages:?}");
    for (page, words) in
        [("husk.8", "OCI bundles"), ("husk-exec.8", "\\-\\-process"), ("husk-try.8", "copy\\-on\\-write")]
    {
        let text = std::fs::read_to_string(scratch.path().join("man").join(page)).expect("the page is there");
        assert!(text.contains(words), "{page}: {text}");
        assert!(text.contains(" 8 "), "{page} is in section 8");
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let scratch = Scratch::new();
    let mut husk = Command::new(env!("CARGO_BIN_EXE_husk"))
        .args(["completion", "bash"])
        .current_dir(scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("husk can be executed");
    drop(husk.stdout.take());
    let output = husk.wait_with_output().expect("husk ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
