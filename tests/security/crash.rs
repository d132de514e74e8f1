//! A runtime that dies, or is let down by the kernel, at any of its system calls: what it leaves can be asked for and
//! deleted, and then there is nothing left.
//!
//! The short form takes some calls of each command, always the same ones; `make soak` takes all of them.

use std::fs;
use std::path::PathBuf;

use husk_conformance::suite::{Case, note};
use husk_conformance::{Container, Lab, Outcome, Stop, case, eventually, traces};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::rounds;
use crate::traced::{self, Fault, Traced};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(create_killed_at_any_call),
        case!(start_killed_at_any_call),
        case!(exec_killed_at_any_call),
        case!(update_killed_at_any_call),
        case!(delete_killed_at_any_call),
        case!(create_with_any_call_failing),
        case!(start_with_any_call_failing),
        case!(exec_with_any_call_failing),
        case!(update_with_any_call_failing),
        case!(delete_with_any_call_failing),
        case!(storm_on_one_id),
        case!(state_directory_becomes_read_only),
        case!(state_directory_becomes_full),
    ]
}

const ERRORS: [Errno; 5] = [Errno::ENOMEM, Errno::EPERM, Errno::EIO, Errno::ENOSPC, Errno::EMFILE];

/// Calls whose failure is none that a program could live with, by their numbers on x86_64: memory, the end itself, and
/// what the language's runtime does before main.
const VITAL: [(u64, &str); 16] = [
    (9, "mmap"),
    (10, "mprotect"),
    (11, "munmap"),
    (12, "brk"),
    (13, "rt_sigaction"),
    (15, "rt_sigreturn"),
    (25, "mremap"),
    (28, "madvise"),
    (60, "exit"),
    (131, "sigaltstack"),
    (158, "arch_prctl"),
    (218, "set_tid_address"),
    (231, "exit_group"),
    (273, "set_robust_list"),
    (318, "getrandom"),
    (334, "rseq"),
];

const POLL: u64 = 7;

/// One command of the runtime on one container, tried with one fault after another.
struct Trial<'a, 'lab> {
    lab: &'lab Lab,
    container: &'a Container<'lab>,
    args: Vec<String>,
}

impl Trial<'_, '_> {
    fn run(&self, fault: Fault) -> Result<Traced, Stop> {
        let root = self.container.state_root.to_string_lossy().into_owned();
        let args: Vec<&str> =
            ["--root", &root].into_iter().chain(self.args.iter().map(String::as_str)).collect();
        traced::run(&self.lab.runtime.path, &args, &self.container.directory.join("traced"), fault)
    }
}

/// The indexes to try, of `count` calls.
fn indexes(count: usize, most: usize) -> impl Iterator<Item = usize> {
    // An odd step, so that pairs of calls do not hide one.
    let step = if rounds() >= 1000 { 1 } else { (count / most).max(1) | 1 };
    (0..count).step_by(step)
}

