//! Cuts at U+0001, nothing else: the words come segmented and normalised from [`crate::text`]. In: words joined by
//! [`SEPARATOR`]; out: one token a word. (A pre-tokenised string would be written and read back as JSON: three times
//! the cost of this.)

pub use crate::text::SEPARATOR;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Name under which the schema finds the tokenizer.
pub const NAME: &str = "words";

/// See the module.
#[derive(Clone, Default)]
pub struct Words {
    token: Token,
}

/// The words of one text.
pub struct WordStream<'a> {
    text: &'a str,
    next: usize,
    token: &'a mut Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;
    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { text, next: 0, token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        if self.next >= self.text.len() {
            return false;
        }
        let start = self.next;
        let end = self.text[start..].find(SEPARATOR).map_or(self.text.len(), |at| start + at);
        self.token.text.clear();
        self.token.text.push_str(&self.text[start..end]);
        self.token.offset_from = start;
        self.token.offset_to = end;
        self.token.position = self.token.position.wrapping_add(1);
        self.next = end + SEPARATOR.len_utf8();
        true
    }
    fn token(&self) -> &Token {
        self.token
    }
    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_word_with_its_position() {
        let joined = ["南昌", "发生", "火灾"].join("\u{1}");
        let mut tokenizer = Words::default();
        let mut stream = tokenizer.token_stream(&joined);
        let mut seen = Vec::new();
        while stream.advance() {
            seen.push((stream.token().position, stream.token().text.clone()));
        }
        assert_eq!(seen, [(0, "南昌".into()), (1, "发生".into()), (2, "火灾".into())]);
    }
}
