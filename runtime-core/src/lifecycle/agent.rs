//! The seccomp agent: who answers the system calls that a profile notifies (runtime-spec config-linux.md, "The Container
//! Process State"; seccomp_unotify(2)).
//!
//! Order: the agent is reached before there is a process, so that one that is not there costs nothing; the new process
//! goes on only when the agent has its listener, so that no call waits for somebody who will never come.

use super::explain::{Subject, unheard};
use crate::error::{Error, ErrorKind, Result};
use crate::patience::Patience;
use crate::plan::{ListenerPlan, ProcessPlan, Step};
use crate::process::runtime::Newborn;
use crate::recorder::Recorder;
use crate::socket;
use crate::sys;
use nix::errno::Errno;
use serde_json::{Value, json};
use std::os::fd::{AsFd, OwnedFd};

/// The name of the fd that goes with the state.
const SECCOMP_FD: &str = "seccompFd";

/// One that waits for a listener.
#[derive(Debug)]
pub(super) struct Agent<'a> {
    plan: &'a ListenerPlan,
    socket: OwnedFd,
}

/// The kernel lets nobody else look into a process that is already among those of a container.
const WITHOUT_PRIVILEGES: &str = "without root a listener can only be taken from a container's first process, in a new \
     user namespace in which it is root; exec needs a profile that notifies nothing";

impl<'a> Agent<'a> {
    /// Connects to the agent of a process whose filter has a listener.
    pub(super) fn connect(process: &'a ProcessPlan) -> Result<Option<Agent<'a>>> {
        let plan = process.seccomp.as_ref().and_then(|seccomp| seccomp.listener.as_ref());
        plan.map(|plan| {
            // In runc's words.
            let socket = socket::connect(&plan.path, "failed to connect with seccomp agent");
            Ok(Agent { plan, socket: socket.map_err(|error| error.at(Step::SeccompAgent))? })
        })
        .transpose()
    }

    /// Takes the listener out of a process that is about to install its filter, sends it with the container's state, and
    /// lets the process go on; false when the process has ended instead.
    pub(super) fn serve(
        &self,
        process: &Newborn,
        state: &[u8],
        recorder: &Recorder,
        patience: &mut Patience<'_>,
        subject: Subject<'_>,
    ) -> Result<bool> {
        recorder.runtime_at(Step::SeccompAgent)?;
        let cannot = |what: &str, call, errno| Error::os(what, call, errno).at(Step::SeccompAgent);
        let listener = process.take_listener(recorder, patience).map_err(|failed| match failed.errno {
            Errno::ETIMEDOUT => unheard(failed, recorder, subject),
            errno => {
                let what = "cannot take the seccomp listener out of the new process";
                let error = cannot(what, failed.call.name(), errno);
                if errno == Errno::EPERM { error.with_hint(WITHOUT_PRIVILEGES) } else { error }
            }
        })?;
        let Some(listener) = listener else { return Ok(false) };
        let message = self.message(process.pid, state)?;
        sys::send_fd(self.socket.as_fd(), listener.as_fd(), &message).map_err(|failed| {
            let what = format!("cannot send the seccomp listener to {}", self.plan.path.display());
            cannot(&what, failed.call.name(), failed.errno)
        })?;
        recorder.listener_is_taken();
        Ok(true)
    }

    /// The container process state, as the specification has it.
    fn message(&self, pid: i32, state: &[u8]) -> Result<Vec<u8>> {
        let state: Value = serde_json::from_slice(state)
            .map_err(|error| Error::new(ErrorKind::System, format!("cannot repeat the state: {error}")))?;
        let mut message = json!({
            "ociVersion": crate::SPEC_VERSION,
            "fds": [SECCOMP_FD],
            "pid": pid,
            "state": state,
        });
        if let Some(metadata) = &self.plan.metadata {
            message["metadata"] = metadata.as_str().into();
        }
        Ok(message.to_string().into_bytes())
    }
}
