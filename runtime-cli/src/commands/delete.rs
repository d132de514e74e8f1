//! delete: what --force forgives is decided here, what is removed in the library.

use super::{Context, parse_id, remove};
use crate::args::Delete;
use crate::report::Failure;
use husk_core::{ErrorKind, Force};

pub(crate) fn run(context: &Context<'_>, args: &Delete) -> Result<u8, Failure> {
    let id = parse_id(&args.id)?;
    let force = if args.force { Force::Yes } else { Force::No };
    match context.runtime.load(&id) {
        Ok(container) => remove(container, force, context.log).map(|()| 0),
        Err(error) if args.force && error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}
