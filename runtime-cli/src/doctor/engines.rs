//! Which runtime each engine would call.

use super::Finding;
use super::docker::docker;
use super::question::{ask, find, is_own};
use serde_json::Value;
use std::path::Path;

/// Every engine that is installed here; one finding where there is none at all.
pub(super) fn look(own: &Path) -> Vec<Finding> {
    let findings: Vec<Finding> =
        [containerd, docker, podman, buildah, crio].into_iter().flat_map(|look| look(own)).collect();
    match findings.is_empty() {
        true => vec![Finding::note("engines", "found", "none of containerd, docker, podman, buildah, crio")],
        false => findings,
    }
}

fn containerd(own: &Path) -> Vec<Finding> {
    const ABOUT: &str = "containerd";
    let Some(program) = find("containerd") else { return Vec::new() };
    // The merged configuration, each table under its own heading.
    let Some(dump) = ask(&program, &["config", "dump"]) else {
        return vec![Finding::missing(ABOUT, "configuration", "`containerd config dump` fails")];
    };
    let handlers = handlers(&dump);
    let ours: Vec<&str> =
        handlers.iter().filter(|(_, binary)| is_own(binary, own)).map(|(name, _)| name.as_str()).collect();
    let own = own.display();
    let mut findings = vec![
        Finding::ok(ABOUT, "ctr", "takes any runtime")
            .remedy(format!("ctr run --runc-binary {own} IMAGE ID")),
    ];
    if !dump.contains("io.containerd.cri.v1.runtime") && !dump.contains("io.containerd.grpc.v1.cri") {
        findings.push(Finding::note(ABOUT, "kubernetes", "this containerd has no CRI plugin"));
    } else if ours.is_empty() {
        let table = "plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.husk";
        findings.push(Finding::missing(ABOUT, "kubernetes", "no handler of the CRI plugin has this binary").remedy(
            format!(
                "in /etc/containerd/config.toml (version = 3):\n[{table}]\n  runtime_type = \"io.containerd.runc.v2\"\n\
                 [{table}.options]\n  BinaryName = \"{own}\"\nthen restart containerd, and make a RuntimeClass with handler: husk"
            ),
        ));
    } else {
        findings.push(Finding::ok(ABOUT, "kubernetes", format!("handler {}", ours.join(", "))));
    }
    findings
}

/// The handlers that name a binary: (handler, binary).
fn handlers(dump: &str) -> Vec<(String, String)> {
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let mut table = "";
    let mut found = Vec::new();
    for line in dump.lines().map(str::trim) {
        if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = heading;
        } else if let Some((key, value)) = line.split_once('=')
            && key.trim() == "BinaryName"
            && let Some((_, rest)) = table.split_once(".runtimes.")
            && let Some(name) = rest.strip_suffix(".options")
            && !unquoted(value).is_empty()
        {
            found.push((unquoted(name), unquoted(value)));
        }
    }
    found
}

fn podman(own: &Path) -> Vec<Finding> {
    const ABOUT: &str = "podman";
    let Some(program) = find("podman") else { return Vec::new() };
    let asked = ask(&program, &["info", "--format", "json"]);
    let Some(info) = asked.and_then(|text| serde_json::from_str::<Value>(&text).ok()) else {
        return vec![Finding::missing(ABOUT, "configuration", "`podman info` fails")];
    };
    let path = info["host"]["ociRuntime"]["path"].as_str().unwrap_or_default();
    if is_own(path, own) {
        return vec![Finding::ok(ABOUT, "runtime", path)];
    }
    let remedy = format!(
        "in /etc/containers/containers.conf, or ~/.config/containers/containers.conf:\n[engine]\n\
         runtime = \"husk\"\nruntime_supports_json = [\"husk\"]\nruntime_supports_nocgroup = [\"husk\"]\n\
         [engine.runtimes]\nhusk = [\"{}\"]",
        own.display()
    );
    let seen = format!("calls {path}; `podman --runtime {}` takes this one", own.display());
    vec![Finding::missing(ABOUT, "runtime", seen).remedy(remedy)]
}

/// Buildah tells nobody which runtime it takes.
fn buildah(own: &Path) -> Vec<Finding> {
    const ABOUT: &str = "buildah";
    if find("buildah").is_none() {
        return Vec::new();
    }
    let own = own.display();
    let chosen =
        std::env::var("BUILDAH_RUNTIME").ok().filter(|chosen| is_own(chosen, Path::new(&own.to_string())));
    vec![match chosen {
        Some(chosen) => Finding::ok(ABOUT, "runtime", format!("BUILDAH_RUNTIME is {chosen}")),
        None => Finding::note(ABOUT, "runtime", "takes one by flag or variable")
            .remedy(format!("export BUILDAH_RUNTIME={own}")),
    }]
}

fn crio(own: &Path) -> Vec<Finding> {
    const ABOUT: &str = "crio";
    let Some(program) = find("crio") else { return Vec::new() };
    let config = ask(&program, &["config"]).unwrap_or_default();
    let named = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runtime_path"))
        .filter_map(|rest| rest.trim().strip_prefix('='))
        .any(|path| is_own(path.trim().trim_matches('"'), own));
    vec![match named {
        true => Finding::ok(ABOUT, "runtime", "one of its handlers has this binary"),
        false => Finding::missing(ABOUT, "runtime", "no handler has this binary").remedy(format!(
            "in /etc/crio/crio.conf.d/husk.conf:\n[crio.runtime.runtimes.husk]\nruntime_path = \"{}\"\nruntime_type = \"oci\"",
            own.display()
        )),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_a_table_of_runtimes_with_a_binary() {
        let dump = "[plugins]\n  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.by-class]\n\
                    BinaryName = 'not-here'\n\
                    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.by-class.options]\n\
                    BinaryName = '/usr/local/bin/husk'\n  Root = ''\n\
                    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n  BinaryName = \"\"\n";
        assert_eq!(handlers(dump), [("by-class".to_owned(), "/usr/local/bin/husk".to_owned())]);
    }
}
