//! Pieces of output → lines.

use rbuild_sandbox::Stream;

/// No line is longer, in bytes; what is longer becomes several.
const LIMIT: usize = 64 << 10;

/// Collects what a command writes until a line is complete.
#[derive(Default)]
pub struct Lines {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Lines {
    /// Adds `piece`; gives each line that is complete now to `line`, without its newline.
    pub fn add(&mut self, stream: Stream, piece: &[u8], line: &mut dyn FnMut(Stream, &[u8])) {
        let rest = match stream {
            Stream::Stdout => &mut self.out,
            Stream::Stderr => &mut self.err,
        };
        for part in piece.split_inclusive(|&b| b == b'\n') {
            rest.extend_from_slice(part);
            if let Some(complete) = rest.strip_suffix(b"\n") {
                line(stream, complete);
                rest.clear();
            }
            while rest.len() >= LIMIT {
                line(stream, &rest[..LIMIT]);
                rest.drain(..LIMIT);
            }
        }
    }

    /// Gives what is left without a newline.
    pub fn finish(self, line: &mut dyn FnMut(Stream, &[u8])) {
        for (stream, rest) in [(Stream::Stdout, self.out), (Stream::Stderr, self.err)] {
            if !rest.is_empty() {
                line(stream, &rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, Lines, Stream};

    #[track_caller]
    fn check(pieces: &[&str], expected: &[&str]) {
        let mut seen = Vec::new();
        let mut line = |_, line: &[u8]| seen.push(String::from_utf8(line.to_vec()).unwrap());
        let mut lines = Lines::default();
        for piece in pieces {
            lines.add(Stream::Stdout, piece.as_bytes(), &mut line);
        }
        lines.finish(&mut line);
        assert_eq!(seen, expected);
    }

    #[test]
    fn lines_are_put_together() {
        check(&["a", "b\nc", "\n\nd"], &["ab", "c", "", "d"]);
        check(&[], &[]);
    }

    #[test]
    fn endless_lines_are_cut() {
        let long = "x".repeat(LIMIT + 1);
        check(&[&long, "y\n"], &[&long[..LIMIT], "xy"]);
    }
}
