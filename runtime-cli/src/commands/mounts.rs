//! mounts: into a container that runs, and out of it again.

use super::Context;
use crate::args::{Mounts, MountsAction};
use crate::given;
use crate::report::Failure;

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &Mounts) -> Result<u8, Failure> {
    let container = context.load(&args.id)?;
    let mounts = given::read(&args.file, "mounts", husk_core::read_mounts)?;
    match args.action {
        MountsAction::Add => container.add_mounts(&mounts)?,
        MountsAction::Remove => container.remove_mounts(&mounts)?,
    }
    Ok(0)
}
