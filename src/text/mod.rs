//! Normalising and segmenting. Offsets always lead back into the masked text.

mod normal;
mod segment;

pub use normal::{Normaliser, is_bare, is_han, normalise};
pub use segment::{SEPARATOR, Segmenter, segment_line};

/// A normalised text that knows where each of its bytes came from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Normal {
    /// The normalised text.
    pub text: String,
    /// For each byte of `text`, the first byte of the character of the original that it came from; one more at the end.
    pub map: Vec<u32>,
    /// Length of the original.
    pub original_len: usize,
}

impl Normal {
    /// A text that needs no normalising.
    pub fn plain(text: &str) -> Normal {
        Normal { text: text.to_owned(), map: (0..=text.len() as u32).collect(), original_len: text.len() }
    }

    /// The range of the original that `start..end` of the normalised text came from.
    pub fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        let at = |byte: usize| self.map.get(byte).map_or(self.original_len, |&from| from as usize);
        (at(start), at(end))
    }
}
