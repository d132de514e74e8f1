//! Which runtime each engine would call.

use super::Finding;
use super::docker::docker;
use super::question::{ask, astray, find, is_own};
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
    let dump = match ask(&program, &["config", "dump"]) {
        Ok(dump) => dump,
        Err(words) => return vec![fails(ABOUT, "containerd config dump", &words)],
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
    } else if has_no_cri(&dump) {
        // As Docker's package of containerd has it.
        findings.push(Finding::note(ABOUT, "kubernetes", "disabled_plugins has the CRI plugin"));
    } else if ours.is_empty() {
        let table = "plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.husk";
        let seen = astray(&handlers).unwrap_or("no handler of the CRI plugin has this binary".to_owned());
        // Below Docker or ctr nothing is missing.
        let finding = match find("kubelet") {
            Some(_) => Finding::missing(ABOUT, "kubernetes", seen),
            None => Finding::note(ABOUT, "kubernetes", seen),
        };
        findings.push(finding.remedy(format!(
            "in /etc/containerd/config.toml (a new one begins with version = 3):\n[{table}]\n  runtime_type = \"io.containerd.runc.v2\"\n\
             [{table}.options]\n  BinaryName = \"{own}\"\nthen restart containerd, and make a RuntimeClass with handler: husk"
        )));
    } else {
        findings.push(Finding::ok(ABOUT, "kubernetes", format!("handler {}", ours.join(", "))));
    }
    findings
}

fn fails(about: &'static str, command: &str, words: &str) -> Finding {
    Finding::missing(about, "configuration", format!("`{command}` fails: {words}"))
}

fn has_no_cri(dump: &str) -> bool {
    let mut disabled = dump.lines().filter(|line| line.starts_with("disabled_plugins"));
    disabled.any(|line| {
        line.contains("io.containerd.grpc.v1.cri'") || line.contains("io.containerd.cri.v1.runtime'")
    })
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
    let path = match runtime_of_podman() {
        None => return Vec::new(),
        Some(Err(words)) => return vec![fails(ABOUT, "podman info", &words)],
        Some(Ok(path)) if is_own(&path, own) => return vec![Finding::ok(ABOUT, "runtime", path)],
        Some(Ok(path)) => path,
    };
    let remedy = format!(
        "in /etc/containers/containers.conf, or ~/.config/containers/containers.conf:\n[engine]\n\
         runtime = \"husk\"\nruntime_supports_json = [\"husk\"]\nruntime_supports_nocgroup = [\"husk\"]\n\
         [engine.runtimes]\nhusk = [\"{}\"]",
        own.display()
    );
    let seen = format!("calls {path}; `podman --runtime {}` takes this one", own.display());
    vec![Finding::missing(ABOUT, "runtime", seen).remedy(remedy)]
}

/// Where there is a Podman: the path that it takes, from whichever of its files, or its words.
fn runtime_of_podman() -> Option<Result<String, String>> {
    let said = ask(&find("podman")?, &["info", "--format", "{{.Host.OCIRuntime.Path}}"]);
    Some(said.map(|path| path.trim().to_owned()))
}

/// Buildah tells nobody which runtime it takes: that of its variable, or else that of Podman's files.
fn buildah(own: &Path) -> Vec<Finding> {
    const ABOUT: &str = "buildah";
    if find("buildah").is_none() {
        return Vec::new();
    }
    let (seen, path) = match (std::env::var("BUILDAH_RUNTIME"), runtime_of_podman()) {
        (Ok(chosen), _) => (format!("BUILDAH_RUNTIME is {chosen}"), chosen),
        (_, Some(Ok(path))) => (format!("that of Podman, {path}"), path),
        _ => ("that of containers.conf, which nobody here can tell".to_owned(), String::new()),
    };
    vec![match is_own(&path, own) {
        true => Finding::ok(ABOUT, "runtime", seen),
        false => {
            Finding::note(ABOUT, "runtime", seen).remedy(format!("export BUILDAH_RUNTIME={}", own.display()))
        }
    }]
}

fn crio(own: &Path) -> Vec<Finding> {
    const ABOUT: &str = "crio";
    let Some(program) = find("crio") else { return Vec::new() };
    let config = match ask(&program, &["config"]) {
        Ok(config) => config,
        Err(words) => return vec![fails(ABOUT, "crio config", &words)],
    };
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
    fn a_disabled_plugin_is_known_by_its_whole_name() {
        assert!(has_no_cri("version = 3\ndisabled_plugins = ['a', 'io.containerd.grpc.v1.cri']\n"));
        assert!(!has_no_cri("disabled_plugins = ['io.containerd.cri.v1.images']\n"));
    }

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
