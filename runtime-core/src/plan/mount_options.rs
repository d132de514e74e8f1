//! One table: what each mount option means (runtime-spec config.md, "Linux mount options"; mount(8)).
//!
//! mount(2) mixed three kinds of flags in one word. The newer calls keep them apart, and so does this table: those
//! of the file system (its superblock, set with fsconfig(2)), those of one mount of it (mount_setattr(2)), and the
//! propagation type. An option that is not in the table is a parameter of the file system itself, `size=64k` say.

pub(crate) use super::access_times::{ATIME_MASK, NOATIME, STRICTATIME};
use super::access_times::{Atime, AtimeSwitches};
use super::problems::{Pointer, Problems};
use std::ffi::CString;

/// Attributes for mount_setattr(2), as `MOUNT_ATTR_*` bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttributes {
    /// Bits to set. An access-time mode stands here together with `MOUNT_ATTR__ATIME` in `clear`.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
}

impl MountAttributes {
    /// Nothing to change.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }
}

/// A key for fsconfig(2): a flag when there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// For example `size`.
    pub key: CString,
    /// For example `65536k`.
    pub value: Option<CString>,
}

/// Symbolic links at the ends of a bind mount; usually both are followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BindLinks {
    /// Mount the link at the source, not what it leads to (`src-nofollow`).
    pub keep_source: bool,
    /// Mount onto the link at the target, not onto what it leads to (`dest-nofollow`).
    pub keep_target: bool,
    /// In place of a mount make the same link at the target (`copy-symlink`).
    pub copy: bool,
}

/// `MOUNT_ATTR_RDONLY`, from linux/mount.h.
pub(crate) const RDONLY: u64 = 0x0000_0001;
/// `MOUNT_ATTR_NOSUID`.
pub(crate) const NOSUID: u64 = 0x0000_0002;
/// `MOUNT_ATTR_NODEV`.
pub(crate) const NODEV: u64 = 0x0000_0004;
/// `MOUNT_ATTR_NOEXEC`.
pub(crate) const NOEXEC: u64 = 0x0000_0008;
/// `MOUNT_ATTR_NODIRATIME`.
pub(crate) const NODIRATIME: u64 = 0x0000_0080;
/// `MOUNT_ATTR_NOSYMFOLLOW`.
pub(crate) const NOSYMFOLLOW: u64 = 0x0020_0000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Says what holds anyway.
    Nothing,
    /// A bit of this mount: on.
    Set(u64),
    /// A bit of this mount: off.
    Clear(u64),
    /// A mode of access times, on or off.
    Atime(Atime, bool),
    /// A bit of this mount and of all below: on.
    SetAll(u64),
    /// Likewise: off.
    ClearAll(u64),
    /// A mode of access times of this mount and of all below.
    AtimeAll(Atime),
    /// A flag of the file system, by its fsconfig(2) key.
    Superblock,
    /// `ro` and `rw`: of the mount, and of the file system where it is new.
    Readonly(bool),
    /// A propagation type.
    Propagation(u64),
    Bind {
        recursive: bool,
    },
    Remount,
    CopyUp,
    /// Other ids than the files have.
    IdMap {
        recursive: bool,
    },
    /// A flag of the file system that has no key: of mount(2) alone, on or off.
    Flag(u64, bool),
    /// A link at the source is copied.
    CopyLink,
    /// A link at the source is what is mounted.
    KeepSource,
    /// A link at the target is what is mounted onto.
    KeepTarget,
}