/// Prepares, runs with a fault, checks, for each of the calls that a run without fault makes. What is found is collected,
/// so that one long run tells all.
fn each_fault<'lab>(
    lab: &'lab Lab,
    args: impl Fn(&Container<'lab>) -> Vec<String>,
    faults: impl Fn(usize, u64) -> Vec<Fault>,
    container: &mut Container<'lab>,
    prepare: impl Fn(&Container<'lab>) -> Outcome,
    check: impl Fn(&Container<'lab>, &Traced) -> Outcome,
) -> Outcome {
    let container = &*container;
    prepare(container)?;
    let trial = Trial { lab, container, args: args(container) };
    let whole = trial.run(Fault::None)?;
    assert_eq!(whole.code, 0, "without a fault: {}", whole.stderr);
    check(container, &whole)?;
    // What the language's runtime asks of its streams before main, and it aborts if there is no answer.
    let before_main = whole.calls.iter().position(|&call| call == POLL).unwrap_or(0);
    let (mut injected, mut findings) = (0, Vec::new());
    for index in indexes(whole.calls.len(), 12) {
        let call = if index == before_main { VITAL[0].0 } else { whole.calls[index] };
        for fault in faults(index, call) {
            prepare(container)?;
            let traced = trial.run(fault)?;
            injected += 1;
            if let Err(stop) = check(container, &traced) {
                findings.push(format!(
                    "{fault:?} (call {call}) ended with {} and said {:?}: {stop:?}",
                    traced.code, traced.stderr
                ));
                sweep(container);
            }
        }
    }
    container.force_delete()?.ok();
    container.nothing_left()?;
    let verb = trial.args.first().map_or("", String::as_str);
    note(&format!("{verb}: {} calls, {injected} faults, {} findings", whole.calls.len(), findings.len()));
    if findings.is_empty() { Ok(()) } else { Err(Stop::Failed(findings.join("\n"))) }
}

/// Takes away by force what a finding has left, for the next fault.
fn sweep(container: &Container<'_>) {
    let _ = container.force_delete();
    traces::remove(&container.id);
    let _ = fs::remove_dir_all(container.state_root.join(&container.id));
}

fn kill(index: usize, _: u64) -> Vec<Fault> {
    vec![Fault::Kill(index)]
}

fn fail(index: usize, call: u64) -> Vec<Fault> {
    if VITAL.iter().any(|&(number, _)| number == call) {
        return Vec::new();
    }
    let all = ERRORS.map(|errno| Fault::Fail(index, errno));
    if rounds() >= 1000 { all.to_vec() } else { vec![all[index % all.len()]] }
}

/// Killed by the fault, or ended by itself: with a status and never by a signal of its own making.
fn ended_well(traced: &Traced) -> Outcome {
    let by_fault = traced.code == -9;
    if by_fault || traced.code >= 0 { Ok(()) } else { Err(Stop::Failed("it crashed".to_owned())) }
}

/// `state` answers, or says that there is no such container.
fn state_answers(container: &Container<'_>) -> Outcome {
    let state = container.verb("state")?;
    if state.code() == 0 || state.stderr.contains("does not exist") {
        return Ok(());
    }
    Err(Stop::Failed(format!("no answer: {state}")))
}

fn deleted_completely(container: &Container<'_>, traced: &Traced) -> Outcome {
    ended_well(traced)?;
    state_answers(container)?;
    let deleted = container.force_delete()?;
    if deleted.code() != 0 {
        return Err(Stop::Failed(format!("not deleted: {deleted}")));
    }
    container.nothing_left()
}

fn nothing(_: &Container<'_>) -> Outcome {
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn sleeper(lab: &Lab) -> Result<Container<'_>, Stop> {
    if cfg!(not(target_arch = "x86_64")) {
        return husk_conformance::unable("the numbers of system calls are those of x86_64");
    }
    let mut container = lab.container()?;
    container.config.args(&["/bin/sleep", "1000"]);
    container.write_config()?;
    Ok(container)
}

fn create(container: &Container<'_>) -> Vec<String> {
    words(&["create", "--bundle", &container.bundle.to_string_lossy(), &container.id])
}

fn make(container: &Container<'_>) -> Outcome {
    container.create()?.ok();
    Ok(())
}

fn run_if_gone(container: &Container<'_>) -> Outcome {
    if container.state_root.join(&container.id).exists() {
        return Ok(());
    }
    container.run_with(&["--detach"])?.output()?.ok();
    Ok(())
}

/// A container that runs goes on running, alone.
fn still_running(container: &Container<'_>, traced: &Traced) -> Outcome {
    ended_well(traced)?;
    if container.status()? != "running" {
        return Err(Stop::Failed(format!("the container is {}", container.status()?)));
    }
    eventually("only its init", || {
        Ok(container
            .runtime(["ps", "--format", "json", &container.id])?
            .output()?
            .ok()
            .stdout
            .trim()
            .matches(',')
            .count()
            == 0)
    })
}

fn create_killed_at_any_call(lab: &Lab) -> Outcome {
    each_fault(lab, create, kill, &mut sleeper(lab)?, nothing, deleted_completely)
}

fn start_killed_at_any_call(lab: &Lab) -> Outcome {
    let args = |container: &Container<'_>| words(&["start", &container.id]);
    each_fault(lab, args, kill, &mut sleeper(lab)?, make, deleted_completely)
}

fn delete_killed_at_any_call(lab: &Lab) -> Outcome {
    let args = |container: &Container<'_>| words(&["delete", "--force", &container.id]);
    each_fault(lab, args, kill, &mut sleeper(lab)?, make, deleted_completely)
}

fn exec_killed_at_any_call(lab: &Lab) -> Outcome {
    let args = |container: &Container<'_>| words(&["exec", &container.id, "/bin/true"]);
    each_fault(lab, args, kill, &mut sleeper(lab)?, run_if_gone, still_running)
}

fn update_args(container: &Container<'_>) -> Vec<String> {
    words(&["update", "--pids-limit", "77", &container.id])
}

fn update_killed_at_any_call(lab: &Lab) -> Outcome {
    let check = |container: &Container<'_>, traced: &Traced| {
        still_running(container, traced)?;
        container.runtime(["update", "--pids-limit", "55", &container.id])?.output()?.ok();
        Ok(())
    };
    each_fault(lab, update_args, kill, &mut sleeper(lab)?, run_if_gone, check)
}

/// What fails leaves nothing by itself; what succeeds all the same is a container.
fn create_with_any_call_failing(lab: &Lab) -> Outcome {
    let check = |container: &Container<'_>, traced: &Traced| {
        ended_well(traced)?;
        if traced.code != 0 {
            if traced.stderr.is_empty() {
                return Err(Stop::Failed("it failed without a word".to_owned()));
            }
            container.nothing_left()?;
        }
        deleted_completely(container, traced)
    };
    each_fault(lab, create, fail, &mut sleeper(lab)?, nothing, check)
}

