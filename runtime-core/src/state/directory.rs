//! A container's directory below the runtime's root, and the lock in it.
//!
//! Invariant: files appear whole, by rename, or not at all; a crash leaves a directory that
//! [`remove`](StateDirectory::remove) takes away.

use super::record::Record;
use super::template::Template;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ContainerId;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RECORD: &str = "record.json";
const CONFIG: &str = "config.json";
const RECORDER: &str = "recorder";
const LOCK: &str = "lock";
const GATE: &str = crate::start_gate::START;
const HOOKS: &str = "hooks";
/// Where the container says that it is ready, a directory.
pub(crate) const NOTIFY: &str = "notify";

/// All that one of these directories can hold, besides files that are being written.
const OURS: [&str; 7] = [RECORD, CONFIG, RECORDER, LOCK, GATE, HOOKS, NOTIFY];

/// Who changes a container is done soon, except in a hook that takes its time.
const LOCK_WITHIN: Duration = Duration::from_secs(10);

/// The directory, open.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    handle: File,
    is_new: bool,
}

/// Held while a container is changed; others wait. Let go on drop, and by the kernel when its holder dies.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Said aloud because a copy of the fd, in a process just made, would keep it. Should it fail, closing still does it.
        let _ = self.0.unlock();
    }
}

impl StateDirectory {
    /// Makes the directory, and with it claims the id: of two that try, one wins.
    pub(crate) fn claim(root: &Path, id: &ContainerId) -> Result<StateDirectory> {
        let cannot = |error: &io::Error| {
            let what = format!("cannot create the state directory of {id} in {}", root.display());
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let error = Error::io(what, "mkdir", error);
            match denied {
                true => error.with_hint("name a directory of your own: --root DIR, or XDG_RUNTIME_DIR"),
                false => error,
            }
        };
        let path = root.join(id.as_str());
        let make = || DirBuilder::new().mode(0o711).create(&path);
        let made = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o711).create(root).and_then(|()| make())
            }
            made => made,
        };
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!("container with given ID already exists: {id}"),
                ));
            }
            Err(error) => return Err(cannot(&error)),
        }
        match File::open(&path) {
            Ok(handle) => Ok(StateDirectory { path, handle, is_new: true }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(cannot(&error))
            }
        }
    }

    /// The directory of a container that exists.
    pub(crate) fn open(root: &Path, id: &ContainerId) -> Result<StateDirectory> {
        let path = root.join(id.as_str());
        match File::open(&path) {
            Ok(handle) => Ok(StateDirectory { path, handle, is_new: false }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(Error::new(ErrorKind::NotFound, format!("container does not exist: {id}")))
            }
            Err(error) => Err(Error::io(format!("cannot open {}", path.display()), "open", &error)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Waits until nobody else changes this container.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let deadline = Instant::now() + LOCK_WITHIN;
        let mut pause = Duration::from_micros(500);
        loop {
            match self.try_lock()? {
                Ok(lock) => return Ok(lock),
                Err(file) if Instant::now() >= deadline => return Err(self.busy(&file)),
                Err(_) => {}
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Takes the lock, or gives back its file when somebody else has it.
    pub(crate) fn try_lock(&self) -> Result<std::result::Result<Lock, File>> {
        let path = self.path.join(LOCK);
        let cannot = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => self.gone(),
            _ => Error::io(format!("cannot lock {}", path.display()), "flock", error),
        };
        let open =
            |create| File::options().create(create).truncate(false).write(true).mode(0o600).open(&path);
        let file = match open(self.is_new) {
            // Its runtime died before it had the lock, if it was a container's.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_ours()?;
                open(true)
            }
            file => file,
        };
        let file = file.map_err(|error| cannot(&error))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => return Ok(Err(file)),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(cannot(&error)),
            }
        }
        let lock = Lock(file);
        // Whoever had it before may have deleted the container, and its id may be another's by now.
        if lock.0.metadata().map_err(|error| cannot(&error))?.nlink() == 0 {
            return Err(self.gone());
        }
        Ok(Ok(lock))
    }

    fn name(&self) -> std::path::Display<'_> {
        Path::new(self.path.file_name().unwrap_or_default()).display()
    }

    fn gone(&self) -> Error {
        Error::new(ErrorKind::NotFound, format!("container does not exist: {}", self.name()))
    }

    fn busy(&self, lock: &File) -> Error {
        let holder = match holder(lock) {
            Some(pid) => format!("process {pid}"),
            None => "another process".to_owned(),
        };
        let seconds = LOCK_WITHIN.as_secs();
        let sentence =
            format!("container {} is being changed by {holder}, for more than {seconds} s", self.name());
        Error::new(ErrorKind::TimedOut, sentence).with_hint(
            "husk state says where it stands; once that process has ended, the container can be deleted",
        )
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        replace_file(&path, bytes, 0o600)
            .map_err(|error| Error::io(format!("cannot write {}", path.display()), "write", &error))
    }

    pub(crate) fn write_record(&self, record: &Record) -> Result<()> {
        let bytes = serde_json::to_vec(record)
            .map_err(|error| Error::new(ErrorKind::System, format!("cannot write the record: {error}")))?;
        self.replace(RECORD, &bytes)
    }

    pub(crate) fn write_config(&self, bytes: &[u8]) -> Result<()> {
        self.replace(CONFIG, bytes)
    }

    pub(crate) fn read_config(&self) -> Result<Vec<u8>> {
        let path = self.path.join(CONFIG);
        fs::read(&path).map_err(|error| Error::io(format!("cannot read {}", path.display()), "read", &error))
    }

    /// The record; `None` when it was never written, since the runtime died first.
    pub(crate) fn read_record(&self) -> Result<Option<Record>> {
        let path = self.path.join(RECORD);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.check_ours().map(|()| None),
            Err(error) => return Err(Error::io(format!("cannot read {}", path.display()), "read", &error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::new(ErrorKind::System, format!("{} is damaged: {error}", path.display()))
                .with_hint("delete --force removes the container")
        })
    }

    /// A directory without a record was left by a crash, or is none of ours: another runtime's container, if somebody gave
    /// its root to this one, or whatever else a root that was misspelt contains. That is not to be deleted.
    fn check_ours(&self) -> Result<()> {
        let foreign = fs::read_dir(&self.path).into_iter().flatten().flatten().find(|entry| {
            let name = entry.file_name();
            !OURS.iter().any(|&ours| name == ours) && !is_unfinished(&name)
        });
        let Some(foreign) = foreign else { return Ok(()) };
        let sentence = format!(
            "{} is not a container of husk: it holds {}",
            self.path.display(),
            foreign.file_name().display()
        );
        Err(Error::new(ErrorKind::InvalidInput, sentence)
            .with_hint("another runtime may have made it; husk's own containers are found by the --root that they were made with"))
    }

    /// Whether it is a container's, or may have become one's.
    pub(crate) fn is_ours(&self) -> bool {
        self.path.join(RECORD).exists() || self.check_ours().is_ok()
    }

    /// A new flight recorder, or the one that is there.
    pub(crate) fn recorder_file(&self, create: bool) -> io::Result<File> {
        let path = self.path.join(RECORDER);
        File::options().read(true).write(create).create(create).mode(0o600).open(path)
    }

    /// A new file for what the hooks in the container say, or the one that is there: those before the start are asked about
    /// by who creates, the others by who starts.
    pub(crate) fn hooks_file(&self, create: bool) -> io::Result<File> {
        let path = self.path.join(HOOKS);
        File::options().read(true).append(create).create(create).mode(0o600).open(path)
    }

    /// Takes the directory away. The record goes first and the directory last, so that a crash in between leaves
    /// what looks like a container that never came to be.
    pub(crate) fn remove(&self) -> Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        gone(fs::remove_file(self.path.join(RECORD)))
            .and_then(|()| {
                // Most have these and no more; a look at what there is costs more than all of it.
                for name in [CONFIG, RECORDER, GATE, LOCK] {
                    let _ = fs::remove_file(self.path.join(name));
                }
                fs::remove_dir(&self.path).or_else(|_| gone(fs::remove_dir_all(&self.path)))
            })
            .map_err(|error| Error::io(format!("cannot remove {}", self.path.display()), "unlink", &error))?;
        if let Some(root) = self.path.parent() {
            Template::of(root).let_go();
        }
        Ok(())
    }
}

/// Who holds a lock on this file, as /proc/locks shows it (proc_locks(5)).
fn holder(file: &File) -> Option<i32> {
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let fields = locks.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    // `1: FLOCK ADVISORY WRITE 4711 00:1a:815 0 EOF`; a waiting one has `->` behind its number.
    let mut held = fields.filter_map(|fields| match fields.as_slice() {
        [_, "FLOCK", _, _, pid, place, ..] if place.ends_with(&inode) => pid.parse().ok(),
        _ => None,
    });
    held.find(|&pid| pid > 0)
}

/// Whether [`replace_file`] was killed in the middle of one of ours.
fn is_unfinished(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    OURS.iter().any(|ours| name.strip_prefix(b".").is_some_and(|name| name.starts_with(ours.as_bytes())))
}

/// Replaces a file: readers see the old content or the new.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
