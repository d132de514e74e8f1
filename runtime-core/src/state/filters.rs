//! Compiled filters: most containers of a host have the same profile, and compiling it costs more than all the rest of
//! planning.
//!
//! They are files in a directory below the runtime's root whose name is no container's id. Invariants: what is read from
//! there is used only if the directory and the file belong to this user and nobody else may write to them; if the file
//! holds the whole profile, byte for byte, and the name of the compiler (no hash decides what a container may do); and if
//! the program would pass the kernel's check. Everything else is as good as nothing, and is compiled again. Files appear
//! whole, by rename, and there are never more than [`MOST`] of them.

use super::directory::replace_file;
use crate::plan::Compile;
use crate::spec::LinuxSeccomp;
use husk_seccomp::{Problem, Program};
use nix::fcntl::OFlag;
use std::cell::RefCell;
use std::fs::{self, DirBuilder, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "@filters";
/// How many are kept; then the oldest goes.
const MOST: usize = 64;
/// No profile and its program are longer.
const LONGEST: u64 = 1 << 20;

/// Compiles profiles, and remembers.
#[derive(Debug)]
pub(crate) struct FilterCache {
    directory: PathBuf,
    /// What was compiled and is not kept yet: its path, its key, itself.
    new: RefCell<Option<(PathBuf, Vec<u8>, Program)>>,
}

impl FilterCache {
    /// The one of this runtime's root.
    pub(crate) fn of(root: &Path) -> FilterCache {
        FilterCache { directory: root.join(DIRECTORY), new: RefCell::new(None) }
    }

    /// Keeps what was compiled: not before it has been of use, so that nothing is written for a container that never was,
    /// nor on a full disk the room taken that a container needs.
    pub(crate) fn remember(&self) {
        if let Some((path, key, program)) = self.new.take() {
            self.keep(&path, &key, &program);
        }
    }

    fn find(&self, path: &Path, key: &[u8]) -> Option<Program> {
        let is_ours =
            |file: &Metadata| file.uid() == nix::unistd::geteuid().as_raw() && file.mode() & 0o022 == 0;
        let directory = fs::symlink_metadata(&self.directory).ok()?;
        let file = File::options().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).ok()?;
        let metadata = file.metadata().ok()?;
        if !(directory.is_dir() && is_ours(&directory) && metadata.is_file() && is_ours(&metadata)) {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(LONGEST)).unwrap_or(0));
        file.take(LONGEST).read_to_end(&mut bytes).ok()?;
        let (sum, content) = bytes.split_first_chunk()?;
        if u64::from_ne_bytes(*sum) != sum_of(content) {
            return None;
        }
        Program::from_bytes(content.strip_prefix(key)?)
    }

    /// One that cannot be kept is compiled again.
    fn keep(&self, path: &Path, key: &[u8], program: &Program) {
        let content = [key, &program.to_bytes()].concat();
        let bytes = [&sum_of(&content).to_ne_bytes()[..], &content].concat();
        let _ = DirBuilder::new().recursive(true).mode(0o711).create(self.directory.parent().unwrap_or(path));
        let _ = DirBuilder::new().mode(0o700).create(&self.directory);
        self.make_room();
        let _ = replace_file(path, &bytes, 0o600);
    }

    fn make_room(&self) {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        for (_, path) in files.iter().take((files.len() + 1).saturating_sub(MOST)) {
            let _ = fs::remove_file(path);
        }
    }
}

impl Compile for FilterCache {
    fn compile(&self, profile: &LinuxSeccomp) -> Result<Program, Vec<Problem>> {
        let Some(key) = key_of(profile) else { return husk_seccomp::compile(profile) };
        let path = self.directory.join(format!("{:016x}", sum_of(&key)));
        if let Some(program) = self.find(&path, &key) {
            return Ok(program);
        }
        let program = husk_seccomp::compile(profile)?;
        self.new.replace(Some((path, key, program.clone())));
        Ok(program)
    }
}

