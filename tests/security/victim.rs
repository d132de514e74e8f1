//! The part of the host that an attack aims at, and that has to stay as it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use husk_conformance::{Container, Stop};

/// A directory with a secret in it, outside of every root.
#[derive(Debug)]
pub(crate) struct Victim {
    pub(crate) directory: PathBuf,
    before: Vec<String>,
}

/// What no container may ever show.
pub(crate) const SECRET: &str = "the host's secret";

impl Victim {
    pub(crate) fn of(container: &Container<'_>) -> Result<Victim, Stop> {
        let directory = container.directory.join("victim");
        fs::create_dir(&directory)?;
        fs::create_dir(directory.join("below"))?;
        fs::write(directory.join("file"), SECRET)?;
        fs::set_permissions(directory.join("file"), fs::Permissions::from_mode(0o640))?;
        let mut victim = Victim { directory, before: Vec::new() };
        victim.before = victim.facts()?;
        Ok(victim)
    }

    /// A file of it.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join("file")
    }

    fn facts(&self) -> Result<Vec<String>, Stop> {
        let mut facts = Vec::new();
        describe(&self.directory, &mut facts)?;
        Ok(facts)
    }

    /// Nothing was made, written, owned or mounted there.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        let (before, now) = (&self.before, self.facts()?);
        if *before != now {
            return Err(Stop::Failed(format!("the host was changed:\n  {before:?}\n  {now:?}")));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        match mounts.lines().find(|line| line.contains(&*self.directory.to_string_lossy())) {
            Some(line) => Err(Stop::Failed(format!("mounted on the host: {line}"))),
            None => Ok(()),
        }
    }
}

fn describe(path: &Path, facts: &mut Vec<String>) -> Result<(), Stop> {
    let found = fs::symlink_metadata(path)?;
    let content = if found.is_file() { fs::read_to_string(path)? } else { String::new() };
    facts.push(format!(
        "{} mode {:o} owner {}:{} changed {}.{} device {} {content}",
        path.display(),
        found.mode(),
        found.uid(),
        found.gid(),
        found.ctime(),
        found.ctime_nsec(),
        found.dev(),
    ));
    if found.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Stop>>()?;
        entries.sort();
        entries.iter().try_for_each(|entry| describe(entry, facts))?;
    }
    Ok(())
}
