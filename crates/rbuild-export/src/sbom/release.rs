//! Which distribution an image is of: `etc/os-release`. Pure.
//!
//! os-release(5).

use super::package::field;

/// What the file says; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Release {
    /// `ID`, e.g. `debian`.
    pub id: String,
    /// `VERSION_ID`, e.g. `12`.
    pub version: String,
}

impl Release {
    /// Understands `NAME=value` and `NAME="value"`; other lines are left out.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let value = |key: &[u8]| {
            let mut lines = text.split(|&byte| byte == b'\n');
            let line = lines.find_map(|line| line.strip_prefix(key))?;
            field(line).map(|it| it.trim_matches(['"', '\'']).to_owned())
        };
        Self {
            id: value(b"ID=").unwrap_or_default(),
            version: value(b"VERSION_ID=").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[track_caller]
    fn check(text: &[u8], id: &str, version: &str) {
        let found = Release::parse(text);
        assert_eq!((&found.id[..], &found.version[..]), (id, version));
    }

    #[test]
    fn quotes_do_not_count_and_nothing_is_an_error() {
        check(
            b"NAME=x\nID=alpine\nVERSION_ID=3.20.1\n",
            "alpine",
            "3.20.1",
        );
        check(b"VERSION_ID=\"12\"\nID='debian'", "debian", "12");
        check(b"", "", "");
        check(b"\xff\x00ID=x\nID=\n", "", "");
    }
}
