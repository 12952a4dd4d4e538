//! What `STOPSIGNAL` understands as a signal: names and numbers of Linux.
//!
//! Spec: dockerfile.md E6; signal(7).

use rbuild_dockerfile::suggest;

/// Names without `SIG`, those that are other names for a number included.
const NAMES: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP", "SYS",
    "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2", "VTALRM", "WINCH",
    "XCPU", "XFSZ",
];

/// First and last real-time signal, as the C library counts them.
const REAL_TIME: (u8, u8) = (34, 64);

/// Whether `text` is a signal: a number from 1 to 64, or a name in any case, with or
/// without `SIG`; also `RTMIN+n` and `RTMAX-n`.
pub(crate) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=REAL_TIME.1).contains(&number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = name
        .strip_prefix("RTMIN+")
        .or_else(|| name.strip_prefix("RTMAX-"));
    match offset {
        Some(offset) => offset
            .parse::<u8>()
            .is_ok_and(|offset| offset <= REAL_TIME.1 - REAL_TIME.0),
        None => NAMES.contains(&name),
    }
}

/// The hint for a name that is none.
pub(crate) fn did_you_mean(text: &str) -> Option<String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    suggest::nearest(name, NAMES).map(|name| format!("did you mean `SIG{name}`?"))
}
