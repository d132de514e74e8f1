//! features: the specification's features object, indented by four as runc's.

use super::Context;
use crate::output;
use crate::report::Failure;
use serde_json::ser::{PrettyFormatter, Serializer};

#[inline(never)] // see `dispatch`
pub(crate) fn run(context: &Context<'_>) -> Result<u8, Failure> {
    let features = husk_core::features(context.runtime.host());
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    serde::Serialize::serialize(&features, &mut serializer)
        .map_err(|error| Failure::new(error.to_string()))?;
    text.push(b'\n');
    output::write(|out| out.write_all(&text))
}
