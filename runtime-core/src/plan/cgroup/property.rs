//! The text form of D-Bus values (GVariant text format), as annotations give properties of a unit in it.
//!
//! Numbers, booleans, strings, lists and tuples, with a type before them where the plain one (`int32`, string) is not
//! meant. What no property of a scope is made of, such as dictionaries, is refused by name.

#![forbid(unsafe_code)]

use std::fmt;

/// A value that systemd understands.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyValue {
    /// `b`.
    Boolean(bool),
    /// `y`.
    Byte(u8),
    /// `n`.
    Int16(i16),
    /// `q`.
    Uint16(u16),
    /// `i`.
    Int32(i32),
    /// `u`.
    Uint32(u32),
    /// `x`.
    Int64(i64),
    /// `t`.
    Uint64(u64),
    /// `d`.
    Double(f64),
    /// `s`.
    Text(String),
    /// `o`.
    ObjectPath(String),
    /// `a`: the type of the elements, as D-Bus spells it, then the elements.
    List(String, Vec<PropertyValue>),
    /// `(…)`.
    Tuple(Vec<PropertyValue>),
}

impl PropertyValue {
    /// A list of bytes.
    pub(super) fn bytes(bytes: impl IntoIterator<Item = u8>) -> PropertyValue {
        PropertyValue::List("y".to_owned(), bytes.into_iter().map(PropertyValue::Byte).collect())
    }

    /// Its type, as D-Bus spells it.
    #[must_use]
    pub fn signature(&self) -> String {
        use PropertyValue::*;
        let basic = match self {
            Boolean(_) => "b",
            Byte(_) => "y",
            Int16(_) => "n",
            Uint16(_) => "q",
            Int32(_) => "i",
            Uint32(_) => "u",
            Int64(_) => "x",
            Uint64(_) => "t",
            Double(_) => "d",
            Text(_) => "s",
            ObjectPath(_) => "o",
            List(element, _) => return format!("a{element}"),
            Tuple(fields) => {
                return format!("({})", fields.iter().map(PropertyValue::signature).collect::<String>());
            }
        };
        basic.to_owned()
    }

    /// A number of seconds as microseconds, as `…USec` properties take it.
    pub(super) fn seconds_to_microseconds(&self) -> Option<PropertyValue> {
        const MICROSECONDS: u64 = 1_000_000;
        use PropertyValue::*;
        let seconds = match *self {
            Byte(n) => u64::from(n),
            Uint16(n) => u64::from(n),
            Uint32(n) => u64::from(n),
            Uint64(n) => n,
            Int16(n) => u64::try_from(n).ok()?,
            Int32(n) => u64::try_from(n).ok()?,
            Int64(n) => u64::try_from(n).ok()?,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            Double(n) if (0.0..1e12).contains(&n) => return Some(Uint64((n * 1e6) as u64)),
            _ => return None,
        };
        seconds.checked_mul(MICROSECONDS).map(Uint64)
    }
}

impl fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use PropertyValue::*;
        let list = |f: &mut fmt::Formatter<'_>, items: &[PropertyValue]| {
            items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| write!(f, "{}{item}", if index == 0 { "" } else { ", " }))
        };
        match self {
            Boolean(value) => write!(f, "{value}"),
            Byte(value) => write!(f, "{value:#04x}"),
            Int16(value) => write!(f, "{value}"),
            Uint16(value) => write!(f, "{value}"),
            Int32(value) => write!(f, "{value}"),
            Uint32(value) => write!(f, "{value}"),
            Int64(value) => write!(f, "{value}"),
            Uint64(u64::MAX) => f.write_str("infinity"),
            Uint64(value) => write!(f, "{value}"),
            Double(value) => write!(f, "{value}"),
            Text(text) | ObjectPath(text) => write!(f, "{text:?}"),
            List(_, items) => {
                f.write_str("[")?;
                list(f, items)?;
                f.write_str("]")
            }
            Tuple(items) => {
                f.write_str("(")?;
                list(f, items)?;
                f.write_str(")")
            }
        }
    }
}

/// The types that can be written before a value.
const TYPES: [(&str, char); 12] = [
    ("boolean", 'b'),
    ("byte", 'y'),
    ("int16", 'n'),
    ("uint16", 'q'),
    ("int32", 'i'),
    ("uint32", 'u'),
    ("handle", 'i'),
    ("int64", 'x'),
    ("uint64", 't'),
    ("double", 'd'),
    ("string", 's'),
    ("objectpath", 'o'),
];