/// The compiler and the profile, and where they end.
fn key_of(profile: &LinuxSeccomp) -> Option<Vec<u8>> {
    let mut key = husk_seccomp::compiler().into_bytes();
    key.push(b'\n');
    serde_json::to_writer(&mut key, profile).ok()?;
    key.push(b'\n');
    Some(key)
}

/// Tells files apart, and damaged ones from whole ones; nothing rests on its strength.
fn sum_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Root {
            let path = std::env::temp_dir().join(format!("husk-filters-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Root(path)
        }

        fn files(&self) -> Vec<PathBuf> {
            let entries = fs::read_dir(self.0.join(DIRECTORY)).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn profile(errno: u32) -> LinuxSeccomp {
        serde_json::from_value(json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno }]
        }))
        .expect("a profile")
    }

    fn bytes(program: Result<Program, Vec<Problem>>) -> Vec<u8> {
        program.expect("a program").to_bytes()
    }

    /// Everything allowed: what an attacker would like to see installed.
    fn permissive() -> Program {
        let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
        husk_seccomp::compile(&serde_json::from_value(profile).expect("a profile")).expect("a program")
    }

    #[test]
    fn a_second_compilation_is_remembered() {
        let root = Root::new("second");
        let cache = FilterCache::of(&root.0);
        let fresh = bytes(husk_seccomp::compile(&profile(1)));
        assert_eq!(bytes(cache.compile(&profile(1))), fresh);
        assert!(root.files().is_empty(), "nothing is kept before it was of use");
        cache.remember();
        let [file] = root.files().try_into().expect("one file");
        assert_eq!(fs::metadata(&file).expect("a file").mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(root.0.join(DIRECTORY)).expect("a directory").mode() & 0o777, 0o700);
        // That it is read shows in what comes out when another program stands there for this very profile.
        let key = key_of(&profile(1)).expect("a key");
        cache.keep(&file, &key, &permissive());
        assert_eq!(bytes(cache.compile(&profile(1))), permissive().to_bytes());
        assert_ne!(bytes(cache.compile(&profile(2))), permissive().to_bytes());
    }

    #[test]
    fn what_is_not_this_profiles_is_not_used() {
        let root = Root::new("poison");
        let cache = FilterCache::of(&root.0);
        let fresh = bytes(cache.compile(&profile(1)));
        cache.remember();
        let [file] = root.files().try_into().expect("one file");
        let good = fs::read(&file).expect("the file");
        let key = key_of(&profile(1)).expect("a key");
        let try_one = |what: &str| assert_eq!(bytes(cache.compile(&profile(1))), fresh, "{what}");
        // Another profile's, under this one's name.
        cache.keep(&file, &key_of(&profile(2)).expect("a key"), &permissive());
        try_one("another profile");
        for at in [0, 8, 40, good.len() / 2, good.len() - 1] {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            fs::write(&file, damaged).expect("write");
            try_one("a damaged file");
        }
        fs::write(&file, &good[..good.len() - 8]).expect("write");
        try_one("half a file");
        fs::remove_file(&file).expect("remove");
        std::os::unix::fs::symlink("/dev/zero", &file).expect("link");
        try_one("a link");
        // One that somebody else could have written.
        cache.keep(&file, &key, &permissive());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).expect("chmod");
        try_one("a file that others may write");
        cache.keep(&file, &key, &permissive());
        fs::set_permissions(root.0.join(DIRECTORY), fs::Permissions::from_mode(0o777)).expect("chmod");
        try_one("a directory that others may write");
    }

    #[test]
    fn there_are_never_many() {
        let root = Root::new("many");
        let cache = FilterCache::of(&root.0);
        for errno in 0..80 {
            cache.compile(&profile(errno)).expect("a program");
            cache.remember();
            assert!(root.files().len() <= MOST);
        }
        assert_eq!(root.files().len(), MOST);
    }

    #[test]
    fn a_root_that_cannot_be_written_costs_nothing_but_time() {
        let fresh = bytes(husk_seccomp::compile(&profile(1)));
        let cache = FilterCache::of(Path::new("/proc/self"));
        assert_eq!(bytes(cache.compile(&profile(1))), fresh);
        cache.remember();
    }
}
