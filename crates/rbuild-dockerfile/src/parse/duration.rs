//! Durations as Go writes them: `1h2m3.5s`.
//!
//! Spec: dockerfile.md M5; Go's `time.ParseDuration`.

use std::time::Duration;

/// Units and their length in nanoseconds; the longer name first.
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

/// The duration that `text` says; `None` if it is none, or negative, or longer than
/// 292 years, which is what fits in the image's configuration.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total: u64 = 0;
    loop {
        let (nanoseconds, after) = component(rest)?;
        total = total.checked_add(nanoseconds)?;
        rest = after;
        if rest.is_empty() {
            let fits = i64::try_from(total).is_ok();
            return fits.then(|| Duration::from_nanos(total));
        }
    }
}

/// A number with its unit at the start of `text`, in nanoseconds, and what follows.
fn component(text: &str) -> Option<(u64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, length) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().ok()?,
    };
    let mut nanoseconds = whole.checked_mul(*length)?;
    let mut place = *length;
    for digit in fraction.bytes().map(|byte| u64::from(byte - b'0')) {
        // 3.6e12 × 9 is far from the limit. Digits below a nanosecond are dropped.
        nanoseconds = nanoseconds.checked_add(place * digit / 10)?;
        place /= 10;
    }
    Some((nanoseconds, &rest[unit.len()..]))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[track_caller]
    fn check(text: &str, nanoseconds: impl Into<Option<u64>>) {
        assert_eq!(parse(text), nanoseconds.into().map(Duration::from_nanos));
    }

    #[test]
    fn units_add_up() {
        check("5s", 5_000_000_000);
        check("1m30s", 90_000_000_000);
        check("1h0m0.5s", 3_600_500_000_000);
        check("100ms", 100_000_000);
        check("1.5us2ns", 1_502);
        check("+3µs", 3_000);
        check(".5m", 30_000_000_000);
        check("1.s", 1_000_000_000);
    }

    #[test]
    fn zero_needs_no_unit() {
        check("0", 0);
        check("0s", 0);
        check("0s0m", 0);
    }

    #[test]
    fn other_text_is_no_duration() {
        for text in ["", "5", "s", "-1s", "1 s", "1s ", "1d", ".s", "1S", "+"] {
            check(text, None);
        }
    }

    #[test]
    fn what_does_not_fit_is_no_duration() {
        check("2562047h47m16.854775807s", 9_223_372_036_854_775_807);
        check("2562047h47m16.854775808s", None);
        check("99999999999999999999h", None);
    }
}
