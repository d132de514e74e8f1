//! Prints which functions a command runs, each once, in the order of their first use, as patterns for a linker script.
//!
//!     layout MAP COMMAND...
//!
//! MAP is what the linker of that program has written (`-Wl,-Map=MAP`, lld's form); the program lies at a fixed address. The
//! command is followed instruction by instruction (ptrace(2)), and so are the processes that it makes, until they execute
//! something else. `scripts/order` asks it about husk.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [map, command @ ..] = words.as_slice() else {
        eprintln!("usage: layout MAP COMMAND...");
        return ExitCode::FAILURE;
    };
    match used(map, command) {
        Ok(patterns) => {
            let text: String = patterns.iter().map(|pattern| format!("{pattern}\n")).collect();
            ExitCode::from(u8::from(std::io::stdout().write_all(text.as_bytes()).is_err()))
        }
        Err(failure) => {
            eprintln!("layout: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn used(map: &str, command: &[String]) -> Result<Vec<String>, Failure> {
    let functions = Function::all_of(&std::fs::read_to_string(map)?);
    let mut seen = vec![false; functions.len()];
    let mut order = Vec::new();
    follow(command, |address| {
        let index = functions.partition_point(|function| function.end <= address);
        if let Some(function) = functions.get(index)
            && function.start <= address
            && !std::mem::replace(&mut seen[index], true)
        {
            order.push(&function.pattern);
        }
    })?;
    // A pattern brings all forms of a generic function together. Those that are mostly not used are better left where they are.
    let mut sizes: HashMap<&String, [u64; 2]> = HashMap::new();
    for (function, seen) in functions.iter().zip(&seen) {
        let [used, all] = sizes.entry(&function.pattern).or_default();
        *all += function.end - function.start;
        *used += if *seen { function.end - function.start } else { 0 };
    }
    let is_worth_it =
        |pattern: &&String| sizes.get(*pattern).is_some_and(|[used, all]| all - used < used * 2 + 2048);
    Ok(order.into_iter().filter(is_worth_it).cloned().collect())
}

/// What the linker moves as a whole: a section of one of its inputs.
struct Function {
    start: u64,
    end: u64,
    pattern: String,
}

impl Function {
    /// By address.
    fn all_of(map: &str) -> Vec<Function> {
        let mut all: Vec<Function> = map.lines().filter_map(Function::of).collect();
        all.sort_by_key(|function| function.start);
        all
    }

    /// Of a line like `26f5c0 26f5c0 22 16 /usr/lib/libc.a(malloc.o):(.text)`.
    fn of(line: &str) -> Option<Function> {
        let mut words = line.split_whitespace();
        let mut number = || u64::from_str_radix(words.next()?, 16).ok();
        let (start, _, length) = (number()?, number()?, number()?);
        let (file, section) = words.nth(1)?.strip_suffix(')')?.rsplit_once(":(")?;
        if !section.starts_with(".text") || length == 0 {
            return None;
        }
        let pattern = match member(file) {
            // One of C lies with the others of its file.
            Some(member) => format!("*{member}({section})"),
            // The start-up code of C, which is a pattern for everything.
            None if section == ".text" => return None,
            None => format!("*({})", without_hashes(section)),
        };
        Some(Function { start, end: start + length, pattern })
    }
}

/// A Rust function has a section to itself. In its name are hashes, which change with the compiler and its flags: at the end in
/// the old form of names, after each `Cs` in the new one; and numbers behind a dot, which LLVM gives out.
fn without_hashes(section: &str) -> String {
    if let Some((name, hash)) = section.strip_suffix('E').and_then(|name| name.rsplit_once("17h"))
        && hash.len() == 16
    {
        return format!("{name}17h*");
    }
    let Some(name) = section.strip_prefix(".text._R") else { return section.to_owned() };
    let name = name.split('.').next().unwrap_or(name);
    let mut parts = name.split("Cs");
    let mut text = format!(".text._R{}", parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once('_') {
            Some((_, rest)) => text.extend(["Cs*_", rest]),
            None => text.extend(["Cs", part]),
        }
    }
    text + "*"
}

/// `malloc.o` in `/usr/lib/libc.a(malloc.o)`, with its archive's name, as a linker script spells it.
fn member(file: &str) -> Option<String> {
    let (archive, member) = file.strip_suffix(')')?.rsplit_once('(')?;
    Some(format!("{}:{member}", archive.rsplit('/').next()?))
}

/// The first stop of a process that comes by following its maker; ptrace(2), `PTRACE_EVENT_STOP`.
const STOPPED: i32 = 128;

/// A process that waits for something goes on waiting, and not from instruction to instruction.
fn let_go(pid: Pid) -> Result<(), nix::Error> {
    ptrace::interrupt(pid)?;
    waitpid(pid, Some(WaitPidFlag::__WALL))?;
    ptrace::detach(pid, None)
}

#[cfg(target_arch = "x86_64")]
fn address(registers: &libc::user_regs_struct) -> u64 {
    registers.rip
}

#[cfg(not(target_arch = "x86_64"))]
fn address(registers: &libc::user_regs_struct) -> u64 {
    registers.pc
}

/// Calls `at` with the address of each instruction, until the command ends. What it leaves, such as an init that waits, goes on.
fn follow(command: &[String], mut at: impl FnMut(u64)) -> Result<(), Failure> {
    // A process that stops itself can be seized before the program begins.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).args(command);
    // On one processor with it: to wake the other one at each instruction takes ten times as long.
    let mut here = CpuSet::new();
    here.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &here)?;
    let child = shell.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let first = Pid::from_raw(child.id().cast_signed());
    waitpid(first, Some(WaitPidFlag::WUNTRACED))?;
    let options = Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(first, options)?;
    kill(first, Signal::SIGCONT)?;
    let mut has_begun = false;
    let mut others = HashSet::new();
    loop {
        let status = waitpid(None, Some(WaitPidFlag::__WALL))?;
        match status {
            WaitStatus::Exited(pid, code) if pid == first => {
                others.into_iter().try_for_each(let_go)?;
                return if code == 0 { Ok(()) } else { Err(format!("{command:?} ended with {code}").into()) };
            }
            WaitStatus::Signaled(pid, signal, _) if pid == first => {
                return Err(format!("{command:?} was ended by {signal}").into());
            }
            WaitStatus::PtraceEvent(pid, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 => {
                if pid == first {
                    has_begun = true;
                    ptrace::step(pid, None)?;
                } else {
                    others.remove(&pid);
                    ptrace::detach(pid, None)?;
                }
            }
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => drop(others.remove(&pid)),
            WaitStatus::PtraceEvent(pid, _, event) if event == STOPPED && pid != first => {
                others.insert(pid);
                ptrace::step(pid, None)?;
            }
            WaitStatus::Stopped(pid, Signal::SIGTRAP) if has_begun => {
                at(address(&ptrace::getregs(pid)?));
                ptrace::step(pid, None)?;
            }
            WaitStatus::PtraceEvent(pid, ..) if has_begun => ptrace::step(pid, None)?,
            WaitStatus::PtraceEvent(pid, ..) => ptrace::cont(pid, None)?,
            WaitStatus::Stopped(pid, signal) if has_begun => ptrace::step(pid, signal)?,
            WaitStatus::Stopped(pid, signal) => ptrace::cont(pid, signal)?,
            _ => {}
        }
    }
}
