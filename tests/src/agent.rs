//! An agent that answers the system calls of a container which its seccomp profile notifies (seccomp_unotify(2)).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use libseccomp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags, ScmpSyscall, notify_id_valid};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::descriptors::{SILENCE, receive};
use crate::{Outcome, Stop, eventually};

/// A call that waits for its answer.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The call's name.
    pub name: String,
    /// Who makes it.
    pub pid: u32,
    /// Its arguments.
    pub args: [u64; 6],
    id: u64,
    listener: i32,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It returns this, and is not made.
    Value(i64),
    /// It fails with this, and is not made.
    Errno(i32),
    /// It is made.
    Continue,
}

impl Asked {
    /// The text to which an argument leads.
    pub fn text(&self, argument: usize) -> Result<String, Stop> {
        let mut bytes = [0; 256];
        let read = File::open(format!("/proc/{}/mem", self.pid))?.read_at(&mut bytes, self.args[argument])?;
        let text = bytes[..read].split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Whether it still waits: no signal has ended its wait.
    pub fn still_waits(&self) -> bool {
        notify_id_valid(self.listener, self.id).is_ok()
    }
}

/// Listens for containers and answers their calls, until the test process ends or it is told to [stop](Agent::stop).
#[derive(Debug)]
pub struct Agent {
    /// Where it listens.
    pub path: PathBuf,
    states: Receiver<Value>,
    asked: Receiver<Asked>,
    stopped: Arc<AtomicBool>,
}

impl Agent {
    /// Listens in `directory`, and answers as `answer` says.
    pub fn listen(
        directory: &Path,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Result<Agent, Stop> {
        let path = directory.join("agent.sock");
        let listener = UnixListener::bind(&path)?;
        let (tell_state, states) = channel();
        let (tell_asked, asked) = channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let (answer, stop) = (Arc::new(answer), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok((fd, text)) = stream.map_err(Stop::from).and_then(|stream| receive(&stream)) else {
                    return;
                };
                let state = serde_json::from_str(&text).unwrap_or(Value::String(text));
                if tell_state.send(state).is_err() {
                    return;
                }
                let (answer, tell_asked, stop) = (Arc::clone(&answer), tell_asked.clone(), Arc::clone(&stop));
                thread::spawn(move || serve(fd, answer.as_ref(), &tell_asked, &stop));
            }
        });
        Ok(Agent { path, states, asked, stopped })
    }

    /// One that lets every call be made.
    pub fn permitting(directory: &Path) -> Result<Agent, Stop> {
        Agent::listen(directory, |_| Answer::Continue)
    }

    /// The state that came with the next listener.
    pub fn state(&self) -> Result<Value, Stop> {
        self.states.recv_timeout(SILENCE).map_err(|_| Stop::Failed("no listener came to the agent".into()))
    }

    /// Whether no further listener has come.
    pub fn has_no_more(&self) -> bool {
        self.states.try_recv().is_err()
    }

    /// The next call that it is asked about.
    pub fn next(&self) -> Result<Asked, Stop> {
        self.asked.recv_timeout(SILENCE).map_err(|_| Stop::Failed("the agent was asked about no call".into()))
    }

    /// Lets go of all listeners.
    pub fn stop(&self) -> Outcome {
        self.stopped.store(true, Ordering::Relaxed);
        // Besides the agent itself only the thread that accepts knows of this.
        eventually("the end of all who answer", || Ok(Arc::strong_count(&self.stopped) == 2))
    }

    /// The names of the calls that it was asked about so far.
    pub fn names(&self) -> Vec<String> {
        self.asked.try_iter().map(|asked| asked.name).collect()
    }
}

/// Answers until nobody is left under the filter.
fn serve(listener: OwnedFd, answer: &dyn Fn(&Asked) -> Answer, tell: &Sender<Asked>, stop: &AtomicBool) {
    let number = listener.as_raw_fd();
    while !stop.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut ready, PollTimeout::from(50_u8)), Ok(1)) {
            continue;
        }
        if !ready[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
            return;
        }
        // A call whose process was killed meanwhile is there no longer.
        let Ok(request) = ScmpNotifReq::receive(number) else { continue };
        let name = ScmpSyscall::get_name(request.data.syscall).unwrap_or_default();
        let asked =
            Asked { name, pid: request.pid, args: request.data.args, id: request.id, listener: number };
        let _ = tell.send(asked.clone());
        let none = ScmpNotifRespFlags::empty();
        let response = match answer(&asked) {
            Answer::Value(value) => ScmpNotifResp::new_val(request.id, value, none),
            Answer::Errno(errno) => ScmpNotifResp::new_error(request.id, -errno, none),
            Answer::Continue => ScmpNotifResp::new_continue(request.id, none),
        };
        let _ = response.respond(number);
    }
}
