//! state: one container as the specification's state object, in runc's form: indented by two, no line end after it.

use super::Context;
use crate::output;
use crate::report::Failure;

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, id: &str) -> Result<u8, Failure> {
    let state = context.load(id)?.state()?;
    let text = serde_json::to_string_pretty(&state).map_err(|error| Failure::new(error.to_string()))?;
    output::write(|out| write!(out, "{text}"))
}
