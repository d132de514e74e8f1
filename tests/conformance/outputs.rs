//! What the commands print, to the key: engines and scripts read it.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use husk_conformance::suite::Case;
use husk_conformance::{Lab, Outcome, case};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(state_has_its_keys),
        case!(state_of_a_container_without_annotations),
        case!(list_as_a_table),
        case!(list_as_json),
        case!(list_of_nothing),
        case!(list_of_ids),
        case!(list_in_an_unknown_format),
        case!(ps_as_json),
        case!(ps_as_a_table),
        case!(ps_takes_options),
        case!(version),
        case!(help),
        case!(spec_for_rootless),
        case!(unknown_command),
    ]
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flat_map(|object| object.keys()).map(String::as_str).collect()
}

fn state_has_its_keys(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.config.put("/annotations", json!({"org.example.mark": "x y"}));
    container.up()?;
    let output = container.verb("state")?.ok();
    assert!(output.stdout.starts_with("{\n  \"ociVersion\": "), "two spaces deep: {output}");
    let state: Value = serde_json::from_str(&output.stdout)?;
    let expected =
        ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
    let missing: Vec<&&str> = expected.iter().filter(|key| !keys(&state).contains(**key)).collect();
    assert_eq!(missing, Vec::<&&str>::new(), "{state}");
    assert_eq!(state["id"], json!(container.id));
    assert_eq!(state["bundle"], json!(container.bundle));
    assert_eq!(state["rootfs"], json!(container.rootfs()));
    assert_eq!(state["annotations"]["org.example.mark"], "x y");
    assert_eq!(state["owner"], "");
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
    let created = state["created"].as_str().unwrap_or_default();
    let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() / 86400;
    assert_eq!(days(created), Some(today), "created {created}");
    assert!(created.ends_with('Z'), "created {created}");
    Ok(())
}

/// Days since 1970 of an RFC 3339 date, by the civil calendar.
fn days(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let before: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: u64 = lengths.iter().take(usize::try_from(month).ok()?.checked_sub(1)?).sum();
    Some(before + months + day - 1)
}

fn state_of_a_container_without_annotations(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    container.create()?.ok();
    assert!(!keys(&container.state()?).contains("annotations"));
    Ok(())
}

fn list_as_a_table(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let output = container.runtime(["list"])?.output()?.ok();
    let lines: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let pid = container.pid()?.to_string();
    assert_eq!(lines[1][..4], [&container.id, &pid, "running", &*container.bundle.to_string_lossy()]);
    assert_eq!((lines[1][5], lines.len()), ("root", 2));
    let columns = output.stdout.lines().map(|line| line.find("STATUS").or(line.find("running")));
    assert_eq!(columns.collect::<BTreeSet<_>>().len(), 1, "the columns are aligned: {output}");
    Ok(())
}

fn list_as_json(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let output = container.runtime(["list", "--format", "json"])?.output()?.ok();
    let list: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list[0]["id"], json!(container.id));
    assert_eq!(list[0]["pid"], json!(container.pid()?.as_raw()));
    assert_eq!(list[0]["status"], "running");
    assert_eq!(list[0]["bundle"], json!(container.bundle));
    assert_eq!(list[0]["owner"], "root");
    for key in ["ociVersion", "rootfs", "created"] {
        assert!(list[0][key].is_string(), "{key}: {list}");
    }
    Ok(())
}

fn list_of_nothing(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    // runc 1.1 makes it, later ones say that it is not there.
    fs::create_dir(&container.state_root)?;
    container.runtime(["list", "--format", "json"])?.output()?.ok().prints("null");
    let table = container.runtime(["list"])?.output()?.ok();
    assert_eq!(table.stdout.lines().count(), 1, "only the header: {table}");
    container.runtime(["list", "--quiet"])?.output()?.ok().prints("");
    Ok(())
}

fn list_of_ids(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.runtime(["list", "-q"])?.output()?.ok().prints(&container.id);
    Ok(())
}

