//! --version, in runc's lines: engines look for `version`, `commit:` and `spec:`.

use super::Context;
use crate::output;
use crate::report::Failure;
use serde_json::Value;

/// The commit, when the build was told it; a source archive knows none.
const COMMIT: Option<&str> = option_env!("HUSK_COMMIT");

pub(crate) fn run(context: &Context<'_>) -> Result<u8, Failure> {
    let features = husk_core::features(context.runtime.host());
    let named = |pointer: &str| features.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    output::write(|out| {
        writeln!(out, "husk version {}", env!("CARGO_PKG_VERSION"))?;
        for (name, value) in [
            ("commit", COMMIT.map(str::to_owned)),
            ("spec", named("/ociVersionMax")),
            ("libseccomp", named("/annotations/io.github.seccomp.libseccomp.version")),
        ] {
            if let Some(value) = value {
                writeln!(out, "{name}: {value}")?;
            }
        }
        Ok(())
    })
}