fn start_with_any_call_failing(lab: &Lab) -> Outcome {
    let args = |container: &Container<'_>| words(&["start", &container.id]);
    each_fault(lab, args, fail, &mut sleeper(lab)?, make, deleted_completely)
}

fn delete_with_any_call_failing(lab: &Lab) -> Outcome {
    let args = |container: &Container<'_>| words(&["delete", "--force", &container.id]);
    each_fault(lab, args, fail, &mut sleeper(lab)?, make, deleted_completely)
}

fn exec_with_any_call_failing(lab: &Lab) -> Outcome {
    let args = |container: &Container<'_>| words(&["exec", &container.id, "/bin/true"]);
    each_fault(lab, args, fail, &mut sleeper(lab)?, run_if_gone, still_running)
}

fn update_with_any_call_failing(lab: &Lab) -> Outcome {
    each_fault(lab, update_args, fail, &mut sleeper(lab)?, run_if_gone, still_running)
}

/// Everybody at once: each command ends with a status and, if it fails, with words.
fn storm_on_one_id(lab: &Lab) -> Outcome {
    let container = sleeper(lab)?;
    let bundle = container.bundle.to_string_lossy().into_owned();
    let id = container.id.as_str();
    let commands: [&[&str]; 10] = [
        &["create", "--bundle", &bundle, id],
        &["start", id],
        &["state", id],
        &["delete", "--force", id],
        &["create", "--bundle", &bundle, id],
        &["kill", id, "KILL"],
        &["exec", id, "/bin/true"],
        &["update", "--pids-limit", "50", id],
        &["delete", id],
        &["run", "--detach", "--bundle", &bundle, id],
    ];
    for _ in 0..(rounds() / 10).max(1) {
        let running: Vec<_> = commands
            .iter()
            .map(|command| container.runtime(*command)?.spawn())
            .collect::<Result<_, Stop>>()?;
        for running in running {
            let finished = running.wait()?;
            assert!(finished.code() < 128 || finished.code() == 255, "{finished}");
            assert!(finished.code() == 0 || !finished.stderr.is_empty(), "{finished}");
        }
        container.force_delete()?.ok();
        container.nothing_left()?;
    }
    Ok(())
}

/// A mount on the state directory, gone when dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn state_directory_becomes_read_only(lab: &Lab) -> Outcome {
    let container = sleeper(lab)?;
    fs::create_dir(&container.state_root)?;
    let place = container.state_root.clone();
    mount(Some(&place), &place, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let mounted = Mounted(place.clone());
    container.run_with(&["--detach"])?.output()?.ok();
    let remount = |flags: MsFlags| {
        mount(
            None::<&str>,
            &place,
            None::<&str>,
            MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags,
            None::<&str>,
        )
    };
    remount(MsFlags::MS_RDONLY)?;
    assert_eq!(container.status()?, "running");
    container.exec(&[], &["/bin/echo", "still here"])?.ok().prints("still here");
    container.sibling()?.create()?.exits(1).says(&["read-only"]);
    container.force_delete()?.exits(1).says(&["read-only"]);
    remount(MsFlags::empty())?;
    state_answers(&container)?;
    container.force_delete()?.ok();
    drop(mounted);
    container.nothing_left()
}

fn state_directory_becomes_full(lab: &Lab) -> Outcome {
    let container = sleeper(lab)?;
    fs::create_dir(&container.state_root)?;
    let place = container.state_root.clone();
    mount(Some("tmpfs"), &place, Some("tmpfs"), MsFlags::empty(), Some("size=64k"))?;
    let mounted = Mounted(place.clone());
    container.run_with(&["--detach"])?.output()?.ok();
    let limit = |file: &str| {
        let found = traces::cgroups(&container.id).into_iter().find(|path| path.join(file).exists());
        found.map(|path| fs::read_to_string(path.join(file))).transpose()
    };
    let before = limit("pids.max")?;
    assert!(fs::write(place.join("filler"), vec![0; 1 << 20]).is_err());
    assert_eq!(container.status()?, "running");
    container.exec(&[], &["/bin/echo", "still here"])?.ok().prints("still here");
    container
        .runtime(["update", "--pids-limit", "77", &container.id])?
        .output()?
        .exits(1)
        .says(&["no space"]);
    assert_eq!(limit("pids.max")?, before, "what could not be recorded is taken back");
    container.force_delete()?.ok();
    drop(mounted);
    container.nothing_left()
}
