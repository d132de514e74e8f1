//! Where containers are recorded when `--root` does not say.

use crate::report::Failure;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The state directory, absolute.
pub(crate) fn state_directory(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(given) = given else {
        return match in_runtime_directory() {
            Some(own) => make_own(own),
            None => Ok(PathBuf::from("/run/husk")),
        };
    };
    let absolute = std::path::absolute(given).map_err(|error| {
        Failure::system(format_args!("cannot make --root {} absolute", given.display()), error)
    })?;
    if absolute == Path::new("/") {
        return Err(Failure::new("Option --root argument should not be set to /"));
    }
    Ok(absolute)
}

/// `$XDG_RUNTIME_DIR/husk` for a user. A user namespace's root is a user too, unless `$USER` says that it is root.
fn in_runtime_directory() -> Option<PathBuf> {
    let directory = std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty())?;
    let user = !nix::unistd::geteuid().is_root()
        || (std::env::var_os("USER").is_none_or(|user| user != "root") && in_user_namespace());
    user.then(|| Path::new(&directory).join("husk"))
}

/// For nobody else, and with the sticky bit: it keeps those away who tidy up old files there (XDG Base Directory
/// Specification, "XDG_RUNTIME_DIR").
fn make_own(directory: PathBuf) -> Result<PathBuf, Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    let made = made.and_then(|()| std::fs::set_permissions(&directory, Permissions::from_mode(0o1700)));
    made.map_err(|error| {
        Failure::system(format_args!("cannot make {}", directory.display()), error)
            .hint("it is below $XDG_RUNTIME_DIR; set that to a directory of your own, or give --root DIR")
    })?;
    Ok(directory)
}

/// The first user namespace maps every id to itself (user_namespaces(7)).
fn in_user_namespace() -> bool {
    match std::fs::read_to_string("/proc/self/uid_map") {
        Ok(map) => map.split_whitespace().ne(["0", "0", "4294967295"]),
        Err(_) => false,
    }
}
