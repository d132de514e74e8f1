//! Durations in Go's form, which engines write: `1m30s`, `500ms`, `1.5h`.

use std::time::Duration;

/// Longest names first, where one is the end of another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration above zero.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; 5s, 1m30s and 500ms are");
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if text.starts_with('-') || digits == "0" {
        return Err("duration interval must be greater than 0".to_owned());
    }
    let (mut rest, mut total) = (digits, 0u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part = times(number, *unit_ns).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    match total {
        0 if digits.is_empty() => Err(wrong()),
        0 => Err("duration interval must be greater than 0".to_owned()),
        total => Ok(Duration::from_nanos(total)),
    }
}

/// A decimal number of units, rounded down; `None` for what is no number or too many.
pub(super) fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let valid = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !valid(whole) || !valid(fraction) || fraction.len() > 18 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let total = whole.checked_mul(unit.into())?.checked_add(part * u128::from(unit) / scale)?;
    u64::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        for (text, ms) in [
            ("5s", 5000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1h0m0s", 3_600_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "5x", "1.2.3s", "99999999999h", "5s5", "five"] {
            assert!(parse_duration(text).is_err_and(|error| error.contains("no duration")), "{text:?}");
        }
        for text in ["0", "0s", "-5s"] {
            assert!(parse_duration(text).is_err_and(|error| error.contains("greater than 0")), "{text:?}");
        }
    }
}
