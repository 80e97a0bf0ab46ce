//! Segmenting with jieba's dictionary and the city's words, without guessing new words. In: text. Out: its words.

use super::is_bare;
use jieba_rs::Jieba;
use std::sync::LazyLock;

/// Between two words of a line; no word holds it.
pub const SEPARATOR: char = '\u{1}';

/// Whether it holds a letter, digit or Han character and can stand in a line of words.
fn is_word(word: &str) -> bool {
    word.chars().any(is_bare) && !word.contains(SEPARATOR)
}

/// Parts text into words.
#[derive(Debug)]
pub struct Segmenter {
    jieba: Jieba,
}

/// The general dictionary alone, for [`segment_line`].
static GENERAL: LazyLock<Segmenter> = LazyLock::new(|| Segmenter::new(&[]));

impl Segmenter {
    /// The general dictionary and these words.
    pub fn new(user_words: &[String]) -> Segmenter {
        let mut jieba = Jieba::new();
        for word in user_words {
            jieba.add_word(word, None, None);
        }
        Segmenter { jieba }
    }

    /// All words with punctuation and spaces, in order.
    pub fn cut<'a>(&self, text: &'a str) -> Vec<&'a str> {
        self.jieba.cut(text, false).into_iter().map(|token| token.word).collect()
    }

    /// Words that hold a letter, digit or Han character.
    pub fn words(&self, text: &str) -> Vec<String> {
        self.jieba
            .cut(text, false)
            .into_iter()
            .filter(|token| is_word(token.word))
            .map(|token| token.word.to_owned())
            .collect()
    }

    /// Appends those words to a line of words with [`SEPARATOR`] between them.
    pub fn join(&self, text: &str, line: &mut String) {
        for token in self.jieba.cut(text, false) {
            if is_word(token.word) {
                if !line.is_empty() {
                    line.push(SEPARATOR);
                }
                line.push_str(token.word);
            }
        }
    }

    /// Words of a line; every character but spaces is kept.
    pub fn line<'a>(&self, text: &'a str) -> Vec<&'a str> {
        self.cut(text).into_iter().filter(|word| !word.trim().is_empty()).collect()
    }
}

/// Words of a line by the general dictionary; every character but spaces is kept.
pub fn segment_line(text: &str) -> Vec<&str> {
    GENERAL.line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_every_character_but_spaces() {
        let text = "今天  下午，红谷滩 积水了！ABC 3.5米";
        let joined: String = segment_line(text).concat();
        assert_eq!(joined.replace(' ', ""), text.replace(' ', ""));
    }

    #[test]
    fn words_of_the_city_hold_together() {
        let segmenter = Segmenter::new(&["扬子洲".to_owned(), "泡泉".to_owned()]);
        assert_eq!(segmenter.words("扬子洲有泡泉。"), ["扬子洲", "有", "泡泉"]);
    }
}
