//! Which runtime Docker would call: for containers, as it says itself, and for builds, as its environment has it.

use super::Finding;
use super::question::{ask, find, is_own};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const ABOUT: &str = "docker";
const FILE: &str = "/etc/docker/daemon.json";
/// What BuildKit inside dockerd takes its runtime from.
const VARIABLE: &str = "DOCKER_BUILDKIT_RUNC_COMMAND";

pub(super) fn docker(own: &Path) -> Vec<Finding> {
    let Some(client) = find("docker") else { return Vec::new() };
    let mut findings = Vec::new();
    let (runtimes, default) = match from_daemon(&client) {
        Some(told) => told,
        None => {
            findings.push(Finding::note(
                ABOUT,
                "daemon",
                format!("does not answer; what follows is from {FILE}"),
            ));
            match from_file(&fs::read_to_string(FILE).unwrap_or_default()) {
                Ok(read) => read,
                Err(error) => {
                    findings.push(Finding::missing(
                        ABOUT,
                        "configuration",
                        format!("{FILE} is no JSON: {error}"),
                    ));
                    return findings;
                }
            }
        }
    };
    findings.extend(for_containers(own, &runtimes, &default));
    findings.push(for_builds(own));
    findings
}

/// The runtimes by their names, and the default's name.
fn from_daemon(client: &Path) -> Option<(Value, Value)> {
    let info: Value = serde_json::from_str(&ask(client, &["info", "--format", "{{json .}}"])?).ok()?;
    info["Runtimes"].is_object().then(|| (info["Runtimes"].clone(), info["DefaultRuntime"].clone()))
}

/// The same; no file is an empty configuration.
fn from_file(text: &str) -> serde_json::Result<(Value, Value)> {
    let file: Value = if text.trim().is_empty() { Value::Null } else { serde_json::from_str(text)? };
    Ok((file["runtimes"].clone(), file["default-runtime"].clone()))
}

fn for_containers(own: &Path, runtimes: &Value, default: &Value) -> Vec<Finding> {
    let names: Vec<&String> = runtimes
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, runtime)| runtime["path"].as_str().is_some_and(|path| is_own(path, own)))
        .map(|(name, _)| name)
        .collect();
    let Some(name) = names.first() else {
        let remedy = format!(
            "in {FILE}: {{\"runtimes\": {{\"husk\": {{\"path\": \"{}\"}}}}}}\n\
             then: systemctl reload docker; docker run --runtime husk IMAGE",
            own.display()
        );
        return vec![
            Finding::missing(ABOUT, "runtime", "none of its runtimes is this binary").remedy(remedy),
        ];
    };
    let default = match default.as_str() {
        Some(default) if names.iter().any(|name| *name == default) => Finding::ok(ABOUT, "default", default),
        default => Finding::note(ABOUT, "default", format!("{}, not husk", default.unwrap_or("runc")))
            .remedy(format!("in {FILE}: \"default-runtime\": \"{name}\"")),
    };
    vec![Finding::ok(ABOUT, "runtime", format!("docker run --runtime {name}")), default]
}

/// BuildKit inside dockerd does not look at the default runtime.
fn for_builds(own: &Path) -> Finding {
    match variable_of_dockerd() {
        Some(named) if is_own(&named, own) => {
            Finding::ok(ABOUT, "builds", format!("{VARIABLE} of dockerd is {named}"))
        }
        _ if is_own("runc", own) => Finding::ok(ABOUT, "builds", "the runc of PATH is this binary"),
        Some(named) => Finding::note(ABOUT, "builds", format!("{VARIABLE} of dockerd is {named}, not husk")),
        None => Finding::note(ABOUT, "builds", "BuildKit calls runc from its PATH, whatever the default")
            .remedy(format!("in dockerd's environment: {VARIABLE}={}", own.display())),
    }
}

/// As the daemon was started with it. Only root and the daemon's own user may look.
fn variable_of_dockerd() -> Option<String> {
    let own_run = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let directories = own_run.into_iter().chain([PathBuf::from("/run")]);
    let pid = directories.filter_map(|run| fs::read_to_string(run.join("docker.pid")).ok()).next()?;
    let environment = fs::read(Path::new("/proc").join(pid.trim()).join("environ")).ok()?;
    value_in(&environment)
}

fn value_in(environment: &[u8]) -> Option<String> {
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix(VARIABLE)?.strip_prefix('='))
        .map(str::to_owned)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment =
            b"PATH=/bin\0DOCKER_BUILDKIT_RUNC_COMMANDER=no\0DOCKER_BUILDKIT_RUNC_COMMAND=/bin/husk\0";
        assert_eq!(value_in(environment).as_deref(), Some("/bin/husk"));
        assert_eq!(value_in(b"PATH=/bin\0"), None);
    }

    #[test]
    fn a_file_that_is_missing_says_nothing_and_one_that_is_broken_says_so() {
        assert!(from_file("").is_ok_and(|(runtimes, _)| runtimes.is_null()));
        assert!(from_file("{ \"runtimes\": ").is_err());
    }
}
