//! What a new process does last, be it the container's init or one that is executed in it: stdio, identity, working
//! directory, and the search for its executable, as the user that will execute it.

use super::filter;
use crate::credentials::{self, execution, labels, limits};
use crate::plan::{ProcessPlan, SeccompPoint, Step};
use crate::recorder::Recorder;
use crate::sys::{self, CStrings, Call, Failed, RESOLVE_IN_ROOT, Result};
use nix::errno::Errno;
use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

/// Everything that execve(2) needs, laid out before the clone.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) plan: &'a ProcessPlan,
    pub(crate) argv: CStrings<'a>,
    pub(crate) envp: CStrings<'a>,
    /// Room for `HOME`, taken when it is needed.
    home: Option<&'a mut Home>,
    /// The fds to become 0, 1 and 2 when there is no terminal; `None` to keep the caller's.
    pub(crate) stdio: Option<[RawFd; 3]>,
}

impl<'a> Program<'a> {
    pub(crate) fn new(plan: &'a ProcessPlan, home: &'a mut Home, stdio: Option<[RawFd; 3]>) -> Program<'a> {
        Program {
            plan,
            argv: CStrings::new(plan.args.iter().map(|arg| arg.as_c_str())),
            envp: CStrings::new(plan.env.iter().map(|entry| entry.as_c_str())),
            home: Some(home),
            stdio,
        }
    }
}

/// `HOME=` and a directory: room made before the clone, filled by the process that needs it.
#[derive(Debug)]
pub(crate) struct Home([u8; Home::SIZE]);

impl Home {
    const SIZE: usize = 1024;
    const KEY: &'static [u8] = b"HOME=";

    pub(crate) fn new() -> Home {
        Home([0; Home::SIZE])
    }

    fn set(&mut self, directory: &[u8]) {
        let text = Home::KEY.iter().chain(directory);
        for (room, byte) in self.0.iter_mut().take(Home::SIZE - 1).zip(text) {
            *room = *byte;
        }
    }

    fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"HOME=/")
    }
}

/// Stdio: the terminal if there is one, else the given fds, else the caller's.
pub(crate) fn connect_stdio(
    program: &Program<'_>,
    terminal: Option<BorrowedFd<'_>>,
    recorder: &Recorder,
) -> Result<()> {
    use std::os::fd::AsRawFd;
    recorder.at(Step::Stdio)?;
    if let Some(terminal) = terminal {
        sys::take_controlling_terminal(terminal)?;
        for number in 0..3 {
            sys::dup_to(terminal.as_raw_fd(), number)?;
        }
    } else if let Some(fds) = program.stdio {
        for (number, fd) in (0..).zip(fds) {
            sys::dup_to(fd, number)?;
        }
    }
    own_stdio(program.plan.user.uid);
    Ok(())
}

/// The user must be able to open `/dev/stdout` again, so the pipes and terminals behind stdio become its own. The
/// group stays, and so does the null device, which is everybody's. That some files cannot be given away is no
/// failure: a socket, a read-only file system, an owner outside the user namespace.
fn own_stdio(uid: u32) {
    for number in 0..3 {
        let fd = sys::stdio(number);
        if let Ok(stat) = sys::fstat(fd)
            && stat.uid != uid
            && !stat.is_char_device(1, 3)
        {
            let _ = nix::unistd::fchown(fd, Some(nix::unistd::Uid::from_raw(uid)), None);
        }
    }
}

/// Becomes the user of the plan, enters its directory, and finds what to execute: its index among the candidates.
pub(crate) fn prepare(
    program: &mut Program<'_>,
    channel: BorrowedFd<'_>,
    recorder: &Recorder,
) -> Result<usize> {
    let plan = program.plan;
    if plan.home_from_passwd
        && let Some(home) = program.home.take()
    {
        home.set(b"/");
        lookup_home(plan.user.uid, home)?;
        program.envp.append(home.as_cstr());
    }
    // As root first: the user may lack a right that the way to the directory needs. As the user after: root may lack
    // one too (a FUSE mount, root squashed).
    let entered = enter_directory(&plan.cwd);
    if let Some(label) = &plan.apparmor {
        recorder.at(Step::SecurityLabel)?;
        labels::set(c"attr/apparmor/exec", label)?;
    }
    if let Some(label) = &plan.selinux {
        recorder.at(Step::SecurityLabel)?;
        labels::set(c"attr/exec", label.to_bytes())?;
    }
    // Before the filter, which may know nothing of close_range(2); what is opened from here on closes by itself.
    recorder.at(Step::PreserveFds)?;
    preserve_fds(plan.preserve_fds)?;
    execution::set(plan, recorder)?;
    credentials::limit(plan, recorder)?;
    filter::install_at(SeccompPoint::BeforeCapabilities, plan, channel, recorder)?;
    credentials::assume(plan, recorder)?;
    recorder.at(Step::WorkingDirectory)?;
    if entered.is_err() {
        enter_directory(&plan.cwd)?;
    }
    check_inside_root()?;
    recorder.at(Step::FindExecutable)?;
    let index = find_executable(plan)?;
    for limit in &plan.rlimits {
        recorder.at_item(Step::Limits, limit.item)?;
        limits::set(limit)?;
    }
    Ok(index)
}

