//! `Retry-After`: how long a server wants us to wait. Pure.
//!
//! RFC 9110, 10.2.3; its dates, 5.6.7.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// How a date is written now (IMF-fixdate), and how old servers may write it; all mean UTC.
const FORMS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// How long `value` asks us to wait; `None` if it is neither a number of seconds nor a date. A date
/// that has passed asks for nothing.
///
/// `date`, when the server says that it answered, tells how far away a date is whatever the clocks
/// of both are; without it, `now` does.
pub(crate) fn wait(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let from = date.and_then(instant).unwrap_or(now);
    let left = instant(value)?.duration_since(from);
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

fn instant(text: &str) -> Option<Timestamp> {
    let read = |form| DateTime::strptime(form, text.trim()).ok();
    let date = FORMS.into_iter().find_map(read)?;
    TimeZone::UTC.to_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{instant, wait};

    /// Half a minute before the dates of the RFC.
    const ANSWERED: &str = "Sun, 06 Nov 1994 08:49:07 GMT";

    #[track_caller]
    fn check(value: &str, date: Option<&str>, expected: Option<u64>) {
        let now = instant("Sun, 06 Nov 1994 08:48:37 GMT").unwrap();
        let found = wait(value, date, now);
        assert_eq!(found, expected.map(Duration::from_secs), "{value}");
    }

    #[test]
    fn a_number_is_seconds_however_many() {
        check("120", None, Some(120));
        check(" 0 ", Some(ANSWERED), Some(0));
        check("99999999999999999999999", None, Some(u64::MAX));
    }

    #[test]
    fn each_form_of_a_date_is_understood() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            check(date, None, Some(60));
            check(date, Some(ANSWERED), Some(30));
            check(date, Some("no date"), Some(60));
        }
    }

    #[test]
    fn what_has_passed_asks_for_nothing() {
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(ANSWERED), Some(0));
        check("Tue, 15 Nov 1988 08:12:31 GMT", None, Some(0));
    }

    #[test]
    fn what_is_neither_says_nothing() {
        for value in [
            "",
            "soon",
            "-1",
            "1.5",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 1994 08:49:37 GMT",
        ] {
            check(value, Some(ANSWERED), None);
        }
    }
}
