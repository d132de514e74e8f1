//! Amounts on a command line: bytes with a unit, processors with a fraction.

use super::duration::times;

/// Bytes: digits, and K, M, G or T of 1024 each, with `B` or `iB` after it as one likes.
pub(crate) fn parse_size(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no size; 64M and 1G are");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// Bytes as runc's flags take them: `1.5G` and `64 m` too, -1 for no limit, and 0 or nothing for "not set".
pub(crate) fn parse_memory(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no size; 64M, 1.5G and -1 are");
    match text {
        "-1" => return Ok(-1),
        "" => return Ok(0),
        _ => {}
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(wrong()),
    };
    let bytes = times(number, 1 << shift).and_then(|bytes| i64::try_from(bytes).ok());
    bytes.ok_or_else(wrong)
}

/// The period in which processor time is counted.
pub(crate) const CPU_PERIOD_US: i64 = 100_000;

/// Processors, as microseconds in a period. The kernel takes quotas from 1 ms (cpu.max), so 0.01 is the least.
pub(crate) fn parse_cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no number of processors; 2 and 0.5 are");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    let fraction: i64 = format!("{fraction:0<5}").parse().map_err(|_| wrong())?;
    Some(whole * CPU_PERIOD_US + fraction).filter(|quota_us| *quota_us >= 1000).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("64M", 64 << 20),
            ("64mb", 64 << 20),
            ("1GiB", 1 << 30),
            ("2k", 2048),
            ("7b", 7),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1M", "0", "1.5G", "1 M", "99999999T", "1X", "1ib2"] {
            assert!(parse_size(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn memory_as_runc_takes_it() {
        for (text, bytes) in [
            ("-1", -1),
            ("", 0),
            ("0", 0),
            ("1000", 1000),
            ("64M", 64 << 20),
            ("64 m", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("2kb", 2048),
            ("7B", 7),
            ("1p", 1 << 50),
        ] {
            assert_eq!(parse_memory(text), Ok(bytes), "{text}");
        }
        for text in ["-2", "M", "1X", "1.2.3", "1  M", "99999p", "1bb"] {
            assert!(parse_memory(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn processors() {
        for (text, quota_us) in [("1", 100_000), ("1.5", 150_000), ("0.01", 1000), ("64.00001", 6_400_001)] {
            assert_eq!(parse_cpus(text), Ok(quota_us), "{text}");
        }
        for text in ["", "0", "0.0", "-1", "1.", ".5", "+1", "NaN", "two", "0.001", "1e3", "1.000001"] {
            assert!(parse_cpus(text).is_err(), "{text:?} was taken");
        }
    }
}
