//! Where in a JSON text a byte stands, as a JSON pointer (RFC 6901). A parser that fails tells line and column; a reader
//! of the config wants the field.

use crate::plan::problems::escaped;

/// A list or an object that has begun and not ended, and which part of it was reached.
enum Open {
    List { index: usize },
    Object { key: Option<String> },
}

/// The pointer to the value that a parser was reading, or was about to read, when it had consumed the text up to this
/// line and column, counted as serde_json does: lines from 1, and the bytes of the line that are consumed.
pub(super) fn pointer_at(json: &[u8], line: usize, column: usize) -> String {
    let before: usize = json.split_inclusive(|&byte| byte == b'\n').take(line - 1).map(<[u8]>::len).sum();
    let consumed = json.get(..before + column).unwrap_or(json);
    let mut open: Vec<Open> = Vec::new();
    let mut rest = consumed;
    let mut key_comes = false;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'{' => open.push(Open::Object { key: None }),
            b'[' => open.push(Open::List { index: 0 }),
            b'}' | b']' => drop(open.pop()),
            b',' => {
                if let Some(Open::List { index }) = open.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let end = end_of_string(after);
                if let (true, Some(Open::Object { key })) = (key_comes, open.last_mut()) {
                    let quoted = &consumed[consumed.len() - after.len() - 1..][..end + 1];
                    *key = serde_json::from_slice(quoted).ok();
                }
                rest = &after[end..];
            }
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => {}
        }
        key_comes = matches!(first, b'{' | b',');
    }
    open.iter().fold(String::new(), |pointer, open| match open {
        Open::List { index } => format!("{pointer}/{index}"),
        Open::Object { key: Some(key) } => format!("{pointer}/{}", escaped(key)),
        Open::Object { key: None } => pointer,
    })
}

/// How many bytes follow the opening quote until the closing one is behind them.
fn end_of_string(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::pointer_at;

    /// The pointer for a text that ends where the parser stopped.
    fn place(json: &str) -> String {
        let line = json.matches('\n').count() + 1;
        pointer_at(json.as_bytes(), line, json.len() - json.rfind('\n').map_or(0, |newline| newline + 1))
    }

    #[test]
    fn a_value_that_was_read_or_comes_next() {
        assert_eq!(place(""), "");
        assert_eq!(place("{"), "");
        assert_eq!(place(r#"{"a": "#), "/a");
        assert_eq!(place("{\"a\": [1,\n {\"b/c\": \"x\""), "/a/1/b~1c");
        assert_eq!(place(r#"{"a": {"b": ["#), "/a/b/0");
        assert_eq!(place(r#"{"a": {"b": [1, 2"#), "/a/b/1");
    }

    #[test]
    fn what_has_ended_is_meant_itself() {
        assert_eq!(place(r#"{"a": [{"b": 1}"#), "/a/0");
        assert_eq!(place(r#"{"a": [{"b": 1}]"#), "/a");
        assert_eq!(place(r#"{"a": 1}"#), "");
    }

    #[test]
    fn strings_may_look_like_structure() {
        assert_eq!(place(r#"{"a\"]}": "{[,\\", "\u0062": "#), "/b");
        assert_eq!(place(r#"{"a": "x", "b": "y,"#), "/b");
    }
}
