//! Environments: `KEY=VALUE` each, of two with one key the later holds, as every shell and engine expects.

use super::problems::{Pointer, Problems};
use std::collections::HashMap;
use std::ffi::CString;

/// An environment list, checked and without repetitions; the order is that of the last occurrences.
pub(super) fn plan(env: &[String], place: &Pointer<'_>, problems: &mut Problems) -> Vec<CString> {
    let mut last = HashMap::with_capacity(env.len());
    for (index, variable) in env.iter().enumerate() {
        match variable.split_once('=') {
            Some(("", _)) => {
                problems.add(
                    &place.item(index),
                    format!("invalid environment variable {variable:?}: no name before \"=\""),
                );
            }
            None => {
                problems.add(
                    &place.item(index),
                    format!("invalid environment variable {variable:?}: missing \"=\""),
                );
            }
            Some((key, _)) => {
                last.insert(key, index);
            }
        }
    }
    let is_last = |variable: &str, index: usize| {
        variable.split_once('=').is_some_and(|(key, _)| last.get(key) == Some(&index))
    };
    env.iter()
        .enumerate()
        .filter(|(index, variable)| is_last(variable, *index))
        .map(|(index, variable)| problems.text(&place.item(index), variable.as_str()))
        .collect()
}

/// The value of a variable.
pub(super) fn value<'a>(env: &'a [CString], key: &str) -> Option<&'a [u8]> {
    env.iter().find_map(|variable| variable.to_bytes().strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}
