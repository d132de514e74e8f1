//! What a creation is asked for, and what all of its parts see.

use super::hooks;
use crate::bundle::Bundle;
use crate::error::Error;
use crate::id::ContainerId;
use crate::options::CreateOptions;
use crate::plan::Plan;
use crate::runtime::Runtime;
use crate::state::Status;
use crate::sys::Failed;
use std::collections::BTreeMap;

/// What is to be created.
pub(super) struct Request<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) id: &'a ContainerId,
    pub(super) bundle: &'a Bundle,
    pub(super) options: &'a CreateOptions,
    pub(super) plan: &'a Plan,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Request<'_> {
    /// The state, as hooks read it.
    pub(super) fn state(&self, status: Status, pid: i32) -> Vec<u8> {
        hooks::state_json(self.id.as_str(), status, pid, self.bundle.path(), &self.annotations)
    }
}

/// An error of the recorder's file or the like, which is ours and not the config's.
pub(super) fn internal(what: &'static str) -> impl Fn(Failed) -> Error {
    move |failed| Error::os(what, failed.call.name(), failed.errno)
}
