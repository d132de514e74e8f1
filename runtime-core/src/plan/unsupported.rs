//! What this version does not do is refused by name: a field that is silently dropped is a container that is not
//! what was asked for. Each field that comes to be supported leaves this file.

use super::problems::{Pointer, Problems};
use crate::spec::Spec;

/// Sections of other platforms. Fields are refused where their sections are planned.
pub(super) fn check(spec: &Spec, problems: &mut Problems) {
    let root = Pointer::ROOT;
    let sections = [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ];
    for (key, _) in sections.iter().filter(|(_, given)| *given) {
        problems.add(&root.key(key), "not supported: husk runs Linux containers, without a virtual machine");
    }
}
