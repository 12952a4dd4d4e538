//! What becomes of the times of files when they are packed into a layer.
//!
//! Invariant: whatever is decided is kept with the layer, so that packing it again gives the same
//! bytes.
//!
//! Spec: cli.md 2.8, `--timestamp`, `--source-date-epoch`, `--rewrite-timestamp`.

use serde::{Deserialize, Serialize};

/// Times of modification in a layer, in seconds since 1970.
///
/// As JSON a number, an object or `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FileTimes {
    /// None is later than this.
    AtMost(i64),
    /// All are this.
    Exactly {
        /// The time.
        exactly: i64,
    },
    /// They are those of the files.
    #[default]
    Kept,
}

impl FileTimes {
    /// The time in the layer of a file that was modified at `mtime`.
    pub fn of(self, mtime: i64) -> i64 {
        match self {
            Self::Kept => mtime,
            Self::AtMost(limit) => mtime.min(limit),
            Self::Exactly { exactly } => exactly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FileTimes;

    #[test]
    fn times_are_kept_clamped_or_set() {
        let all = [
            (FileTimes::Kept, "null", [1, 9]),
            (FileTimes::AtMost(5), "5", [1, 5]),
            (
                FileTimes::Exactly { exactly: 5 },
                r#"{"exactly":5}"#,
                [5, 5],
            ),
        ];
        for (times, json, expected) in all {
            assert_eq!([1, 9].map(|mtime| times.of(mtime)), expected);
            assert_eq!(serde_json::to_string(&times).unwrap(), json);
            assert_eq!(serde_json::from_str::<FileTimes>(json).unwrap(), times);
        }
    }
}
