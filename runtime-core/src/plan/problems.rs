//! Collecting what is wrong with a config: a place ([`Pointer`]) and a sentence each, all of them in one pass.
//!
//! A pointer is built on the stack while planning walks the spec, and turned into text only when there is a problem
//! to report, so that a good config costs nothing here.

use crate::error::{Error, Problem};
use std::ffi::CString;
use std::fmt;
use std::path::Path;

/// A place in config.json, as a chain back to the root of the document (RFC 6901).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pointer<'a> {
    parent: Option<&'a Pointer<'a>>,
    segment: Segment<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Segment<'a> {
    Root,
    Key(&'a str),
    Item(usize),
}

impl Pointer<'_> {
    /// The document itself.
    pub(crate) const ROOT: Pointer<'static> = Pointer { parent: None, segment: Segment::Root };

    /// A member of the object that stands here.
    pub(crate) fn key<'a>(&'a self, key: &'a str) -> Pointer<'a> {
        Pointer { parent: Some(self), segment: Segment::Key(key) }
    }

    /// An element of the array that stands here.
    pub(crate) fn item(&self, index: usize) -> Pointer<'_> {
        Pointer { parent: Some(self), segment: Segment::Item(index) }
    }
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.segment {
            Segment::Root => Ok(()),
            Segment::Item(index) => write!(f, "/{index}"),
            Segment::Key(key) => write!(f, "/{}", escaped(key)),
        }
    }
}

/// A key as it stands in a pointer: `~` is `~0` and `/` is `~1`.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Everything that is wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new() -> Problems {
        Problems::default()
    }

    /// Records one.
    pub(crate) fn add(&mut self, place: &Pointer<'_>, message: impl Into<String>) {
        self.list.push(Problem { pointer: place.to_string(), message: message.into() });
    }

    /// Takes over what another crate found below a place.
    pub(crate) fn extend_below(
        &mut self,
        place: &Pointer<'_>,
        more: impl IntoIterator<Item = (String, String)>,
    ) {
        for (pointer, message) in more {
            self.list.push(Problem { pointer: format!("{place}{pointer}"), message });
        }
    }

    /// Text as the kernel takes it. A NUL byte inside would cut it short there, so it is a problem; what is
    /// returned then only lets planning go on.
    pub(crate) fn text(&mut self, place: &Pointer<'_>, text: impl Into<Vec<u8>>) -> CString {
        CString::new(text).unwrap_or_else(|_| {
            self.add(place, "contains a NUL byte");
            CString::default()
        })
    }

    /// A path, likewise.
    pub(crate) fn path(&mut self, place: &Pointer<'_>, path: &Path) -> CString {
        self.text(place, path.as_os_str().as_encoded_bytes())
    }

    /// The list, for planners that write pointers out.
    pub(crate) fn list_mut(&mut self) -> &mut Vec<Problem> {
        &mut self.list
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The list itself. What several planners have found stands in it once.
    pub(crate) fn into_list(self) -> Vec<Problem> {
        let mut list: Vec<Problem> = Vec::with_capacity(self.list.len());
        for problem in self.list {
            if !list.contains(&problem) {
                list.push(problem);
            }
        }
        list
    }

    /// `value`, when nothing is wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Error> {
        if self.is_empty() { Ok(value) } else { Err(Error::problems_found(self.into_list())) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pointer, Problems};

    #[test]
    fn pointers_are_escaped() {
        let linux = Pointer::ROOT.key("linux");
        assert_eq!(linux.key("sysctl").key("net/a~b").to_string(), "/linux/sysctl/net~1a~0b");
        assert_eq!(Pointer::ROOT.key("mounts").item(3).to_string(), "/mounts/3");
        assert_eq!(Pointer::ROOT.to_string(), "");
    }

    #[test]
    fn a_null_byte_is_a_problem() {
        let mut problems = Problems::new();
        problems.text(&Pointer::ROOT.key("hostname"), "a\0b");
        let error = problems.or(()).expect_err("one problem");
        assert_eq!(error.to_string(), "/hostname: contains a NUL byte");
    }
}