/// Without following `/proc/PID/fd/N` and its like, which lead to wherever some process has a file open.
fn enter_directory(path: &CStr) -> Result<()> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let directory = sys::openat2(sys::cwd(), path, flags, 0, libc::RESOLVE_NO_MAGICLINKS)?;
    nix::unistd::fchdir(directory.as_fd()).map_err(Failed::from(Call::Chdir))
}

/// A working directory that was reached through a leaked fd lies outside of the root (CVE-2024-21626).
fn check_inside_root() -> Result<()> {
    let mut buffer = [0u8; 4096];
    sys::getcwd(&mut buffer).map_err(|failed| match failed.errno {
        Errno::ENOENT => Failed::new(Call::OutsideRoot, Errno::ENOENT),
        _ => failed,
    })?;
    if buffer.first() == Some(&b'/') { Ok(()) } else { Err(Failed::new(Call::OutsideRoot, Errno::EXDEV)) }
}

/// The first candidate that is a file which this user may execute.
fn find_executable(plan: &ProcessPlan) -> Result<usize> {
    let named_by_path = matches!(plan.args.first(), Some(name) if name.to_bytes().contains(&b'/'));
    for (index, candidate) in plan.candidates.iter().enumerate() {
        match check_executable(candidate) {
            Ok(()) => return Ok(index),
            Err(failed) if named_by_path => return Err(failed),
            Err(_) => {}
        }
    }
    Err(Failed::new(Call::NotInPath, Errno::ENOENT))
}

/// A filter may be in force by now, so stat(2), which every profile allows, and not openat2(2).
fn check_executable(path: &CStr) -> Result<()> {
    let stat = nix::sys::stat::stat(path).map_err(Failed::from(Call::Stat))?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(Failed::new(Call::IsADirectory, Errno::EISDIR));
    }
    sys::may_execute(path)
}

/// What is to be kept stays open across execve(2); everything else closes, whoever left it open.
fn preserve_fds(count: u32) -> Result<()> {
    let end = 3 + i32::try_from(count).unwrap_or(0);
    for fd in 3..end {
        sys::keep_on_exec(fd)?;
    }
    sys::cloexec_from(end)
}

/// Installs a filter that comes last, and executes. Comes back only to say why not.
pub(crate) fn execute(
    program: &Program<'_>,
    channel: BorrowedFd<'_>,
    index: usize,
    recorder: &Recorder,
) -> Result<Infallible> {
    filter::install_at(SeccompPoint::LastBeforeExec, program.plan, channel, recorder)?;
    recorder.at(Step::Exec)?;
    Err(match program.plan.candidates.get(index) {
        Some(path) => sys::execve(path, &program.argv, &program.envp),
        None => Failed::new(Call::NotInPath, Errno::ENOENT),
    })
}

/// Looks the user up in the container's `/etc/passwd` (passwd(5)). Reads it as what it is, a hostile file: only a
/// regular one, line by line through a small buffer, and no more than a megabyte.
fn lookup_home(uid: u32, home: &mut Home) -> Result<()> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let root = sys::openat2(sys::cwd(), c"/", libc::O_PATH, 0, 0)?;
    let Ok(file) = sys::openat2(root.as_fd(), c"/etc/passwd", flags, 0, RESOLVE_IN_ROOT) else {
        return Ok(());
    };
    if !sys::fstat(file.as_fd())?.is_regular() {
        return Ok(());
    }
    let mut buffer = [0u8; 4096];
    let mut filled = 0;
    for _ in 0..256 {
        let room = buffer.get_mut(filled..).unwrap_or(&mut []);
        let length = match nix::unistd::read(file.as_fd(), room) {
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(_) => return Ok(()),
        };
        let end = filled + length;
        let mut start = 0;
        while let Some(line) = buffer.get(start..end)
            && let Some(newline) = line.iter().position(|&byte| byte == b'\n')
        {
            if let Some(directory) = home_in_line(line.get(..newline).unwrap_or(&[]), uid) {
                home.set(directory);
                return Ok(());
            }
            start += newline + 1;
        }
        if length == 0 {
            if let Some(directory) = home_in_line(buffer.get(start..end).unwrap_or(&[]), uid) {
                home.set(directory);
            }
            return Ok(());
        }
        buffer.copy_within(start..end, 0);
        filled = end - start;
        if filled == buffer.len() {
            // A line longer than the buffer is nobody's entry.
            filled = 0;
        }
    }
    Ok(())
}

/// The sixth field, if the third is this user's number and the sixth is a path.
pub(crate) fn home_in_line(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|&byte| byte == b':');
    let number = std::str::from_utf8(fields.nth(2)?).ok()?;
    if number.parse() != Ok(uid) {
        return None;
    }
    fields.nth(2).filter(|directory| !directory.is_empty())
}

#[cfg(test)]
mod tests {
    use super::home_in_line;

    #[test]
    fn the_user_is_found_by_number_and_never_by_name() {
        assert_eq!(home_in_line(b"u:x:1000:1000:U:/home/u:/bin/sh", 1000), Some(&b"/home/u"[..]));
        // CVE-2016-3697: a user named like a number.
        assert_eq!(home_in_line(b"1000:x:0:0::/root:/bin/sh", 1000), None);
        assert_eq!(home_in_line(b"broken:x:1000", 1000), None);
        assert_eq!(home_in_line(b"u:x:1000:1000:U::/bin/sh", 1000), None);
    }
}
