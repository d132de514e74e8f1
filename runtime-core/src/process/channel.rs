//! The few words that the runtime and the new process say to each other, over a `SOCK_SEQPACKET` pair.
//!
//! One byte a word; a failure is not a word, it stands in the flight recorder. When one side is gone the other reads
//! an end of file: the runtime looks at the recorder, the new process ends.

use crate::sys::{Call, Failed, Result, receive_fd, send_fd};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Runtime: go on (maps are written, hooks have run, limits are set).
    Go,
    /// New process: everything is mounted, the runtime's hooks can run.
    MountsDone,
    /// New process: the mount of the plan with this index is the fd that comes along; map its ids.
    MapIds(i32),
    /// New process: all is done but the start itself.
    Ready,
    /// New process: its filter comes now, and with it a listener for the runtime to take.
    Filtered,
    /// Joiner: the process in the namespaces has this id, as the runtime's pid namespace counts.
    Born(i32),
}

impl Word {
    fn encode(self) -> [u8; 5] {
        let (tag, number) = match self {
            Word::Go => (b'g', 0),
            Word::MountsDone => (b'm', 0),
            Word::MapIds(index) => (b'i', index),
            Word::Ready => (b'r', 0),
            Word::Filtered => (b'f', 0),
            Word::Born(pid) => (b'b', pid),
        };
        let [a, b, c, d] = number.to_ne_bytes();
        [tag, a, b, c, d]
    }

    fn decode(bytes: [u8; 5]) -> Option<Word> {
        let [tag, a, b, c, d] = bytes;
        match tag {
            b'g' => Some(Word::Go),
            b'm' => Some(Word::MountsDone),
            b'i' => Some(Word::MapIds(i32::from_ne_bytes([a, b, c, d]))),
            b'r' => Some(Word::Ready),
            b'f' => Some(Word::Filtered),
            b'b' => Some(Word::Born(i32::from_ne_bytes([a, b, c, d]))),
            _ => None,
        }
    }
}

/// What is understood is said in the same bytes, but for a number that does not belong to the word.
#[cfg(feature = "fuzzing")]
pub(crate) fn check_word(bytes: [u8; 5]) {
    if let Some(word) = Word::decode(bytes) {
        assert_eq!(Word::decode(word.encode()), Some(word));
        assert_eq!(word.encode()[0], bytes[0]);
    }
}

/// The new process says a word. With write(2), which even a filter allows that allows little; when the runtime has gone it
/// ends like any program whose reader has gone.
pub(crate) fn say(channel: BorrowedFd<'_>, word: Word) -> Result<()> {
    loop {
        match nix::unistd::write(channel, &word.encode()) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(Errno::EPIPE | Errno::ECONNRESET) => {
                return Err(Failed::new(Call::RuntimeGone, Errno::EPIPE));
            }
            Err(errno) => return Err(Failed::new(Call::Write, errno)),
        }
    }
}

/// Says a word that an fd belongs to.
pub(crate) fn say_with(channel: BorrowedFd<'_>, word: Word, fd: BorrowedFd<'_>) -> Result<()> {
    send_fd(channel, fd, &word.encode())
}

/// The runtime says a word. Should the new process have gone, the next word that is awaited tells.
pub(crate) fn answer(channel: BorrowedFd<'_>, word: Word) -> Result<()> {
    loop {
        match send(channel.as_raw_fd(), &word.encode(), MsgFlags::MSG_NOSIGNAL) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed::new(Call::Sendmsg, errno)),
        }
    }
}

/// The runtime hears a word, and takes the fd that may come along; `None` when the other side is gone.
pub(crate) fn hear(channel: BorrowedFd<'_>) -> Result<(Option<Word>, Option<OwnedFd>)> {
    let mut bytes = [0; 5];
    loop {
        match receive_fd(channel, &mut bytes) {
            Ok((5, fd)) => return Ok((Word::decode(bytes), fd)),
            Ok(_) | Err(Failed { errno: Errno::ECONNRESET, .. }) => return Ok((None, None)),
            Err(Failed { errno: Errno::EINTR, .. }) => {}
            Err(failed) => return Err(failed),
        }
    }
}

/// The new process waits for the runtime's word to go on. With read(2), as it writes with write(2).
pub(crate) fn wait_for_go(channel: BorrowedFd<'_>) -> Result<()> {
    let mut bytes = [0; 5];
    loop {
        match nix::unistd::read(channel, &mut bytes) {
            Ok(5) if Word::decode(bytes) == Some(Word::Go) => return Ok(()),
            Ok(_) | Err(Errno::ECONNRESET) => return Err(Failed::new(Call::RuntimeGone, Errno::EPIPE)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failed::new(Call::Read, errno)),
        }
    }
}