/// Sorted by name.
#[rustfmt::skip]
const TABLE: &[(&str, Effect)] = {
    use Effect::*;
    &[
        ("async", Superblock),
        ("atime", Atime(self::Atime::Never, false)),
        ("bind", Bind { recursive: false }),
        ("copy-symlink", CopyLink),
        ("defaults", Nothing),
        ("dest-nofollow", KeepTarget),
        ("dev", Clear(NODEV)),
        ("diratime", Clear(NODIRATIME)),
        ("dirsync", Superblock),
        ("exec", Clear(NOEXEC)),
        ("idmap", IdMap { recursive: false }),
        ("iversion", Flag(libc::MS_I_VERSION, true)),
        ("lazytime", Superblock),
        ("loud", Flag(libc::MS_SILENT, false)),
        ("mand", Superblock),
        ("noatime", Atime(self::Atime::Never, true)),
        ("nodev", Set(NODEV)),
        ("nodiratime", Set(NODIRATIME)),
        ("noexec", Set(NOEXEC)),
        ("noiversion", Flag(libc::MS_I_VERSION, false)),
        ("nolazytime", Superblock),
        ("nomand", Superblock),
        ("norelatime", Atime(self::Atime::Relative, false)),
        ("nostrictatime", Atime(self::Atime::Strict, false)),
        ("nosuid", Set(NOSUID)),
        ("nosymfollow", Set(NOSYMFOLLOW)),
        ("private", Propagation(libc::MS_PRIVATE)),
        ("ratime", AtimeAll(self::Atime::Relative)),
        ("rbind", Bind { recursive: true }),
        ("rdev", ClearAll(NODEV)),
        ("rdiratime", ClearAll(NODIRATIME)),
        ("relatime", Atime(self::Atime::Relative, true)),
        ("remount", Remount),
        ("rexec", ClearAll(NOEXEC)),
        ("ridmap", IdMap { recursive: true }),
        ("rnoatime", AtimeAll(self::Atime::Never)),
        ("rnodev", SetAll(NODEV)),
        ("rnodiratime", SetAll(NODIRATIME)),
        ("rnoexec", SetAll(NOEXEC)),
        ("rnorelatime", AtimeAll(self::Atime::Relative)),
        ("rnostrictatime", AtimeAll(self::Atime::Relative)),
        ("rnosuid", SetAll(NOSUID)),
        ("rnosymfollow", SetAll(NOSYMFOLLOW)),
        ("ro", Readonly(true)),
        ("rprivate", Propagation(libc::MS_PRIVATE | libc::MS_REC)),
        ("rrelatime", AtimeAll(self::Atime::Relative)),
        ("rro", SetAll(RDONLY)),
        ("rrw", ClearAll(RDONLY)),
        ("rshared", Propagation(libc::MS_SHARED | libc::MS_REC)),
        ("rslave", Propagation(libc::MS_SLAVE | libc::MS_REC)),
        ("rstrictatime", AtimeAll(self::Atime::Strict)),
        ("rsuid", ClearAll(NOSUID)),
        ("rsymfollow", ClearAll(NOSYMFOLLOW)),
        ("runbindable", Propagation(libc::MS_UNBINDABLE | libc::MS_REC)),
        ("rw", Readonly(false)),
        ("shared", Propagation(libc::MS_SHARED)),
        ("silent", Flag(libc::MS_SILENT, true)),
        ("slave", Propagation(libc::MS_SLAVE)),
        ("src-nofollow", KeepSource),
        ("strictatime", Atime(self::Atime::Strict, true)),
        ("suid", Clear(NOSUID)),
        ("symfollow", Clear(NOSYMFOLLOW)),
        ("sync", Superblock),
        ("tmpcopyup", CopyUp),
        ("unbindable", Propagation(libc::MS_UNBINDABLE)),
    ]
};

fn effect(option: &str) -> Option<Effect> {
    let index = TABLE.binary_search_by(|(name, _)| (*name).cmp(option)).ok()?;
    Some(TABLE[index].1)
}

/// Every option that is understood, sorted: what `husk features` lists.
pub(crate) fn known() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// The options that take away what a more privileged mount namespace may have locked: each way to say them.
pub(crate) fn locked_options(attributes: MountAttributes) -> Vec<&'static str> {
    let names =
        [(RDONLY, "rw"), (NOSUID, "suid"), (NODEV, "dev"), (NOEXEC, "exec"), (ATIME_MASK, "access times")];
    names.into_iter().filter(|(bits, _)| attributes.clear & bits != 0).map(|(_, name)| name).collect()
}

/// The propagation type of that name, for `rootfsPropagation`.
pub(crate) fn propagation(name: &str) -> Option<u64> {
    match effect(name) {
        Some(Effect::Propagation(flags)) => Some(flags),
        _ => None,
    }
}

/// `idmap` or `ridmap`.
#[derive(Debug)]
pub(super) struct IdMapOption {
    pub(super) recursive: bool,
    /// What stands behind `=`, when something does.
    pub(super) text: Option<String>,
    pub(super) index: usize,
}

