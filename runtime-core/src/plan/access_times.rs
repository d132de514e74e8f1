//! When files remember that they were read: the one mode that a mount has, and the flags in which options speak of it.

/// `MOUNT_ATTR__ATIME`: the mask of the access-time mode, which is a number and not a set of bits.
pub(crate) const ATIME_MASK: u64 = 0x0000_0070;
/// `MOUNT_ATTR_RELATIME`: the mode that the kernel takes unless told otherwise.
pub(crate) const RELATIME: u64 = 0x0000_0000;
/// `MOUNT_ATTR_NOATIME`.
pub(crate) const NOATIME: u64 = 0x0000_0010;
/// `MOUNT_ATTR_STRICTATIME`.
pub(crate) const STRICTATIME: u64 = 0x0000_0020;

/// The three modes of access times, which `mount` options switch on and off one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Atime {
    Relative,
    Never,
    Strict,
}

impl Atime {
    pub(super) const fn attribute(self) -> u64 {
        match self {
            Atime::Relative => RELATIME,
            Atime::Never => NOATIME,
            Atime::Strict => STRICTATIME,
        }
    }
}

/// mount(2) takes the modes as three independent flags and then lets one win; options are written with that in mind.
#[derive(Debug, Default)]
pub(super) struct AtimeSwitches {
    relative: Option<bool>,
    never: Option<bool>,
    strict: Option<bool>,
}

impl AtimeSwitches {
    pub(super) fn switch(&mut self, mode: Atime, on: bool) {
        let switch = match mode {
            Atime::Relative => &mut self.relative,
            Atime::Never => &mut self.never,
            Atime::Strict => &mut self.strict,
        };
        *switch = Some(on);
    }

    /// Strict wins over never, never over relative, as in mount(2). Switching a mode off means the kernel's default for
    /// a new mount, and what holds already for one that is there; `norelatime` alone says nothing, since there is no
    /// default other than relatime.
    pub(super) fn mode(&self, is_there: bool) -> Option<Atime> {
        match (self.strict, self.never, self.relative) {
            (Some(true), _, _) => Some(Atime::Strict),
            (_, Some(true), _) => Some(Atime::Never),
            (_, _, Some(true)) => Some(Atime::Relative),
            (Some(false), _, _) | (_, Some(false), _) if !is_there => Some(Atime::Relative),
            _ => None,
        }
    }
}
