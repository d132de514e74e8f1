//! Which runtime Docker would call: for containers, as it says itself, and for builds, as its environment has it.

use super::Finding;
use super::question::{ask, astray, find, is_own};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const ABOUT: &str = "docker";
/// What BuildKit inside dockerd takes its runtime from.
const VARIABLE: &str = "DOCKER_BUILDKIT_RUNC_COMMAND";

/// What a daemon would take.
struct Daemon {
    /// By their names.
    runtimes: Value,
    /// A name.
    default: Value,
    /// Whether it is that of an ordinary user.
    rootless: bool,
}

impl Daemon {
    /// Where its runtimes are written.
    fn file(&self) -> PathBuf {
        file_of(self.rootless)
    }

    /// The runtimes and their paths, which are in one of two places.
    fn paths(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (name, runtime) in self.runtimes.as_object().into_iter().flatten() {
            if let Some(path) = runtime["path"].as_str().or(runtime["options"]["BinaryName"].as_str()) {
                found.push((name.clone(), path.to_owned()));
            }
        }
        found
    }
}

pub(super) fn docker(own: &Path) -> Vec<Finding> {
    let Some(client) = find("docker") else { return Vec::new() };
    let said = ask(&client, &["info", "--format", "{{json .}}"]).unwrap_or_default();
    let info: Value = serde_json::from_str(&said).unwrap_or_default();
    let mut findings = Vec::new();
    let daemon = if info["Runtimes"].is_object() {
        from_daemon(&info)
    } else if info["host"].is_object() {
        return vec![Finding::note(ABOUT, "daemon", "none: this docker is Podman")];
    } else if find("dockerd").is_none() {
        return vec![Finding::note(ABOUT, "daemon", "does not answer, and none is installed here")];
    } else {
        let rootless = file_of(true).exists() && !nix::unistd::geteuid().is_root();
        let file = file_of(rootless);
        let shown = file.display();
        findings.push(Finding::note(
            ABOUT,
            "daemon",
            format!("does not answer; what follows is from {shown}"),
        ));
        match from_file(&fs::read_to_string(&file).unwrap_or_default(), rootless) {
            Ok(daemon) => daemon,
            Err(error) => {
                let seen = format!("{shown} is no JSON: {error}");
                findings.push(Finding::missing(ABOUT, "configuration", seen));
                return findings;
            }
        }
    };
    findings.extend(for_containers(own, &daemon));
    findings.push(for_builds(own));
    findings
}

/// A daemon tells the path of a runtime, but not the options that a shim is given: its file has them.
fn from_daemon(info: &Value) -> Daemon {
    let options = info["SecurityOptions"].as_array();
    let rootless = options.is_some_and(|options| options.iter().any(|option| option == "name=rootless"));
    let text = fs::read_to_string(file_of(rootless)).unwrap_or_default();
    let written = from_file(&text, rootless).map(|daemon| daemon.runtimes).unwrap_or_default();
    let mut runtimes = info["Runtimes"].clone();
    for (name, runtime) in runtimes.as_object_mut().into_iter().flatten() {
        if runtime["path"].is_null() {
            *runtime = written[name].clone();
        }
    }
    Daemon { runtimes, default: info["DefaultRuntime"].clone(), rootless }
}

/// The same; no file is an empty configuration.
fn from_file(text: &str, rootless: bool) -> serde_json::Result<Daemon> {
    let file: Value = if text.trim().is_empty() { Value::Null } else { serde_json::from_str(text)? };
    Ok(Daemon { runtimes: file["runtimes"].clone(), default: file["default-runtime"].clone(), rootless })
}

fn file_of(rootless: bool) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".config"));
    let own = || std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    match rootless.then(own).flatten() {
        Some(own) => own.join("docker/daemon.json"),
        None => PathBuf::from("/etc/docker/daemon.json"),
    }
}

fn for_containers(own: &Path, daemon: &Daemon) -> Vec<Finding> {
    let paths = daemon.paths();
    let ours = || paths.iter().filter(|(_, path)| is_own(path, own)).map(|(name, _)| name.as_str());
    let file = daemon.file();
    let file = file.display();
    let Some(name) = ours().next() else {
        let remedy = format!(
            "in {file}: {{\"runtimes\": {{\"husk\": {{\"path\": \"{}\"}}}}}}\n\
             then: systemctl {}reload docker; docker run --runtime husk IMAGE",
            own.display(),
            if daemon.rootless { "--user " } else { "" }
        );
        let seen = astray(&paths).unwrap_or("none of its runtimes is this binary".to_owned());
        return vec![Finding::missing(ABOUT, "runtime", seen).remedy(remedy)];
    };
    let default = match daemon.default.as_str() {
        Some(default) if ours().any(|name| name == default) => Finding::ok(ABOUT, "default", default),
        default => Finding::note(ABOUT, "default", format!("{}, not husk", default.unwrap_or("runc")))
            .remedy(format!("in {file}: \"default-runtime\": \"{name}\"")),
    };
    vec![Finding::ok(ABOUT, "runtime", format!("docker run --runtime {name}")), default]
}

/// BuildKit inside dockerd does not look at the default runtime.
fn for_builds(own: &Path) -> Finding {
    let named = match environment_of_dockerd() {
        Some(environment) => value_in(&environment),
        None => {
            return Finding::note(
                ABOUT,
                "builds",
                format!("no dockerd runs here, or none to look into, for its {VARIABLE}"),
            );
        }
    };
    match named {
        Some(named) if is_own(&named, own) => {
            Finding::ok(ABOUT, "builds", format!("{VARIABLE} of dockerd is {named}"))
        }
        Some(named) => Finding::note(ABOUT, "builds", format!("{VARIABLE} of dockerd is {named}, not husk")),
        None if is_own("runc", own) => Finding::ok(ABOUT, "builds", "the runc of PATH is this binary"),
        None => Finding::note(ABOUT, "builds", "BuildKit calls runc from its PATH, whatever the default")
            .remedy(format!("in dockerd's environment: {VARIABLE}={}", own.display())),
    }
}

/// As the daemon was started with it. Only root and the daemon's own user may look.
fn environment_of_dockerd() -> Option<Vec<u8>> {
    let own_run = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let directories = own_run.into_iter().chain([PathBuf::from("/run")]);
    let pid = directories.filter_map(|run| fs::read_to_string(run.join("docker.pid")).ok()).next()?;
    fs::read(Path::new("/proc").join(pid.trim()).join("environ")).ok()
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
        assert!(from_file("", false).is_ok_and(|daemon| daemon.runtimes.is_null()));
        assert!(from_file("{ \"runtimes\": ", false).is_err());
    }

    #[test]
    fn a_path_is_given_plainly_or_as_a_shim_takes_it() {
        let text = r#"{"runtimes": {"a": {"path": "/a"}, "b": {"runtimeType": "io.containerd.runc.v2",
            "options": {"BinaryName": "/b"}}, "c": {"runtimeType": "io.containerd.other.v1"}}}"#;
        let daemon = from_file(text, false).expect("it is JSON");
        assert_eq!(
            daemon.paths(),
            [("a", "/a"), ("b", "/b")].map(|(name, path)| (name.to_owned(), path.to_owned()))
        );
    }
}
