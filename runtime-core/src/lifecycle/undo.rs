//! A creation that failed leaves nothing: no process, cgroup or file.

use super::hooks;
use crate::cgroup::Cgroup;
use crate::network::Crossing;
use crate::plan::{HookKind, Plan};
use crate::process::runtime::Newborn;
use crate::resctrl::RdtGroup;
use crate::state::StateDirectory;
use std::path::Path;

/// What has been made so far.
#[derive(Debug)]
pub(super) struct Undo<'a> {
    pub(super) directory: &'a StateDirectory,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) process: Option<Newborn>,
    pub(super) rdt: Option<RdtGroup>,
    /// Set once a network device may have moved in.
    pub(super) crossing: Option<Crossing>,
    /// Set once a hook of the runtime may have run: the last hooks are owed then, with this state on their stdin.
    pub(super) owes_poststop: Option<Vec<u8>>,
}

impl Undo<'_> {
    /// Takes it all away, latest first. The failure that led here is what the caller hears about; what fails now
    /// cannot be helped, and `delete --force` tries again.
    pub(super) fn run(self, plan: &Plan, bundle: &Path) {
        // With the last process its network namespace would end, and most devices in it.
        if let Some(crossing) = self.crossing {
            crossing.undo();
        }
        let ended = self.process.is_none_or(|process| process.abandon());
        if let Some(mut cgroup) = self.cgroup {
            let _ = cgroup.kill(libc::SIGKILL);
            let _ = cgroup.undo();
        }
        if let Some(rdt) = self.rdt {
            rdt.remove();
        }
        // While a process cannot be killed, what is on record is what `delete --force` will need.
        if ended {
            let _ = self.directory.remove();
        }
        if let Some(state) = self.owes_poststop {
            for hook in &plan.hooks.poststop {
                let _ = hooks::run_all(HookKind::Poststop, std::slice::from_ref(hook), bundle, &state);
            }
        }
    }
}
