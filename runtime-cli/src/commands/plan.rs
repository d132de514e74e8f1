//! plan: what would be done, without doing it.

use super::{Context, parse_id};
use crate::args::PlanArgs;
use crate::output;
use crate::report::{Failure, warn};
use husk_core::Bundle;

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>, args: &PlanArgs) -> Result<u8, Failure> {
    let id = parse_id(&args.id)?;
    let bundle = Bundle::open(&args.bundle)?;
    for warning in bundle.warnings() {
        warn(context.log, &warning.to_string());
    }
    let plan = bundle.plan(&id, context.runtime.host(), &context.create_options())?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&plan.lines()).map_err(|error| Failure::new(error.to_string()))?;
        return output::write(|out| writeln!(out, "{text}"));
    }
    let text = plan.to_string();
    output::write(|out| writeln!(out, "{}", text.trim_end()))
}
