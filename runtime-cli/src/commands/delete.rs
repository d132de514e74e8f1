//! delete: what --force forgives is decided here, what is removed in the library.

use super::{Context, parse_id};
use crate::args::Delete;
use crate::report::Failure;
use husk_core::{Error, Force};

pub(crate) fn run(context: &Context<'_>, args: &Delete) -> Result<u8, Failure> {
    let id = parse_id(&args.id)?;
    let force = if args.force { Force::Yes } else { Force::No };
    match context.runtime.load(&id) {
        Ok(container) => container.delete(force).map_err(Error::from)?,
        // Not there, or damaged: remove whatever bears the name. Nothing to remove is no failure.
        Err(_) if args.force => context.runtime.remove_leftovers(&id)?,
        Err(error) => return Err(error.into()),
    }
    Ok(0)
}
