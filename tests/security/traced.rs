//! A runtime that is stopped at each of its system calls (ptrace(2)): it is killed there, or the call fails.
//!
//! Only the calling process is followed. What it makes, a container's init or a hook, goes its own way, as it would if
//! the runtime were killed by somebody else.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use husk_conformance::Stop;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// What happens at a call, counted from the first after execve(2).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    None,
    /// SIGKILL, before the call is made.
    Kill(usize),
    /// The call is not made, and fails with this.
    Fail(usize, Errno),
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Traced {
    /// The numbers of its system calls, in order.
    pub(crate) calls: Vec<u64>,
    /// Its exit status, or the number of the signal that ended it, below zero.
    pub(crate) code: i32,
    /// What it said.
    pub(crate) stderr: String,
}

/// No command here takes nearly as long, even if every call is a stop.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a command of the runtime to its end. Its output goes to files beside `output`.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: &Path,
    args: &[S],
    output: &Path,
    fault: Fault,
) -> Result<Traced, Stop> {
    let stderr = output.with_extension("err");
    // A process that stops itself can be seized before the program begins.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(program).args(args);
    command.stdin(Stdio::null()).stdout(std::fs::File::create(output.with_extension("out"))?);
    let child = command.stderr(std::fs::File::create(&stderr)?).spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED))?;
    if !matches!(stopped, WaitStatus::Stopped(..)) {
        return Err(Stop::Failed(format!("the shell did not stop: {stopped:?}")));
    }
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options)?;
    kill(pid, Signal::SIGCONT)?;
    let (calls, code) = follow(pid, fault)?;
    Ok(Traced { calls, code, stderr: std::fs::read_to_string(&stderr)? })
}

fn follow(pid: Pid, fault: Fault) -> Result<(Vec<u64>, i32), Stop> {
    let (mut calls, mut executed, mut inside, mut failing) = (Vec::new(), false, false, None);
    let since = Instant::now();
    loop {
        let mut signal = None;
        match waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL))? {
            WaitStatus::StillAlive => {
                if since.elapsed() > DEADLINE {
                    let _ = kill(pid, Signal::SIGKILL);
                    let _ = waitpid(pid, Some(WaitPidFlag::__WALL));
                    return Err(Stop::Failed(format!("did not end within {DEADLINE:?}, with {fault:?}")));
                }
                std::thread::sleep(Duration::from_micros(50));
                continue;
            }
            WaitStatus::Exited(_, code) => return Ok((calls, code)),
            WaitStatus::Signaled(_, signal, _) => return Ok((calls, -(signal as i32))),
            WaitStatus::PtraceEvent(_, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 => {
                executed = true
            }
            WaitStatus::PtraceSyscall(_) => {
                inside = !inside;
                if executed && inside && failing.is_none() {
                    calls.push(ptrace::getregs(pid)?.orig_rax);
                    match fault {
                        Fault::Kill(index) if index + 1 == calls.len() => {
                            kill(pid, Signal::SIGKILL)?;
                            continue;
                        }
                        Fault::Fail(index, errno) if index + 1 == calls.len() => {
                            let mut registers = ptrace::getregs(pid)?;
                            registers.orig_rax = u64::MAX;
                            ptrace::setregs(pid, registers)?;
                            failing = Some(errno);
                        }
                        _ => {}
                    }
                } else if let (false, Some(errno)) = (inside, failing) {
                    let mut registers = ptrace::getregs(pid)?;
                    registers.rax = (-i64::from(errno as i32)).cast_unsigned();
                    ptrace::setregs(pid, registers)?;
                    failing = None;
                }
            }
            WaitStatus::Stopped(_, delivered) if !matches!(delivered, Signal::SIGTRAP | Signal::SIGSTOP) => {
                signal = Some(delivered);
            }
            _ => {}
        }
        match ptrace::syscall(pid, signal) {
            // Killed meanwhile.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
