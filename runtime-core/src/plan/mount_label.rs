//! `/linux/mountLabel`: the SELinux label of what the container mounts (mount(8), "context="). Which of the four
//! parameters carries it can be said by an annotation that came up in crun.

use super::annotations::CONTEXT_TYPE;
use super::mount_options::Parameter;
use super::problems::{Pointer, Problems};
use super::process::refuse_selinux;
use crate::host::Host;
use crate::spec::{Linux, Spec};
use std::ffi::{CStr, CString};

const KINDS: [&CStr; 4] = [c"context", c"fscontext", c"defcontext", c"rootcontext"];

/// The parameter that labels a file system.
pub(super) fn plan(spec: &Spec, linux: &Linux, host: &Host, problems: &mut Problems) -> Option<Parameter> {
    let annotation = spec.annotations().as_ref().and_then(|all| all.get(CONTEXT_TYPE));
    let kind = annotation.map_or("context", String::as_str);
    let key = KINDS.into_iter().find(|known| known.to_bytes() == kind.as_bytes());
    if key.is_none() {
        let place = Pointer::ROOT.key("annotations");
        let message =
            format!("{kind:?} is no type of context: context, fscontext, defcontext or rootcontext");
        problems.add(&place.key(CONTEXT_TYPE), message);
    }
    let label = linux.mount_label().as_deref().filter(|label| !label.is_empty())?;
    let place = Pointer::ROOT.key("linux");
    let place = place.key("mountLabel");
    if !host.selinux {
        refuse_selinux(&place, problems);
        return None;
    }
    Some(Parameter { key: key?.to_owned(), value: Some(problems.text(&place, label)) })
}

/// How a file system of this type takes it.
pub(super) enum Labelled {
    /// Not at all: the kernel labels its files by what they are.
    Never,
    /// By an attribute of its root.
    ByAttribute(CString),
    /// By a parameter.
    ByParameter(Parameter),
}

/// Unless the mount's own options say a label.
pub(super) fn of(fstype: &str, label: Option<&Parameter>, parameters: &[Parameter]) -> Labelled {
    let Some(label) = label else { return Labelled::Never };
    let is_said = parameters.iter().any(|parameter| KINDS.contains(&parameter.key.as_c_str()));
    match fstype {
        "proc" | "sysfs" | "cgroup" | "cgroup2" => Labelled::Never,
        _ if is_said => Labelled::Never,
        "mqueue" => Labelled::ByAttribute(label.value.clone().unwrap_or_default()),
        _ => Labelled::ByParameter(label.clone()),
    }
}
