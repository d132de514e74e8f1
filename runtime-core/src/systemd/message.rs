//! Messages of D-Bus (D-Bus specification, "Message Protocol"): the header is laid out here, bodies are encoded and
//! decoded by zbus.

#![forbid(unsafe_code)]

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{PropertyValue, UnitProperty};
use serde::Serialize;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{DynamicType, Endian, LE, to_bytes};
use zbus::{Array, ObjectPath, Signature, Structure, Variant};

/// What of a header is always there: the lengths of the rest are among it.
pub(super) const FIXED_HEADER: usize = 16;

/// What a method is called with.
#[derive(Debug, Default)]
pub(super) struct Body {
    signature: String,
    bytes: Vec<u8>,
}

/// Encodes the arguments of a method: one, or a tuple of several.
pub(super) fn of<T: Serialize + DynamicType>(arguments: T) -> Result<Body> {
    let bytes = to_bytes(Context::new(LE, 0), &arguments).map_err(not_encoded)?;
    let signature = arguments.signature().to_string_no_parens();
    Ok(Body { signature, bytes: bytes.bytes().to_vec() })
}

/// Properties of a unit, and the process that it begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Properties<'a> {
    pub(super) list: &'a [&'a UnitProperty],
    pub(super) pid: Option<i32>,
}

impl<'a> Properties<'a> {
    fn encoded(self) -> Result<Vec<(&'a str, Variant<'a>)>> {
        let pid = self.pid.map(|pid| Ok(("PIDs", Variant::from(vec![pid.unsigned_abs()]))));
        let given = self.list.iter().map(|property| Ok((property.name.as_str(), variant(&property.value)?)));
        given.chain(pid).collect()
    }
}

pub(super) fn start_transient_unit(name: &str, properties: Properties<'_>) -> Result<Body> {
    let auxiliary: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    of((name, "fail", properties.encoded()?, auxiliary))
}

pub(super) fn set_unit_properties(name: &str, properties: Properties<'_>) -> Result<Body> {
    let for_this_boot = true;
    of((name, for_this_boot, properties.encoded()?))
}

fn variant(value: &PropertyValue) -> Result<Variant<'_>> {
    use PropertyValue::*;
    Ok(match value {
        Boolean(value) => (*value).into(),
        Byte(value) => (*value).into(),
        Int16(value) => (*value).into(),
        Uint16(value) => (*value).into(),
        Int32(value) => (*value).into(),
        Uint32(value) => (*value).into(),
        Int64(value) => (*value).into(),
        Uint64(value) => (*value).into(),
        Double(value) => (*value).into(),
        Text(text) => text.as_str().into(),
        ObjectPath(path) => {
            Variant::ObjectPath(zbus::ObjectPath::try_from(path.as_str()).map_err(not_encoded)?)
        }
        List(element, items) => {
            let element = Signature::try_from(element.as_str()).map_err(|error| not_encoded(error.into()))?;
            let mut array = Array::new(&element);
            for item in items {
                array.append(variant(item)?).map_err(not_encoded)?;
            }
            Variant::Array(array)
        }
        Tuple(items) => {
            let mut fields = Structure::builder();
            for item in items {
                fields = fields.append_field(variant(item)?);
            }
            Variant::Structure(fields.build().map_err(not_encoded)?)
        }
    })
}

