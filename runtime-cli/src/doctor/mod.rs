//! `husk doctor`: whether this machine can run containers, and whether its engines are set up for this binary.
//!
//! Engines are asked for what they would do, where they can be; their files are only read where they cannot answer.

mod docker;
mod engines;
mod machine;
mod question;

use crate::output;
use crate::report::Failure;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// What one look found.
#[derive(Debug, Serialize)]
struct Finding {
    /// `machine`, or the engine's name.
    about: &'static str,
    what: &'static str,
    verdict: Verdict,
    /// What was seen.
    seen: String,
    /// What to do about it, as shell commands or a line of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Something works differently from what one might expect.
    Note,
    Missing,
}

impl Finding {
    fn new(about: &'static str, what: &'static str, verdict: Verdict, seen: impl Into<String>) -> Finding {
        Finding { about, what, verdict, seen: seen.into(), remedy: None }
    }

    fn ok(about: &'static str, what: &'static str, seen: impl Into<String>) -> Finding {
        Finding::new(about, what, Verdict::Ok, seen)
    }

    fn note(about: &'static str, what: &'static str, seen: impl Into<String>) -> Finding {
        Finding::new(about, what, Verdict::Note, seen)
    }

    fn missing(about: &'static str, what: &'static str, seen: impl Into<String>) -> Finding {
        Finding::new(about, what, Verdict::Missing, seen)
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Finding {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Looks, prints, and gives 0 where nothing is missing.
#[inline(never)] // see `dispatch`
pub(crate) fn run(json: bool) -> Result<u8, Failure> {
    let own = own_binary()?;
    let mut findings = machine::look(&own);
    findings.extend(engines::look(&own));
    if json {
        let text =
            serde_json::to_string_pretty(&findings).map_err(|error| Failure::new(error.to_string()))?;
        output::write(|out| writeln!(out, "{text}"))?;
    } else {
        output::write(|out| out.write_all(table(&findings).as_bytes()))?;
    }
    Ok(u8::from(findings.iter().any(|finding| finding.verdict == Verdict::Missing)))
}

/// The file that this program was started from, as engines have to name it.
fn own_binary() -> Result<PathBuf, Failure> {
    let found = std::env::current_exe().map_err(|error| Failure::system("cannot find own binary", error))?;
    Ok(found.canonicalize().unwrap_or(found))
}

fn table(findings: &[Finding]) -> String {
    let widest = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut about = "";
    for finding in findings {
        if finding.about != about {
            about = finding.about;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{about}");
        }
        let word = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Missing => "MISSING",
        };
        let _ = writeln!(text, "  {word:8} {:widest$}  {}", finding.what, finding.seen);
        if let Some(remedy) = &finding.remedy {
            remedy.lines().for_each(|line| {
                let _ = writeln!(text, "  {:8} {:widest$}    {line}", "", "");
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_heading_for_each_subject_and_its_remedies_below() {
        let findings = [
            Finding::ok("machine", "kernel", "6.1"),
            Finding::missing("docker", "runtime", "no husk").remedy("one\ntwo"),
        ];
        let expected = "machine\n  ok       kernel   6.1\n\ndocker\n  MISSING  runtime  no husk\n";
        let remedies = format!("{:22}one\n{:22}two\n", "", "");
        assert_eq!(table(&findings), format!("{expected}{remedies}"));
    }
}