/// What the options of one mount say, sorted by kind.
#[derive(Debug, Default)]
pub(super) struct MountOptions {
    /// `bind` or `rbind`: the latter as `true`.
    pub(super) bind: Option<bool>,
    pub(super) remount: bool,
    pub(super) copy_up: bool,
    pub(super) id_map: Option<IdMapOption>,
    pub(super) links: BindLinks,
    /// `MS_…` flags for mount(2).
    pub(super) flags: u64,
    /// `ro` or `rw`, when either is given.
    pub(super) readonly: Option<bool>,
    /// Of this mount; `ro` and `rw` are not in it.
    pub(super) attributes: MountAttributes,
    pub(super) recursive_attributes: MountAttributes,
    pub(super) propagation: Vec<u64>,
    /// Flags and parameters of the file system, each with its index; `ro` and `rw` are not in it.
    pub(super) parameters: Vec<(usize, Parameter)>,
}

impl MountOptions {
    /// Reads a list of options, from left to right; of contradicting ones the last wins.
    pub(super) fn read(options: &[String], place: &Pointer<'_>, problems: &mut Problems) -> MountOptions {
        let mut read = MountOptions::default();
        let mut atime = AtimeSwitches::default();
        for (index, option) in options.iter().enumerate() {
            match effect(option) {
                Some(Effect::Nothing) => {}
                Some(Effect::Set(bit)) => read.attributes.switch(bit, true),
                Some(Effect::Clear(bit)) => read.attributes.switch(bit, false),
                Some(Effect::Atime(mode, on)) => atime.switch(mode, on),
                Some(Effect::SetAll(bit)) => read.recursive_attributes.switch(bit, true),
                Some(Effect::ClearAll(bit)) => read.recursive_attributes.switch(bit, false),
                Some(Effect::AtimeAll(mode)) => read.recursive_attributes.set_atime(mode),
                Some(Effect::Readonly(on)) => read.readonly = Some(on),
                Some(Effect::Propagation(flags)) => read.propagation.push(flags),
                Some(Effect::Bind { recursive }) => {
                    read.bind = Some(recursive || read.bind == Some(true));
                }
                Some(Effect::Remount) => read.remount = true,
                Some(Effect::CopyUp) => read.copy_up = true,
                Some(Effect::IdMap { recursive }) => {
                    read.id_map = Some(IdMapOption { recursive, text: None, index });
                }
                Some(Effect::Flag(flag, true)) => read.flags |= flag,
                Some(Effect::Flag(flag, false)) => read.flags &= !flag,
                Some(Effect::CopyLink) => read.links.copy = true,
                Some(Effect::KeepSource) => read.links.keep_source = true,
                Some(Effect::KeepTarget) => read.links.keep_target = true,
                Some(Effect::Superblock) => {
                    let key = CString::new(option.as_str()).unwrap_or_default();
                    read.parameters.push((index, Parameter { key, value: None }));
                }
                None => match option.split_once('=').map(|(name, text)| (effect(name), text)) {
                    Some((Some(Effect::IdMap { recursive }), text)) => {
                        let text = Some(text.to_owned());
                        read.id_map = Some(IdMapOption { recursive, text, index });
                    }
                    _ => read.parameter(option, &place.item(index), index, problems),
                },
            }
        }
        let is_there = read.bind.is_some() || read.remount;
        if is_there {
            // Named off, access times of what is there stay as they are; see `AtimeSwitches::mode`.
            read.attributes.clear &= !NODIRATIME;
        }
        match atime.mode(is_there) {
            Some(mode) => read.attributes.set_atime(mode),
            // mount(2) takes it for the whole of what is said about access times.
            None if is_there && read.attributes.set & NODIRATIME != 0 => {
                read.attributes.set_atime(Atime::Relative);
            }
            None => {}
        }
        read
    }

    fn parameter(&mut self, option: &str, place: &Pointer<'_>, index: usize, problems: &mut Problems) {
        // Commas separate options on a command line; engines pass several in one string now and then.
        for part in split_at_commas(option).filter(|part| !part.is_empty()) {
            let (key, value) = match part.split_once('=') {
                // Quotes keep commas together where all options are one string.
                Some((key, value)) => {
                    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                    (key, Some(problems.text(place, bare.unwrap_or(value))))
                }
                None => (part, None),
            };
            if key.is_empty() {
                problems.add(place, format!("{option:?} has no name before \"=\""));
                continue;
            }
            let key = problems.text(place, key);
            self.parameters.push((index, Parameter { key, value }));
        }
    }
}