/// A method call as it goes over the wire, in the machine-independent little-endian form.
pub(super) fn call(
    serial: u32,
    destination: Option<&str>,
    path: &str,
    interface: &str,
    member: &str,
    body: &Body,
) -> Vec<u8> {
    const METHOD_CALL: u8 = 1;
    const PROTOCOL: u8 = 1;
    let mut bytes = vec![b'l', METHOD_CALL, 0, PROTOCOL];
    bytes.extend(length_of(&body.bytes));
    bytes.extend(serial.to_le_bytes());
    // The length of the fields, filled in below.
    bytes.extend([0; 4]);
    let strings =
        [(1, b'o', Some(path)), (2, b's', Some(interface)), (3, b's', Some(member)), (6, b's', destination)];
    for (code, kind, value) in strings {
        let Some(value) = value else { continue };
        align(&mut bytes);
        // A variant: its type, here a string of one character, then a string of four bytes of length.
        bytes.extend([code, 1, kind, 0]);
        bytes.extend(length_of(value.as_bytes()));
        bytes.extend(value.as_bytes());
        bytes.push(0);
    }
    if !body.signature.is_empty() {
        const SIGNATURE: u8 = 8;
        align(&mut bytes);
        bytes.extend([SIGNATURE, 1, b'g', 0, u8::try_from(body.signature.len()).unwrap_or(u8::MAX)]);
        bytes.extend(body.signature.as_bytes());
        bytes.push(0);
    }
    let fields = length_of(&bytes[FIXED_HEADER..]);
    bytes[FIXED_HEADER - 4..FIXED_HEADER].copy_from_slice(&fields);
    align(&mut bytes);
    bytes.extend(&body.bytes);
    bytes
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

fn endian(bytes: &[u8]) -> Endian {
    if bytes.first() == Some(&b'B') { Endian::Big } else { Endian::Little }
}

fn number(bytes: &[u8], offset: usize) -> Option<usize> {
    let word: [u8; 4] = bytes.get(offset..offset + 4)?.try_into().ok()?;
    let number =
        if endian(bytes) == Endian::Big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
    usize::try_from(number).ok()
}

/// Where the body begins: behind the fields, aligned to eight bytes.
fn body_start(bytes: &[u8]) -> Option<usize> {
    FIXED_HEADER.checked_add(number(bytes, 12)?)?.checked_next_multiple_of(8)
}

/// The length of the whole message, by its fixed header.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    body_start(bytes)?.checked_add(number(bytes, 4)?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reply,
    Error,
    Signal,
    Other,
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) kind: Kind,
    /// The serial of the call that it answers, 0 if it answers none.
    pub(super) reply_to: u32,
    /// The name of an error, or of a signal.
    pub(super) name: String,
    body: Data<'static, 'static>,
}

impl Incoming {
    pub(super) fn read(mut bytes: Vec<u8>) -> Result<Incoming> {
        let context = Context::new(endian(&bytes), 0);
        let start = body_start(&bytes).filter(|start| *start <= bytes.len());
        let start = start.ok_or_else(|| not_understood("a message that is cut short"))?;
        let body = Data::new(bytes.split_off(start), context);
        let header = Data::new(bytes, context);
        type Header<'a> = (u8, u8, u8, u8, u32, u32, Vec<(u8, Variant<'a>)>);
        let ((_, kind, _, _, _, _, fields), _): (Header<'_>, usize) =
            header.deserialize().map_err(not_understood)?;
        let kind = match kind {
            2 => Kind::Reply,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let (mut reply_to, mut name) = (0, String::new());
        for (code, value) in fields {
            match (code, value) {
                (5, Variant::U32(serial)) => reply_to = serial,
                (4, Variant::Str(text)) => text.as_str().clone_into(&mut name),
                (3, Variant::Str(text)) if kind == Kind::Signal => text.as_str().clone_into(&mut name),
                _ => {}
            }
        }
        Ok(Incoming { kind, reply_to, name, body })
    }

    /// The one argument of a reply that names an object.
    pub(super) fn object_path(&self) -> Result<String> {
        let (path, _): (ObjectPath<'_>, usize) = self.body.deserialize().map_err(not_understood)?;
        Ok(path.as_str().to_owned())
    }

    /// The one argument of a reply that is a string in a variant.
    pub(super) fn variant_text(&self) -> Result<String> {
        let (value, _): (Variant<'_>, usize) = self.body.deserialize().map_err(not_understood)?;
        match value {
            Variant::Str(text) => Ok(text.as_str().to_owned()),
            _ => Err(not_understood("a value that is no text")),
        }
    }

    /// What an error has to say, if anything.
    pub(super) fn error_text(&self) -> String {
        let text: Option<(&str, usize)> = self.body.deserialize().ok();
        text.map_or(String::new(), |(text, _)| text.to_owned())
    }

    /// Of the signal JobRemoved: the job, and its result.
    pub(super) fn removed_job(&self) -> Option<(String, String)> {
        type Removed<'a> = (u32, ObjectPath<'a>, &'a str, &'a str);
        let ((_, job, _, result), _): (Removed<'_>, usize) = self.body.deserialize().ok()?;
        Some((job.as_str().to_owned(), result.to_owned()))
    }
}

fn not_encoded(error: zbus::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot tell systemd: {error}"))
}

pub(super) fn not_understood(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::System, format!("systemd said what is not understood: {what}"))
}
