//! Where containers are recorded when `--root` does not say.

use crate::report::Failure;
use std::path::{Path, PathBuf};

/// The state directory, absolute.
pub(crate) fn state_directory(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(given) = given else { return Ok(default_root()) };
    let absolute = std::path::absolute(given).map_err(|error| {
        Failure::system(format_args!("cannot make --root {} absolute", given.display()), error)
    })?;
    if absolute == Path::new("/") {
        return Err(Failure::new("Option --root argument should not be set to /"));
    }
    Ok(absolute)
}

/// `/run/husk`, or `$XDG_RUNTIME_DIR/husk` for a user. A user namespace's root is a user too where `$USER` says so.
fn default_root() -> PathBuf {
    let user = !nix::unistd::geteuid().is_root()
        || (std::env::var_os("USER").is_none_or(|user| user != "root") && in_user_namespace());
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if user && !directory.is_empty() => Path::new(&directory).join("husk"),
        _ => PathBuf::from("/run/husk"),
    }
}

/// The first user namespace maps every id to itself (user_namespaces(7)).
fn in_user_namespace() -> bool {
    match std::fs::read_to_string("/proc/self/uid_map") {
        Ok(map) => map.split_whitespace().ne(["0", "0", "4294967295"]),
        Err(_) => false,
    }
}
