//! The bundle behind `husk try`: an ordinary one, which `husk run` and any other runtime can run again.
//!
//! ```text
//! config.json   the default config, with the views of this machine as its first mounts
//! rootfs/       the mount points, and the symbolic links of /
//! changes/etc   what the container changes in /etc; in /var/log, mounted by itself: changes/var+log
//! work/etc      the overlay's own
//! ```

use super::directories::{View, views};
use crate::args::{CPU_PERIOD_US, Network, Try};
use crate::commands::indented;
use crate::report::Failure;
use serde_json::{Value, json};
use std::fs::{DirBuilder, create_dir, create_dir_all};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

/// Capabilities of a container's root that engines agree on.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What a program needs to know of the caller's environment.
const ENVIRONMENT: [&str; 9] =
    ["PATH", "TERM", "COLORTERM", "LANG", "LC_ALL", "HOME", "USER", "LOGNAME", "SHELL"];

/// Where the bundle comes to be and what it is to run.
#[derive(Debug)]
pub(super) struct Place<'a> {
    directory: &'a Path,
    args: Try,
    terminal: bool,
}

impl Place<'_> {
    pub(super) fn new(directory: &Path, args: Try, terminal: bool) -> Place<'_> {
        Place { directory, args, terminal }
    }
}

/// Writes it all. The directory is there and empty.
pub(super) fn make(place: &Place<'_>) -> Result<(), Failure> {
    let directory = place.directory;
    let failed =
        |error| Failure::system(format_args!("cannot make a bundle in {}", directory.display()), error);
    let mounts = lay_out(directory).map_err(failed)?;
    let config = config(place, mounts)?;
    std::fs::write(directory.join("config.json"), config).map_err(failed)
}

/// Makes the directories, and gives the mounts that show this machine.
fn lay_out(directory: &Path) -> std::io::Result<Vec<Value>> {
    for name in ["rootfs", "changes", "work"] {
        create_dir(directory.join(name))?;
    }
    let rootfs = directory.join("rootfs");
    let mut mounts = Vec::new();
    for view in views()? {
        match view {
            View::Link(path, target) => symlink(target, inside(&rootfs, &path))?,
            View::ReadOnly(path) => mounts.push(json!({
                "destination": path, "source": path, "type": "bind", "options": ["bind", "ro"],
            })),
            View::Overlay(path) => {
                create_dir_all(inside(&rootfs, &path)).or_else(shown_already)?;
                let name = path.to_string_lossy().trim_start_matches('/').replace('/', "+");
                let (changes, work) =
                    (directory.join("changes").join(&name), directory.join("work").join(&name));
                like(&path, &changes)?;
                create_dir(&work)?;
                mounts.push(json!({
                    "destination": path, "source": "overlay", "type": "overlay",
                    "options": [
                        format!("lowerdir={}", path.display()),
                        format!("upperdir={}", changes.display()),
                        format!("workdir={}", work.display()),
                    ],
                }));
            }
        }
    }
    Ok(mounts)
}

/// A mount point below another view lies in that view.
fn shown_already(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    }
}

fn inside(rootfs: &Path, path: &Path) -> PathBuf {
    rootfs.join(path.strip_prefix("/").unwrap_or(path))
}

/// An overlay's root has the mode and owner of its upper directory, so that takes those of the lower one.
fn like(original: &Path, new: &Path) -> std::io::Result<()> {
    let metadata = std::fs::metadata(original)?;
    DirBuilder::new().mode(0o700).create(new)?;
    chown(new, Some(metadata.uid()), Some(metadata.gid()))?;
    std::fs::set_permissions(new, metadata.permissions())
}

fn config(place: &Place<'_>, views: Vec<Value>) -> Result<Vec<u8>, Failure> {
    let odd = |error: serde_json::Error| Failure::new(format!("cannot write the config: {error}"));
    let mut config: Value =
        serde_json::from_slice(&indented(&husk_core::default_spec(false))?).map_err(odd)?;
    let args = &place.args;
    config["hostname"] = json!("husk-try");
    config["root"] = json!({ "path": "rootfs", "readonly": false });
    config["process"] = process(place);
    let mut mounts = views;
    if let Some(Value::Array(own)) = config.get_mut("mounts") {
        mounts.append(own);
    }
    mounts.push(tmpfs("/run", "mode=0755"));
    mounts.push(tmpfs("/tmp", "mode=1777"));
    if args.network == Network::Host {
        if let Some(Value::Array(namespaces)) = config.pointer_mut("/linux/namespaces") {
            namespaces.retain(|namespace| namespace["type"] != "network");
        }
        mounts.extend(name_servers());
    }
    config["mounts"] = Value::Array(mounts);
    limit(&mut config["linux"], args);
    // Through the type, so that it comes out in the specification's order.
    let (spec, _) = husk_core::read_spec(config.to_string().as_bytes())?;
    indented(&spec)
}

fn process(place: &Place<'_>) -> Value {
    let command = match place.args.command.as_slice() {
        [] => vec![
            std::env::var("SHELL")
                .ok()
                .filter(|shell| !shell.is_empty())
                .unwrap_or_else(|| "/bin/sh".to_owned()),
        ],
        command => command.to_vec(),
    };
    let env: Vec<String> =
        ENVIRONMENT.iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?))).collect();
    json!({
        "terminal": place.terminal,
        "user": { "uid": 0, "gid": 0 },
        "args": command,
        "env": env,
        "cwd": working_directory(),
        "noNewPrivileges": true,
        "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
    })
}

/// The caller's, where it is shown.
fn working_directory() -> PathBuf {
    let hidden =
        |path: &PathBuf| ["/proc", "/sys", "/dev", "/run", "/tmp"].iter().any(|own| path.starts_with(own));
    std::env::current_dir().ok().filter(|path| !hidden(path)).unwrap_or_else(|| "/".into())
}

fn tmpfs(destination: &str, mode: &str) -> Value {
    json!({
        "destination": destination, "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "nodev", mode],
    })
}

/// systemd-resolved keeps resolv.conf in /run, which is not shown.
fn name_servers() -> Option<Value> {
    let path = Path::new("/etc/resolv.conf").canonicalize().ok().filter(|path| path.starts_with("/run"))?;
    Some(json!({ "destination": path, "source": path, "type": "bind", "options": ["bind", "ro"] }))
}

fn limit(linux: &mut Value, args: &Try) {
    if let Some(bytes) = args.memory {
        linux["resources"]["memory"] = json!({ "limit": bytes });
    }
    if let Some(quota_us) = args.cpu_quota_us {
        linux["resources"]["cpu"] = json!({ "quota": quota_us, "period": CPU_PERIOD_US });
    }
    if let Some(count) = args.pids {
        linux["resources"]["pids"] = json!({ "limit": count });
    }
}
