//! `UID[:GID]`, strictly: no names, no signs, no blanks, nothing missing. What engines would misread is an error.

/// A numeric user, and a group when one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserSpec {
    pub(crate) uid: u32,
    pub(crate) gid: Option<u32>,
}

pub(crate) fn parse_user(text: &str) -> Result<UserSpec, String> {
    match text.split_once(':') {
        None => Ok(UserSpec { uid: id(text, "user")?, gid: None }),
        Some((uid, gid)) => Ok(UserSpec { uid: id(uid, "user")?, gid: Some(id(gid, "group")?) }),
    }
}

/// Digits only: `u32::from_str` would take a sign. The largest number means "no id" to the kernel (chown(2)).
fn id(text: &str, what: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no numeric {what} id");
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    match text.parse() {
        Ok(u32::MAX) | Err(_) => Err(wrong()),
        Ok(id) => Ok(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_numbers() {
        let table = [
            ("0", 0, None),
            ("1000", 1000, None),
            ("1000:0", 1000, Some(0)),
            ("007:08", 7, Some(8)),
            ("4294967294:4294967294", u32::MAX - 1, Some(u32::MAX - 1)),
        ];
        for (text, uid, gid) in table {
            assert_eq!(parse_user(text), Ok(UserSpec { uid, gid }), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_quite_a_number() {
        for text in [
            "",
            ":",
            "1000:",
            ":1000",
            " 1000",
            "1000 ",
            "1000: 1",
            "+1",
            "-1",
            "1:-1",
            "0x10",
            "root",
            "1000:users",
            "1:2:3",
            "4294967295",
            "4294967296",
            "1:4294967295",
            "99999999999999999999",
            "1\n",
            "١",
        ] {
            assert!(parse_user(text).is_err(), "{text:?} was taken");
        }
    }
}
