//! What `EXPOSE` understands as a port.
//!
//! Spec: dockerfile.md E3.

use std::ops::RangeInclusive;

/// The ports that `spec` means, as `port/protocol`; `None` if it means none.
///
/// `80`, `80/udp`, `8000-8010/tcp`; of `ip:host:container` only the last part counts,
/// because publishing is for those who run the image.
pub(crate) fn parse(spec: &str) -> Option<Vec<String>> {
    let (ports, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return None;
    }
    let container = ports.rsplit(':').next()?;
    let numbers = range(container)?;
    Some(numbers.map(|port| format!("{port}/{protocol}")).collect())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}
