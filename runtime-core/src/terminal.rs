//! The container's terminal: a pseudo-terminal of the container's own devpts.
//!
//! The new process opens the master inside its root, checks that it really lies on a devpts, takes the slave of that
//! very master (CVE-2025-52565), and sends the master over the console socket.

use crate::plan::TerminalPlan;
use crate::rootfs;
use crate::sys::{self, Call, Failed, RESOLVE_IN_ROOT, Result};
use nix::errno::Errno;
use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `DEVPTS_SUPER_MAGIC`, statfs(2).
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// What engines get as the message's data: the name of the master, as runc sends it.
const MASTER_NAME: &[u8] = b"/dev/ptmx";

/// Opens a terminal below `root`, sends its master away, and gives the slave. With `console` it becomes
/// `/dev/console` too.
pub(crate) fn open(
    root: BorrowedFd<'_>,
    plan: TerminalPlan,
    socket: BorrowedFd<'_>,
    console: bool,
) -> Result<OwnedFd> {
    let master = sys::openat2(root, c"/dev/pts/ptmx", libc::O_RDWR | libc::O_NOCTTY, 0, RESOLVE_IN_ROOT)?;
    if sys::filesystem_magic(master.as_fd())? != DEVPTS_SUPER_MAGIC
        || !sys::fstat(master.as_fd())?.is_char_device(5, 2)
    {
        return Err(Failed::new(Call::NotADevpts, Errno::ENODEV));
    }
    sys::unlock_pty(master.as_fd())?;
    let slave = sys::pty_peer(master.as_fd())?;
    plain_newlines(slave.as_fd())?;
    if plan.rows != 0 || plan.columns != 0 {
        sys::set_window_size(slave.as_fd(), plan.rows, plan.columns)?;
    }
    if console {
        let target = rootfs::cover_target(root, c"/dev/console")?;
        let mount = sys::open_tree(slave.as_fd(), c"", false)?;
        sys::move_mount(mount.as_fd(), target.as_fd())?;
    }
    sys::send_fd(socket, master.as_fd(), MASTER_NAME)?;
    Ok(slave)
}

/// Output stays as the process writes it: whoever shows it translates newlines, once.
fn plain_newlines(slave: BorrowedFd<'_>) -> Result<()> {
    let mut settings = tcgetattr(slave).map_err(Failed::from(Call::Ioctl))?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(slave, SetArg::TCSANOW, &settings).map_err(Failed::from(Call::Ioctl))
}
