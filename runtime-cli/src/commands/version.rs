//! --version, in runc's lines: engines look for `version`, `commit:` and `spec:`.

use crate::alias;
use crate::output;
use crate::report::Failure;

/// The commit, when the build was told it in its environment; a source archive knows none.
const COMMIT: &str = match option_env!("HUSK_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

pub(crate) fn run() -> Result<u8, Failure> {
    output::write(|out| {
        writeln!(out, "{}", alias::version(env!("CARGO_PKG_VERSION")))?;
        for (name, value) in [
            ("commit", Some(COMMIT.to_owned())),
            ("spec", Some(husk_core::SPEC_VERSION.to_owned())),
            ("libseccomp", husk_seccomp::libseccomp_version()),
        ] {
            if let Some(value) = value {
                writeln!(out, "{name}: {value}")?;
            }
        }
        Ok(())
    })
}
