//! delete: what --force forgives is decided here, what is removed in the library.

use super::{Context, for_each_matching, parse_id, remove};
use crate::args::Delete;
use crate::report::Failure;
use husk_core::{ErrorKind, Force};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &Delete) -> Result<u8, Failure> {
    let force = if args.force { Force::Yes } else { Force::No };
    if args.regex {
        for_each_matching(context, &args.id, |container| remove(container, force, context.log))?;
        return Ok(0);
    }
    let id = parse_id(&args.id)?;
    match context.runtime.load(&id) {
        Ok(container) => remove(container, force, context.log).map(|()| 0),
        Err(error) if args.force && error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}
