//! mounts: into a container that runs, and out of it again.

use super::Context;
use crate::args::{Mounts, MountsAction};
use crate::report::Failure;
use std::io::Read;

pub(crate) fn run(context: &Context<'_>, args: &Mounts) -> Result<u8, Failure> {
    let container = context.load(&args.id)?;
    let mut text = Vec::new();
    let read = match args.file.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut text),
        false => std::fs::File::open(&args.file).and_then(|mut file| file.read_to_end(&mut text)),
    };
    let shown = args.file.display();
    read.map_err(|error| Failure::system(format_args!("cannot read the mounts from {shown}"), error))?;
    let mounts = husk_core::read_mounts(&text)
        .map_err(|error| Failure::new(format!("{shown} lists no mounts: {error}")))?;
    match args.action {
        MountsAction::Add => container.add_mounts(&mounts)?,
        MountsAction::Remove => container.remove_mounts(&mounts)?,
    }
    Ok(0)
}