fn list_in_an_unknown_format(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    container.runtime(["list", "--format", "xml"])?.output()?.exits(1).says(&["format"]);
    Ok(())
}

fn ps_as_json(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let pid = container.pid()?.as_raw();
    let output = container.runtime(["ps", "--format", "json", &container.id])?.output()?.ok();
    assert_eq!(serde_json::from_str::<Value>(&output.stdout)?, json!([pid]));
    container.exec(&["--detach"], &["/bin/sleep", "999"])?.ok();
    let output = container.runtime(["ps", "-f", "json", &container.id])?.output()?.ok();
    let pids: Vec<i32> = serde_json::from_str(&output.stdout)?;
    assert_eq!((pids.len(), pids.contains(&pid)), (2, true), "{output}");
    Ok(())
}

fn ps_as_a_table(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let output = container.verb("ps")?.ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert!(lines[0].contains("PID") && lines[0].contains("CMD"), "{output}");
    assert!(lines[1].contains(&container.pid()?.to_string()) && lines[1].contains("sleep 1000"), "{output}");
    assert_eq!(lines.len(), 2, "{output}");
    Ok(())
}

fn ps_takes_options(lab: &Lab) -> Outcome {
    let mut container = lab.container()?;
    container.up()?;
    let output = container.runtime(["ps", &container.id, "-o", "pid,comm"])?.output()?.ok();
    let lines: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [vec!["PID", "COMMAND"], vec![container.pid()?.to_string().as_str(), "sleep"]]);
    Ok(())
}

fn version(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    for flag in ["--version", "-v"] {
        let output = container.runtime([flag])?.output()?.ok();
        let first: Vec<&str> = output.stdout.lines().next().unwrap_or_default().split(' ').collect();
        assert_eq!(first.get(1), Some(&"version"), "{output}");
        let starts_with_digit =
            first.get(2).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()));
        assert!(starts_with_digit, "{output}");
        assert!(output.value("spec:").starts_with("1."), "{output}");
        assert!(!output.value("commit:").is_empty(), "{output}");
    }
    Ok(())
}

fn help(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let output = container.runtime(["--help"])?.output()?.ok();
    let commands = [
        "create", "delete", "exec", "features", "kill", "list", "pause", "ps", "resume", "run", "spec",
        "start", "state",
    ];
    for command in commands {
        let listed = output.stdout.lines().any(|line| line.trim_start().starts_with(command));
        assert!(listed, "{command} in {output}");
        container.runtime([command, "--help"])?.output()?.ok();
    }
    if lab.runtime.is("husk") {
        // Their --help fails, since engines ask by it whether they are there.
        for command in ["checkpoint", "restore"] {
            let output = container.runtime(["help", command])?.output()?.ok();
            assert_eq!(output.stdout.lines().next(), Some("Not supported yet"), "{output}");
        }
    }
    Ok(())
}

fn spec_for_rootless(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    fs::remove_file(container.bundle.join("config.json")).ok();
    container.runtime(["spec", "--rootless", "--bundle"])?.arg(&container.bundle).output()?.ok();
    let config: Value = serde_json::from_slice(&fs::read(container.bundle.join("config.json"))?)?;
    let kinds: BTreeSet<&str> = config["linux"]["namespaces"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|namespace| namespace["type"].as_str())
        .collect();
    assert!(kinds.contains("user") && !kinds.contains("network"), "{kinds:?}");
    assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
    assert_eq!(config["linux"]["uidMappings"][0]["containerID"], 0);
    assert!(config["linux"]["resources"].is_null());
    Ok(())
}

fn unknown_command(lab: &Lab) -> Outcome {
    let container = lab.container()?;
    let output = container.runtime(["no-such-command"])?.output()?;
    assert_ne!(output.code(), 0, "{output}");
    assert!(format!("{}{}", output.stdout, output.stderr).contains("no-such-command"), "{output}");
    Ok(())
}
