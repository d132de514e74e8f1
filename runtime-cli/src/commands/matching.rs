//! Containers by a regular expression, as crun's `--regex` has them: it may be found anywhere in an id.

use super::Context;
use crate::report::Failure;
use husk_core::Container;
use regex_lite::Regex;

/// Every container in whose id `pattern` is found.
pub(crate) fn matching(context: &Context<'_>, pattern: &str) -> Result<Vec<Container>, Failure> {
    let regex = Regex::new(pattern)
        .map_err(|error| Failure::new(format!("{pattern:?} is no regular expression: {error}")))?;
    let mut containers = context.runtime.list()?;
    containers.retain(|container| regex.is_match(container.id().as_str()));
    Ok(containers)
}

/// Does the same with each of them. One that fails keeps none of the others from it.
pub(crate) fn for_each_matching(
    context: &Context<'_>,
    pattern: &str,
    mut action: impl FnMut(Container) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let containers = matching(context, pattern)?;
    let all = containers.len();
    let mut failures = Vec::new();
    for container in containers {
        let id = container.id().clone();
        if let Err(failure) = action(container) {
            failures.push(format!("{id}: {failure}"));
        }
    }
    match failures.len() {
        0 => Ok(()),
        some => Err(Failure::new(format!("{some} of {all} containers: {}", failures.join("; ")))),
    }
}
