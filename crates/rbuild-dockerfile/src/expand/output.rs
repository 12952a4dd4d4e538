//! Expanded text that still knows which white space may split it (V8).

/// Text in pieces; neighbours differ in `splits`.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: Vec<Piece>,
    length: usize,
}

#[derive(Debug)]
struct Piece {
    text: String,
    /// Whether white space in here separates words.
    splits: Splits,
}

/// Whether white space in a text separates words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splits {
    /// It was written bare, or is the value of a bare variable.
    Yes,
    /// It was quoted or escaped.
    No,
}

impl Output {
    /// Appends `text`.
    pub(super) fn push(&mut self, text: &str, splits: Splits) {
        self.length += text.len();
        match self.pieces.last_mut() {
            Some(last) if last.splits == splits => last.text.push_str(text),
            _ => self.pieces.push(Piece {
                text: text.to_owned(),
                splits,
            }),
        }
    }

    /// Bytes of the text.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// All of it.
    pub(super) fn text(self) -> String {
        self.pieces.into_iter().map(|piece| piece.text).collect()
    }

    /// The words in it; empty ones vanish.
    pub(super) fn words(self) -> Vec<String> {
        let mut words = Vec::new();
        let mut word = String::new();
        for piece in self.pieces {
            if piece.splits == Splits::No {
                word.push_str(&piece.text);
                continue;
            }
            let mut parts = piece.text.split(char::is_whitespace);
            word.push_str(parts.next().unwrap_or_default());
            for part in parts {
                words.push(std::mem::replace(&mut word, part.to_owned()));
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        words
    }
}