/// Splits at commas, but for those after a backslash (overlay's paths) and those between quotes (SELinux contexts).
fn split_at_commas(text: &str) -> impl Iterator<Item = &str> {
    let (mut escaped, mut quoted) = (false, false);
    text.split(move |c| {
        let splits = c == ',' && !escaped && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}

impl MountAttributes {
    fn switch(&mut self, bit: u64, on: bool) {
        let (to, from) = if on { (&mut self.set, &mut self.clear) } else { (&mut self.clear, &mut self.set) };
        *to |= bit;
        *from &= !bit;
    }

    /// mount_setattr(2): the whole mask has to be cleared for a mode to be set.
    fn set_atime(&mut self, mode: Atime) {
        self.set = self.set & !ATIME_MASK | mode.attribute();
        self.clear |= ATIME_MASK;
    }

    /// What a remount means by naming any flag: that those which are not named are off, as with mount(8). Where a bind
    /// source has flags that a user namespace may not clear, they stay instead.
    pub(super) fn clear_the_rest(&mut self, may_be_locked: bool) {
        if self.is_empty() {
            return;
        }
        let lockable = if may_be_locked { 0 } else { RDONLY | NOSUID | NODEV | NOEXEC };
        // Strict times are those of directories too, also where that cannot be had.
        let names_times = self.clear & ATIME_MASK != 0;
        let is_strict = self.set & ATIME_MASK == STRICTATIME;
        let times = if names_times && (is_strict || !may_be_locked) { NODIRATIME } else { 0 };
        self.clear |= (lockable | times | NOSYMFOLLOW) & !self.set;
    }

    /// Read-only, or writable.
    pub(super) fn is_readonly(self) -> bool {
        self.set & RDONLY != 0
    }

    pub(super) fn set_readonly(&mut self, readonly: bool) {
        self.switch(RDONLY, readonly);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::access_times::RELATIME;

    fn read(options: &[&str]) -> MountOptions {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let mut problems = Problems::new();
        let read = MountOptions::read(&options, &Pointer::ROOT, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        read
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_last_of_contradicting_options_wins() {
        assert_eq!(read(&["nosuid", "suid"]).attributes, MountAttributes { set: 0, clear: NOSUID });
        assert_eq!(read(&["suid", "nosuid"]).attributes, MountAttributes { set: NOSUID, clear: 0 });
        assert_eq!(read(&["ro", "rw"]).readonly, Some(false));
    }

    #[test]
    fn access_times_are_one_mode() {
        let atime = |options: &[&str]| {
            let MountAttributes { set, clear } = read(options).attributes;
            (clear & ATIME_MASK != 0).then_some(set & ATIME_MASK)
        };
        assert_eq!(atime(&["noatime"]), Some(NOATIME));
        assert_eq!(atime(&["noatime", "relatime"]), Some(NOATIME));
        assert_eq!(atime(&["noatime", "strictatime"]), Some(STRICTATIME));
        assert_eq!(atime(&["noatime", "atime"]), Some(RELATIME));
        assert_eq!(atime(&["norelatime"]), None);
        assert_eq!(atime(&["nodiratime"]), None);
    }

    #[test]
    fn recursive_access_times_clear_the_mask() {
        let attributes = read(&["rnoatime", "rro"]).recursive_attributes;
        assert_eq!(attributes, MountAttributes { set: NOATIME | RDONLY, clear: ATIME_MASK });
    }

    #[test]
    fn what_is_unknown_belongs_to_the_file_system() {
        let parameters = read(&["mode=755", "nr_inodes=1k,huge=never", "newinstance"]).parameters;
        let text: Vec<_> = parameters
            .iter()
            .map(|(index, p)| {
                (*index, p.key.to_str().unwrap(), p.value.as_ref().map(|v| v.to_str().unwrap()))
            })
            .collect();
        assert_eq!(
            text,
            [
                (0, "mode", Some("755")),
                (1, "nr_inodes", Some("1k")),
                (1, "huge", Some("never")),
                (2, "newinstance", None)
            ]
        );
    }
}
