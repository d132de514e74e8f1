//! Amounts on a command line: bytes with a unit, processors with a fraction.

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
    fn processors() {
        for (text, quota_us) in [("1", 100_000), ("1.5", 150_000), ("0.01", 1000), ("64.00001", 6_400_001)] {
            assert_eq!(parse_cpus(text), Ok(quota_us), "{text}");
        }
        for text in ["", "0", "0.0", "-1", "1.", ".5", "+1", "NaN", "two", "0.001", "1e3", "1.000001"] {
            assert!(parse_cpus(text).is_err(), "{text:?} was taken");
        }
    }
}