/// Reads a value; the error says what is wrong with the text.
pub(super) fn parse(text: &str) -> Result<PropertyValue, String> {
    let mut reader = Reader { rest: text };
    let value = reader.value(None)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(format!("{:?} follows the value", reader.rest)),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A value of this type, or of the type that it shows.
    fn value(&mut self, expected: Option<&str>) -> Result<PropertyValue, String> {
        let fits = |value: PropertyValue| match expected {
            Some(expected) if value.signature() != expected => {
                Err(format!("a value of type {expected} was expected, not {value}"))
            }
            _ => Ok(value),
        };
        match self.peek() {
            None => Err("a value is missing".to_owned()),
            Some('@') => {
                self.take('@');
                let signature = self.word(|c| !c.is_whitespace());
                fits(self.value(Some(signature))?)
            }
            Some('[') => self.list(expected.and_then(|signature| signature.strip_prefix('a'))).and_then(fits),
            Some('(') => self.tuple().and_then(fits),
            Some(quote @ ('\'' | '"')) => {
                let text = self.text(quote)?;
                Ok(if expected == Some("o") {
                    PropertyValue::ObjectPath(text)
                } else {
                    PropertyValue::Text(text)
                })
                .and_then(fits)
            }
            Some('0'..='9' | '-' | '+' | '.') => self.number(expected),
            Some(c) if c.is_ascii_alphabetic() => match self.word(|c| c.is_ascii_alphanumeric()) {
                "true" => fits(PropertyValue::Boolean(true)),
                "false" => fits(PropertyValue::Boolean(false)),
                word => match TYPES.iter().find(|(name, _)| *name == word) {
                    Some((_, letter)) => fits(self.value(Some(letter.encode_utf8(&mut [0; 4])))?),
                    None => Err(format!("{word:?} is neither a value nor a type")),
                },
            },
            Some(c) => Err(format!("a value that starts with {c:?} is not supported")),
        }
    }

    /// The elements have one type: the one expected, or else that of the first.
    fn list(&mut self, element: Option<&str>) -> Result<PropertyValue, String> {
        self.take('[');
        let mut element = element.map(str::to_owned);
        let mut items = Vec::new();
        while !self.take(']') {
            if !items.is_empty() && !self.take(',') {
                return Err("a list lacks its ]".to_owned());
            }
            let item = self.value(element.as_deref())?;
            element.get_or_insert_with(|| item.signature());
            items.push(item);
        }
        let element = element.ok_or("an empty list needs its type before it, as @as []")?;
        Ok(PropertyValue::List(element, items))
    }

    fn tuple(&mut self) -> Result<PropertyValue, String> {
        self.take('(');
        let mut items = Vec::new();
        while !self.take(')') {
            if !items.is_empty() && !self.take(',') {
                return Err("a tuple lacks its )".to_owned());
            }
            // A comma may stand before the end, as in (1,).
            if !items.is_empty() && self.take(')') {
                break;
            }
            items.push(self.value(None)?);
        }
        Ok(PropertyValue::Tuple(items))
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        self.take(quote);
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((index, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[index + c.len_utf8()..];
                    return Ok(text);
                }
                '\\' => text.push(match characters.next().map(|(_, c)| c) {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(c @ ('\\' | '\'' | '"')) => c,
                    Some(c) => return Err(format!("the escape \\{c} is not supported")),
                    None => break,
                }),
                '\0' => return Err("a string contains a NUL byte".to_owned()),
                c => text.push(c),
            }
        }
        Err("a string lacks its closing quote".to_owned())
    }

    fn number(&mut self, expected: Option<&str>) -> Result<PropertyValue, String> {
        use PropertyValue::*;
        let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
        let is_double = word.contains('.') || (word.contains(['e', 'E']) && !word.contains('x'));
        let signature = expected.unwrap_or(if is_double { "d" } else { "i" });
        let wrong = || format!("{word:?} is no number of type {signature}");
        if signature == "d" {
            return word.parse().map(Double).map_err(|_| wrong());
        }
        let digits = word.trim_start_matches(['-', '+']);
        let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => i128::from_str_radix(hex, 16),
            None if digits.len() > 1 && digits.starts_with('0') => i128::from_str_radix(digits, 8),
            None => digits.parse(),
        };
        let number = magnitude.map_err(|_| wrong())?;
        let number = if word.starts_with('-') { -number } else { number };
        let out_of_range = |_| wrong();
        match signature {
            "y" => number.try_into().map(Byte).map_err(out_of_range),
            "n" => number.try_into().map(Int16).map_err(out_of_range),
            "q" => number.try_into().map(Uint16).map_err(out_of_range),
            "i" => number.try_into().map(Int32).map_err(out_of_range),
            "u" => number.try_into().map(Uint32).map_err(out_of_range),
            "x" => number.try_into().map(Int64).map_err(out_of_range),
            "t" => number.try_into().map(Uint64).map_err(out_of_range),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PropertyValue::*;
    use super::{PropertyValue, parse};

    #[test]
    fn values_are_read() {
        let list = |element: &str, items: Vec<PropertyValue>| List(element.to_owned(), items);
        for (text, value) in [
            ("5", Int32(5)),
            ("-5", Int32(-5)),
            ("0x10", Int32(16)),
            ("uint64 10000000", Uint64(10_000_000)),
            ("@t 0777", Uint64(0o777)),
            ("1.5", Double(1.5)),
            ("true", Boolean(true)),
            ("'inactive-or-failed'", Text("inactive-or-failed".to_owned())),
            (" \"a\\\"b\\n\" ", Text("a\"b\n".to_owned())),
            ("objectpath '/a'", ObjectPath("/a".to_owned())),
            ("[uint32 1, 2]", list("u", vec![Uint32(1), Uint32(2)])),
            ("@as []", list("s", vec![])),
            ("['a', 'b']", list("s", vec![Text("a".to_owned()), Text("b".to_owned())])),
            (
                "[('/dev/sda', uint64 5)]",
                list("(st)", vec![Tuple(vec![Text("/dev/sda".to_owned()), Uint64(5)])]),
            ),
            ("[byte 0x03]", list("y", vec![Byte(3)])),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&value), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("", "a value is missing"),
            ("5 6", "\"6\" follows the value"),
            ("yes", "\"yes\" is neither a value nor a type"),
            ("'a", "a string lacks its closing quote"),
            ("uint32 -1", "\"-1\" is no number of type u"),
            ("byte 300", "\"300\" is no number of type y"),
            ("[1, 'a']", "a value of type i was expected, not \"a\""),
            ("[]", "an empty list needs its type before it, as @as []"),
            ("[1", "a list lacks its ]"),
            ("{'a': 1}", "a value that starts with '{' is not supported"),
            ("boolean 5", "\"5\" is no number of type b"),
            ("5x", "\"5x\" is no number of type i"),
        ] {
            assert_eq!(parse(text).err().as_deref(), Some(message), "{text}");
        }
    }
}
