//! Amounts as people type them: sizes, durations, points in time.

use std::time::Duration;

use jiff::Timestamp;

/// Bytes: `1024`, `500MB`, `10GiB`, `2g`. Powers of 1000, as docker and podman count; with `i`
/// powers of 1024. `None` if it is anything else.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text.trim());
    let unit = unit.to_ascii_lowercase();
    let base: u64 = if unit.ends_with("ib") || unit.ends_with('i') {
        1024
    } else {
        1000
    };
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(base.pow(power))
}

/// Bytes of memory: `1024`, `64k`, `1.5g`, `1gb`, `1GiB`. Powers of 1024, as docker counts memory.
/// `None` if it is anything else.
pub fn memory(text: &str) -> Option<u64> {
    let (number, rest) = split(text.trim());
    let (fraction, unit) = match rest.strip_prefix('.') {
        Some(rest) => split(rest),
        None => ("0", rest),
    };
    let unit = unit.trim_start().to_ascii_lowercase();
    let power = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 0,
        "k" | "ki" => 1,
        "m" | "mi" => 2,
        "g" | "gi" => 3,
        "t" | "ti" => 4,
        _ => return None,
    };
    let unit = 1024_u64.pow(power);
    let whole = number.parse::<u64>().ok()?.checked_mul(unit)?;
    let digits = u32::try_from(fraction.len()).ok().filter(|it| *it <= 6)?;
    let part = fraction.parse::<u64>().ok()? * unit / 10_u64.pow(digits);
    whole.checked_add(part)
}

/// Seconds: `90s`, `24h`, `1h30m`, `7d`, `2w`. `None` if it is anything else.
pub fn seconds(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split(rest);
        let unit = match after.as_bytes().first()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 60 * 60,
            b'd' => 24 * 60 * 60,
            b'w' => 7 * 24 * 60 * 60,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = &after[1..];
    }
    Some(total)
}

/// How many seconds before `now` `text` is: a duration, a time (RFC 3339), or seconds since 1970.
/// `None` if it is none of these, or not in the past.
pub fn seconds_ago(text: &str, now: i64) -> Option<i64> {
    let time = || {
        let time = text.parse::<Timestamp>().ok().map(Timestamp::as_second);
        time.or_else(|| text.parse().ok())
    };
    let ago = seconds(text).or_else(|| Some(now - time()?))?;
    (ago >= 0).then_some(ago)
}

/// A time to wait: `500ms`, `2s`, `1m`, `1h`; a number alone is seconds.
///
/// # Errors
/// What is wrong with `text`, for clap.
pub fn delay(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split(text);
    let count: u32 = digits
        .parse()
        .map_err(|_| "it is not a number with a unit".to_owned())?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "" | "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err("units are ms, s, m and h".to_owned()),
    };
    Ok(unit * count)
}

/// Leading digits, and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::{bytes, delay, memory, seconds, seconds_ago};

    #[test]
    fn sizes_are_decimal_unless_they_say_otherwise() {
        for (text, expected) in [
            ("0", Some(0)),
            ("12b", Some(12)),
            ("3k", Some(3000)),
            ("500MB", Some(500_000_000)),
            ("2GiB", Some(2 << 30)),
            ("1Ti", Some(1 << 40)),
            ("", None),
            ("MB", None),
            ("1.5GB", None),
            ("-1", None),
            ("99999999999999TB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn memory_is_binary() {
        for (text, expected) in [
            ("1024", Some(1024)),
            ("64m", Some(64 << 20)),
            ("2GB", Some(2 << 30)),
            ("1kb", Some(1024)),
            ("1.5g", Some(3 << 29)),
            ("1 TiB", Some(1 << 40)),
            ("1.g", None),
            ("1x", None),
            ("m", None),
            ("-1", None),
        ] {
            assert_eq!(memory(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("1h30m", Some(5400)),
            ("2w1d", Some(15 * 86_400)),
            ("24", None),
            ("h", None),
            ("", None),
            ("1y", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn delays_are_seconds_unless_they_say_otherwise() {
        let seconds = |text: &str| delay(text).map(|wait| wait.as_secs_f32());
        assert_eq!(seconds("2"), Ok(2.0));
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("1m"), Ok(60.0));
        assert!(seconds("s").is_err() && seconds("1d").is_err() && seconds("-1s").is_err());
    }

    #[test]
    fn until_is_a_duration_or_a_point_in_time() {
        for (text, expected) in [
            ("1m", Some(60)),
            ("1970-01-01T00:01:00Z", Some(40)),
            ("90", Some(10)),
            ("200", None),
            ("yesterday", None),
        ] {
            assert_eq!(seconds_ago(text, 100), expected, "{text}");
        }
    }
}
