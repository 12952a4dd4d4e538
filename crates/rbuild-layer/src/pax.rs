//! PAX records: `LENGTH KEY=VALUE\n`, where the length counts itself.
//!
//! POSIX pax, "pax Header Block".

use rbuild_sys::Timestamp;

/// What the keys of extended attributes start with.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Appends the record `key` = `value` to `out`.
pub(crate) fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Splits the first record off `bytes`: its key, its value, and what follows. `None` if it is
/// malformed.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record
        .iter()
        .position(|&b| b == b'=')
        .filter(|&at| at > 0)?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

/// A number of decimal digits only.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A time: seconds with an optional sign and fraction.
pub(crate) fn time(text: &[u8]) -> Option<Timestamp> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut parts = digits.splitn(2, |&b| b == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or(b"");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| fraction.get(place).map_or(0, |&b| u32::from(b - b'0'));
    let nanoseconds = (0..9).fold(0, |sum, place| sum * 10 + digit(place));
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => Timestamp {
            seconds,
            nanoseconds,
        },
        (true, 0) => Timestamp {
            seconds: -seconds,
            nanoseconds,
        },
        (true, _) => Timestamp {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{record, split, time};

    #[test]
    fn a_record_counts_its_own_length() {
        for size in [0, 1, 85, 86, 87, 88, 985, 986, 987, 9_999] {
            let mut out = Vec::new();
            record(&mut out, b"path", &vec![b'x'; size]);
            let (key, value, rest) = split(&out).unwrap();
            assert_eq!((key, value.len(), rest), (&b"path"[..], size, &b""[..]));
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for text in [
            "",
            "6 a=b",
            "5 a=b\n",
            "7 a=b\n",
            "6 =ab\n",
            "-6 a=b\n",
            "99999999999999999999 a=b\n",
        ] {
            assert!(split(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn times_have_signs_and_fractions() {
        let check = |text: &str, expected: Option<(i64, u32)>| {
            let found = time(text.as_bytes()).map(|t| (t.seconds, t.nanoseconds));
            assert_eq!(found, expected, "{text}");
        };
        check("12", Some((12, 0)));
        check("12.5", Some((12, 500_000_000)));
        check("-1.25", Some((-2, 750_000_000)));
        check("4611686018427387904.0", Some((1 << 62, 0)));
        check("1e5", None);
        check("", None);
    }
}
